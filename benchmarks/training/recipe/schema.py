"""The fields of a recipe."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from benchmarks import backbones
from benchmarks.common.errors import UsageProblem
from benchmarks.data.transforms.settings import Augmentation
from benchmarks.evaluator.settings import EvaluationSettings
from benchmarks.training import schedule as schedules
from benchmarks.training.schedule import Schedule

Count = Annotated[int, Field(ge=1, le=10**9)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Beta = Annotated[Finite, Field(ge=0, lt=1)]
Optimiser = Literal["sgd", "lars", "adamw"]
LONGEST_NAME = 64

ADDED_LATER = (
    "crop_size", "positive", "linear_c", "linear_features",
    "optimiser", "betas", "decay_all", "schedule", "warmup_epochs", "for_method",
)  # fmt: skip
"""Fields that the first records were made without.

A run's key is a digest of its serialised recipe. A field of this list is serialised only where it
differs from its default, which is what runs did before the field was there: so a new field changes
the key of no run that does not use it. A new field belongs here, and its default must be the old
behaviour.
"""
AUGMENTATION_ADDED_LATER = ("blur", "blur_sigma", "solarize")
"""The same for the fields of `augmentation`."""
_NOT_IN_KEY = ("name", "description", "methods", "for_method")

SHARED = (
    "name", "description", "methods", "for_method", "backbone", "train_images", "image_size",
    "crop_size", "evaluate_every", "knn_k", "knn_temperature", "linear_c", "linear_features",
)  # fmt: skip
"""Fields that are the same for all methods of a comparison: `for_method` cannot change them."""


class Recipe(BaseModel):
    """Everything that the methods of one comparison share, and where single methods differ."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    """At most LONGEST_NAME printable characters, none that leads to another folder."""
    description: str = ""
    backbone: str = "resnet18"
    embedding_size: Count = 128
    epochs: Count = 200
    """Of a round; the schedule restarts with each round of a method that has several."""
    batch_size: Annotated[int, Field(ge=2)] = 128
    """Images (instances) a step; a method with two views passes twice as many."""
    optimiser: Optimiser = "sgd"
    lr: Annotated[Finite, Field(gt=0)] = 0.03
    momentum: Annotated[Finite, Field(ge=0, lt=1)] = 0.9
    """Of SGD and LARS."""
    nesterov: bool = False
    """Of SGD."""
    betas: tuple[Beta, Beta] = (0.9, 0.999)
    """Of AdamW: how much of the running means of gradients and of their squares a step keeps."""
    weight_decay: Annotated[Finite, Field(ge=0)] = 5e-4
    decay_all: bool = True
    """False spares biases and the scales of normalisation the weight decay."""
    schedule: schedules.Kind = "steps"
    """Of the learning rate: "steps" holds `lr_factors`, "cosine" falls to 0, "constant" stays."""
    lr_factors: dict[Annotated[int, Field(ge=0)], Annotated[Finite, Field(ge=0)]] = Field(
        default_factory=lambda: {120: 0.1, 160: 0.01}
    )
    """From this epoch on (counted from 0) the learning rate is lr times the factor. Of the schedule
    "steps"; empty with any other."""
    warmup_epochs: Annotated[Finite, Field(ge=0)] = 0.0
    """Epochs, fractions allowed, in which the learning rate rises linearly from 0 to lr."""
    augmentation: Augmentation = Augmentation()
    train_images: Count | None = None
    """A fixed random subset of the training images, the same for every method and seed."""
    image_size: Count | None = None
    """Side of the images in pixels, for data sets whose images have no common size."""
    crop_size: Count | None = None
    """Side in pixels of the square that is cut out of an image before all else: a training view's
    at random, a test image's from its centre. None for the whole image."""
    positive: Literal["self", "neighbour"] = "self"
    """What an image's second view shows: itself, or with "neighbour" and with probability 1/2 its
    nearest neighbour among the training images (cosine of the pooled features), drawn once per
    image and epoch, as InvaSpread's code does on CUB200. Methods with another number of views than
    two have no use for it."""
    evaluate_every: Count = 1
    """Epochs between two evaluations; the first and the last epoch are always evaluated."""
    knn_k: Count = 200
    knn_temperature: Annotated[Finite, Field(gt=0)] = 0.1
    linear_c: Annotated[Finite, Field(gt=0)] | Literal["cross-validated"] = 1.0
    """C of the linear SVM; "cross-validated" chooses it among 0.1, 1, 10 and 100 on the bank."""
    linear_features: Literal["embedding", "pooled"] = "embedding"
    """What the linear SVM classifies: the embedding, or what the backbone pools before it."""
    methods: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Hyper-parameters of single methods that this recipe changes."""
    for_method: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Fields of this recipe, but for those in SHARED, that are others for single methods, such as
    `simclr: {optimiser: lars, lr: 1.0}`. The function `for_method` gives a method's own recipe."""

    @field_validator("name")
    @classmethod
    def _recordable_name(cls, name: str) -> str:
        wrong = not name.strip() or len(name) > LONGEST_NAME or name.startswith(".")
        if wrong or not name.isprintable() or set(name) & set("/\\"):
            raise ValueError(
                f"expected at most {LONGEST_NAME} printable characters without / or \\, the first "
                "not a point; rename the file or state another `name`"
            )
        return name

    @field_validator("description")
    @classmethod
    def _recordable_description(cls, description: str) -> str:
        # Surrogates, which JSON and UTF-8 cannot hold, come in with bytes that are not UTF-8.
        return description.encode("utf-8", "backslashreplace").decode("utf-8")

    @field_validator("backbone")
    @classmethod
    def _known_backbone(cls, backbone: str) -> str:
        try:
            backbones.get(backbone)
        except UsageProblem as problem:
            raise ValueError(str(problem)) from problem
        return backbone

    @model_validator(mode="before")
    @classmethod
    def _read_older_names(cls, fields: Any) -> Any:
        return with_current_names(fields) if isinstance(fields, Mapping) else fields

    @model_validator(mode="after")
    def _optimiser_has_what_it_needs(self) -> "Recipe":
        if self.nesterov and self.optimiser != "sgd":
            raise ValueError(
                f"nesterov: expected optimiser sgd, found {self.optimiser}; set nesterov=false"
            )
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov: expected momentum above 0, found 0")
        if self.optimiser == "lars" and self.momentum == 0:
            raise ValueError(
                "momentum: expected above 0 with optimiser lars, found 0; set momentum=0.9 or "
                "choose optimiser sgd"
            )
        if self.optimiser == "adamw" and self.momentum != _default("momentum"):
            raise ValueError(
                f"momentum: expected none of its own with optimiser adamw, found {self.momentum}; "
                "set betas, or choose optimiser sgd"
            )
        if self.optimiser != "adamw" and self.betas != _default("betas"):
            raise ValueError(
                f"betas: expected optimiser adamw, found {self.optimiser}; leave betas out"
            )
        return self

    @model_validator(mode="after")
    def _schedule_fits_its_epochs(self) -> "Recipe":
        if self.schedule != "steps" and self.lr_factors:
            if self.lr_factors != _default("lr_factors"):
                raise ValueError(
                    f"lr_factors: expected schedule steps, found {self.schedule}; leave lr_factors "
                    "out or set schedule=steps"
                )
            # Nobody asked for steps; a record must not state those that are not taken.
            object.__setattr__(self, "lr_factors", {})
        Schedule(self.schedule, self.epochs, self.lr_factors, self.warmup_epochs)
        return self

    @model_serializer(mode="wrap")
    def _as_recorded(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields: dict[str, Any] = serialise(self)
        for name in ADDED_LATER:
            if getattr(self, name) == _default(name):
                fields.pop(name, None)
        usual = Augmentation()
        for name in AUGMENTATION_ADDED_LATER:
            if getattr(self.augmentation, name) == getattr(usual, name):
                fields["augmentation"].pop(name)
        return fields

    @property
    def evaluation(self) -> EvaluationSettings:
        """What the evaluator needs to know of the recipe."""
        return EvaluationSettings(
            knn_k=self.knn_k,
            knn_temperature=self.knn_temperature,
            linear_c=self.linear_c,
            linear_features=self.linear_features,
            evaluate_every=self.evaluate_every,
            crop_size=self.crop_size,
        )

    @property
    def knn_protocol(self) -> str:
        """Name of the kNN protocol, such as knn-200-0.1."""
        return self.evaluation.knn_protocol

    def schedule_of(self, epochs: int) -> Schedule:
        """Return the schedule of a round.

        Args:
            epochs: of the round, at least 1: the recipe's, or as many as a method makes of them.

        Raises:
            UsageProblem: if the warm-up is longer than the round.
        """
        try:
            return Schedule(self.schedule, epochs, self.lr_factors, self.warmup_epochs)
        except ValueError as error:
            raise UsageProblem(f"recipe {self.name}: {error}") from error


def _default(name: str) -> Any:
    return Recipe.model_fields[name].get_default(call_default_factory=True)


def with_current_names(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return a recipe's fields under today's names, as files and records of before state others.

    `partners: itself` is now `positive: self`, and `partners: neighbour` is `positive: neighbour`.

    Raises:
        ValueError: if both names are there.
    """
    current = dict(fields)
    if "partners" not in current:
        return current
    if "positive" in current:
        raise ValueError("partners: expected positive alone, which is its name now, found both")
    value = current.pop("partners")
    return {**current, "positive": "self" if value == "itself" else value}


def key_fields(recipe: Recipe) -> dict[str, Any]:
    """Return what a run's key states of its recipe, as plain data (JSON types).

    That is what a record states, without what does not change a result (names, and what holds for
    other methods), and under the names that the first runs were made with: so a field that is
    renamed changes no key. The recipe is a method's own, as the function `for_method` gives it.
    """
    fields = recipe.model_dump(mode="json", exclude=set(_NOT_IN_KEY))
    if "positive" in fields:
        fields["partners"] = fields.pop("positive")
    return fields
