"""What the suite knows of a backbone before it is built."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from benchmarks.backbones.googlenet import GoogLeNet
from benchmarks.backbones.weights import Published, WeightsFile, identify, load
from benchmarks.common.errors import DataProblem, UsageProblem


@dataclass(frozen=True)
class Backbone:
    """A network by its name, and what it needs to start.

    Attributes:
        name: as recipes state it.
        build: makes the network of an embedding size, with random weights.
        weights: the pre-trained weights that it must start from; None if it starts from random.
        remark: why its figures do not compare with published ones; empty if they do.
    """

    name: str
    build: Callable[[int], nn.Module]
    weights: Published | None = None
    remark: str = ""

    @property
    def comparable(self) -> bool:
        """Whether its figures compare with published ones."""
        return not self.remark

    def identify(self, weights: Path | None) -> WeightsFile | None:
        """Return what a run must know of its file of weights; None for a random start.

        Args:
            weights: the file that the user gives, if any.

        Raises:
            DataProblem: weights are missing, or the file is not the right one by its digest.
            UsageProblem: weights are given to a network that starts from random ones.
        """
        self._require(weights)
        if self.weights is None or weights is None:
            return None
        return WeightsFile(weights, identify(weights, self.weights))

    def _require(self, weights: Path | None) -> None:
        """Refuse weights that are given to no avail, and a start without those that it needs."""
        if self.weights is None and weights is not None:
            raise UsageProblem(
                f"backbone {self.name}: expected no --weights, as it starts from random ones, "
                f"found {weights}; leave the option out or choose a pre-trained backbone"
            )
        if self.weights is not None and weights is None:
            raise DataProblem(
                f"backbone {self.name} starts from pre-trained weights, and none are given. "
                f"{self.weights.remedy}."
            )

    def __call__(
        self,
        embedding_size: int,
        weights: Path | None = None,
        normalisation: tuple[Sequence[float], Sequence[float]] | None = None,
    ) -> nn.Module:
        """Return the network as a run starts from it.

        Of a pre-trained network only the `head` is random.

        Args:
            embedding_size: d.
            weights: the file of pre-trained weights.
            normalisation: mean and standard deviation of red, green and blue that the images are
                normalised with; None means ImageNet's. Only pre-trained networks need to know.

        Raises:
            DataProblem: the weights are missing, damaged or of another network.
            UsageProblem: weights are given to a network that starts from random ones.
        """
        self._require(weights)
        network = self.build(embedding_size)
        if isinstance(network, GoogLeNet) and normalisation is not None:
            network.pixels.set_normalisation(*normalisation)
        if self.weights is not None and weights is not None:
            load(network.get_submodule("trunk"), weights, self.weights)
        return network
