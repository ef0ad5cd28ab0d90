"""The schema of run.json, as pydantic models: what a finished run says of itself.

Every field is stated in every record; what records of older versions lack is filled in by
`benchmarks.runs.upgrade` alone. The same schema stands in results/schema/ as JSON Schema.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from benchmarks.backbones.weights import WeightsFacts
from benchmarks.evaluator import metric_names
from benchmarks.runs.folder_names import folder_name
from benchmarks.training.slices import Slice as Slice

SCHEMA_VERSION = 2
KEY_SCHEMA = 1
"""What the declaration behind a run's key states as its schema: it outlives that of records, since
another one would be another key for the same run."""


class Part(BaseModel):
    """Part of a record: immutable, and with no field beyond those stated."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class MethodFacts(Part):
    """Which method ran, with every hyper-parameter, defaults included."""

    name: str
    paper: str
    hyper_parameters: dict[str, Any]
    changed: dict[str, Any]
    """The hyper-parameters that differ from the method's defaults."""
    uses_labels: bool
    """Whether it learns from labels: an upper bound, not one of the compared methods."""
    revision: int
    """Of the method's results, raised by hand; those recorded without are of the first."""
    file: str | None
    """Where the method's class was defined; None in records of older versions."""
    sha256: str | None
    """Of that file, as it was imported."""
    package: str | None
    """The installed package that the file belongs to; None for a plug-in file."""
    version: str | None
    """Of the package."""


class DatasetFacts(Part):
    """Which images were used."""

    name: str
    digest: str
    train_images: int
    test_images: int
    classes: int
    image_size: int
    labelled: bool
    split: str
    """Which of the data set's training splits."""
    bank_images: int | None
    """Images that the kNN classifier compares with; None: the training images."""
    unseen: bool
    """Whether no class of the test images is in the training set."""
    partial: bool
    """Whether the data set was not there as a whole."""
    understood: tuple[str, ...]
    """How files were read whose layout no data set prescribes."""
    notes: tuple[str, ...]
    """What else was said of the images before training."""
    left_out: dict[str, int]
    """How many files were not used, by reason."""
    path: str
    """The user's own folder that was read; it may have moved since."""

    def identity(self) -> dict[str, Any]:
        """Return what tells images apart: all but how and where they were read."""
        return self.model_dump(exclude={"understood", "notes", "left_out", "path"})


class Measurement(Part):
    """One number, with what is needed to compare it."""

    value: float
    unit: str
    """Such as "percent" (0 to 100), "fraction" (0 to 1), "nats" or "count"; "" for a plain number
    and where it is not known."""
    protocol: str
    """How it was measured and of which representation, such as `knn-200-0.1@embedding`: numbers of
    two protocols do not compare. "" for what the training itself gives, such as the loss."""


class Final(Part):
    """What the last epoch reached: the headline."""

    epoch: int
    measurements: dict[str, Measurement]
    """By `metric@representation`; by the bare name for what is of no representation."""

    def value(self, name: str, representation: str = metric_names.EMBEDDING) -> float | None:
        """Return a value, or None if it was not measured.

        Args:
            name: `metric@representation`, or a metric's bare name.
            representation: which one a bare name of a metric of embeddings means.
        """
        found = self.measurements.get(metric_names.of(name, representation))
        if "@" in name or found is None:
            found = self.measurements.get(name)
        return None if found is None else found.value


class Best(Part):
    """The epoch of the highest headline: chosen on the test set, so shown beside, never instead."""

    epoch: int
    metric: str
    """Such as `knn@embedding`, or `recall_at_1@embedding` where test images are of unseen
    classes."""
    value: float


class Environment(Part):
    """Where the run was made."""

    python: str
    platform: str
    device: str
    precision: Literal["fp32", "bf16"]
    compiled: bool = False
    """Whether torch.compile prepared the encoder for training."""
    threads: int
    packages: dict[str, str]
    git_commit: str | None = None
    git_dirty: bool | None = None


class Seconds(Part):
    """Wall-clock time, in seconds, summed over all the processes that worked on the run."""

    train: float
    evaluate: float


class RunRecord(Part):
    """The content of run.json."""

    schema_version: Literal[2]
    key: str
    method: MethodFacts
    dataset: DatasetFacts
    recipe: dict[str, Any]
    """The whole recipe as it was used; `name` is its name."""
    recipe_changed: dict[str, Any]
    """Fields of the recipe that the command changed (`--epochs`, `--set recipe.x=`)."""
    recipe_own: dict[str, Any]
    """Fields of the recipe that are this method's own, with what they are for the other methods of
    the comparison (a recipe's section `for_method`); None for what they leave at its default."""
    seed: int
    representation: str
    """The method's headline representation: which one its learning curve is of, and which a bare
    name of a metric means."""
    final: Final
    best: Best | None
    undefined: dict[str, str]
    """Why a metric has no value on this data set; keys as in `final.measurements`."""
    caveats: dict[str, str]
    """What a reader of a value must know, such as that k was clipped; keys likewise."""
    notes: tuple[str, ...]
    """What a reader of any of the values must know."""
    weights: WeightsFacts | None
    """None if the network started from random weights."""
    images_seen: int
    """Views of training images that passed through the network."""
    seconds: Seconds
    environment: Environment
    """Of the process that wrote the record; `slices` has those of all."""
    slices: tuple[Slice, ...]
    """Every process that worked on the run, in order; empty in records of older versions."""
    started: str
    finished: str

    def value(self, name: str) -> float | None:
        """Return a value of the last epoch; a bare name means the headline representation."""
        return self.final.value(name, self.representation)

    @property
    def protocols(self) -> dict[str, str]:
        """The protocol of each measurement that has one."""
        return {k: m.protocol for k, m in self.final.measurements.items() if m.protocol}

    @property
    def headline_metric(self) -> metric_names.Metric:
        """What the run is compared with others by."""
        return metric_names.headline(self.dataset.unseen)

    @property
    def headline(self) -> str:
        """What the last epoch reached, in words."""
        metric = self.headline_metric
        name = metric.of(self.representation)
        value = self.final.value(name)
        if value is not None:
            of = self.representation
            which = "" if of == metric_names.EMBEDDING else f" ({of})"
            return f"{metric.published}{which} {value:.1f}"
        if reason := self.undefined.get(name):
            return f"{metric.published} undefined: {reason}"
        if not self.dataset.labelled:
            return "no labels"
        return f"{metric.published} not measured" if self.dataset.test_images else "no test images"

    @property
    def folder(self) -> str:
        """Name of the run's folder."""
        return folder_name(
            self.dataset.name, self.method.name, self.recipe["name"], self.seed, self.key
        )
