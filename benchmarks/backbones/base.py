"""What a backbone is: a network by its name, and what it needs to start."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from benchmarks.backbones.weights import Published, WeightsFile, identify
from benchmarks.common.errors import BenchError, DataProblem, UsageProblem
from methods.base.code import code_of, foreign_digests
from methods.base.registry import Registry, in_one_line

if TYPE_CHECKING:  # listing the names of backbones needs no torch
    from torch import nn

TRIED_SIZE = 8
"""Embedding size that a plug-in's network is tried out with."""
Normalisation = tuple[Sequence[float], Sequence[float]]
"""Mean and standard deviation of red, green and blue, which images are normalised with."""


def _own() -> Iterator[str]:
    yield "benchmarks.backbones.own"


BACKBONES: "Registry[Backbone]" = Registry(
    "backbone", "benchmarks.backbones.Backbone", "instbench.backbones", _own
)


class Backbone(ABC):
    """A network by its name, and what it needs to start.

    A subclass with a `name` of its own is known by it from then on; it is made without arguments.
    The network is an encoder (`methods.base.encoder.Encoder`): it has `feature_size` and
    `embedding_size`, `features(images)` and `head(features)`, and `network(images)` is
    `head(features(images))` to the bit.
    """

    name: str
    """As recipes state it."""
    weights: Published | None = None
    """The file of pre-trained weights for the network's `trunk`; None if none was published."""
    needs_weights: ClassVar[bool] = False
    """Whether it must start from a file of weights; else it starts from random ones."""
    caveat: ClassVar[str] = ""
    """Why its results do not compare with published ones; empty if they do."""
    origin: ClassVar[str] = "not registered"
    """File and class name; set when the backbone registers."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "name" in cls.__dict__:
            BACKBONES.register(cls)

    @abstractmethod
    def build(self, embedding_size: int) -> "nn.Module":
        """Return the network, an encoder, with random weights drawn from torch's generator.

        Args:
            embedding_size: d, the width of its head's output.
        """

    def pretrain(
        self, network: "nn.Module", weights: Path, normalisation: Normalisation | None
    ) -> None:
        """Fill a network's `trunk` from a file; a subclass may also adapt the scale of pixels.

        Args:
            network: as `build` returns it.
            weights: the file.
            normalisation: of the images that the network will be given; None means ImageNet's.

        Raises:
            DataProblem: the file is missing, damaged or of another network.
        """
        from benchmarks.backbones.weight_files import load

        assert self.weights is not None, "refused before"
        load(network.get_submodule("trunk"), weights, self.weights)

    @property
    def code(self) -> list[str | None]:
        """What a run's key states of the network's code; empty for the suite's own.

        The SHA-256 of a plug-in's files, and an installed package with its version.
        """
        facts = code_of(type(self))
        package = [f"{facts.package} {facts.version}"] if facts.package and not facts.own else []
        return [*foreign_digests(type(self), Backbone), *package]

    @property
    def comparable(self) -> bool:
        """Whether its results compare with published ones."""
        return not self.caveat

    def identify(self, weights: Path | None) -> WeightsFile | None:
        """Return what a run must know of its file of weights; None for a random start.

        A plug-in's network is also built once, so that what is wrong shows before training.

        Args:
            weights: the file that the user gives, if any.

        Raises:
            DataProblem: weights are missing, or the file is not the right one by its digest.
            UsageProblem: weights are given to a network that starts from random ones, or a
                plug-in's network is no encoder.
        """
        self._require(weights)
        if not code_of(type(self)).own:
            self._try_out()
        if self.weights is None or weights is None:
            return None
        return WeightsFile(weights, identify(weights, self.weights))

    def _try_out(self) -> None:
        import torch

        with torch.random.fork_rng(devices=[]):
            self.random(TRIED_SIZE)

    def random(self, embedding_size: int) -> "nn.Module":
        """Return the network with random weights, after a look at what an encoder must have.

        Raises:
            UsageProblem: it cannot be built, or is no encoder; in one line.
        """
        from methods.base.encoder import check_encoder

        with _foreign(self):
            network = self.build(embedding_size)
            encoder = check_encoder(network)
            if encoder.embedding_size != embedding_size:
                raise ValueError(
                    f"embedding_size: expected {embedding_size}, found {encoder.embedding_size}"
                )
            return network

    def __call__(
        self,
        embedding_size: int,
        weights: Path | None = None,
        normalisation: Normalisation | None = None,
    ) -> "nn.Module":
        """Return the network as a run starts from it.

        Of a pre-trained network only the `head` is random.

        Args:
            embedding_size: d.
            weights: the file of pre-trained weights.
            normalisation: mean and standard deviation of red, green and blue that the images are
                normalised with; None means ImageNet's. Only pre-trained networks need to know.

        Raises:
            DataProblem: the weights are missing, damaged or of another network.
            UsageProblem: weights are given to a network that starts from random ones, or the
                network is no encoder.
        """
        self._require(weights)
        network = self.random(embedding_size)
        if weights is not None:
            self.pretrain(network, weights, normalisation)
        return network

    def _require(self, weights: Path | None) -> None:
        """Refuse weights that are given to no avail, and a start without those that it needs."""
        if self.weights is None and weights is not None:
            raise UsageProblem(
                f"backbone {self.name}: expected no --weights, as it starts from random ones, "
                f"found {weights}; leave the option out or choose a pre-trained backbone"
            )
        if self.weights is not None and self.needs_weights and weights is None:
            raise DataProblem(
                f"backbone {self.name} starts from pre-trained weights, and none are given. "
                f"{self.weights.remedy}."
            )


@contextmanager
def _foreign(backbone: Backbone) -> Iterator[None]:
    """Turn whatever a plug-in's backbone raises into one line, but for what it says on purpose."""
    try:
        yield
    except (BenchError, KeyboardInterrupt):
        raise
    except BaseException as error:
        if code_of(type(backbone)).own or isinstance(error, MemoryError):
            raise
        # What is raised as a ValueError here says what was expected and found.
        text = str(error) if type(error) is ValueError else in_one_line(error)
        raise UsageProblem(
            f"backbone {backbone.name} ({type(backbone).origin}): {' '.join(text.split())}; mend "
            "the plug-in, check_backbone of benchmarks.backbones.testing helps"
        ) from error
