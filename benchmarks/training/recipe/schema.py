"""The fields of a recipe."""

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
from benchmarks.data.transforms.augment import Augmentation

Positive = Annotated[int, Field(ge=1, le=10**9)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
LONGEST_NAME = 64
Partners = Literal["itself", "neighbour"]
_ADDED_LATER = ("crop_size", "partners", "linear_c", "linear_features")
"""Fields that runs were recorded without; stated only where they are not as they were then."""


class Recipe(BaseModel):
    """Everything that the methods of one comparison share."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    """At most LONGEST_NAME printable characters, none that leads to another folder."""
    description: str = ""
    backbone: str = "resnet18"
    embedding_size: Positive = 128
    epochs: Positive = 200
    batch_size: Annotated[int, Field(ge=2)] = 128
    """Images (instances) a step; a method with two views passes twice as many."""
    lr: Annotated[Finite, Field(gt=0)] = 0.03
    momentum: Annotated[Finite, Field(ge=0, lt=1)] = 0.9
    nesterov: bool = False
    weight_decay: Annotated[Finite, Field(ge=0)] = 5e-4
    lr_factors: dict[Annotated[int, Field(ge=0)], Annotated[Finite, Field(ge=0)]] = Field(
        default_factory=lambda: {120: 0.1, 160: 0.01}
    )
    """From this epoch on (counted from 0) the learning rate is lr times the factor."""
    augmentation: Augmentation = Augmentation()
    train_images: Positive | None = None
    """A fixed random subset of the training images, the same for every method and seed."""
    image_size: Positive | None = None
    """Side of the images in pixels, for data sets whose images have no common size."""
    crop_size: Positive | None = None
    """Side in pixels of the square that is cut out of an image before all else: a training view's
    at random, a test image's from its centre. None for the whole image."""
    partners: Partners = "itself"
    """What an image's second view shows. "neighbour": by one coin an epoch, itself or its nearest
    neighbour among the training images (cosine of the pooled features), as InvaSpread's code does
    on CUB200. Methods with another number of views than two have no use for it."""
    evaluate_every: Positive = 1
    """Epochs between two evaluations; the first and the last epoch are always evaluated."""
    knn_k: Positive = 200
    knn_temperature: Annotated[Finite, Field(gt=0)] = 0.1
    linear_c: Annotated[Finite, Field(gt=0)] | Literal["cross-validated"] = 1.0
    """C of the linear SVM; "cross-validated" chooses it among 0.1, 1, 10 and 100 on the bank."""
    linear_features: Literal["embedding", "pooled"] = "embedding"
    """What the linear SVM classifies: the embedding, or what the backbone pools before it."""
    methods: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Hyper-parameters of single methods that this recipe changes."""

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

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> "Recipe":
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov: expected momentum above 0, found 0")
        return self

    @model_serializer(mode="wrap")
    def _as_recorded(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields: dict[str, Any] = serialise(self)
        usual = type(self).model_fields
        unused = [name for name in _ADDED_LATER if fields[name] == usual[name].default]
        return {name: value for name, value in fields.items() if name not in unused}

    @property
    def knn_protocol(self) -> str:
        """Name of the kNN protocol, such as knn-200-0.1."""
        return f"knn-{self.knn_k}-{self.knn_temperature:g}"

    def lr_at(self, epoch: int) -> float:
        """Return the learning rate of an epoch (counted from 0)."""
        started = [e for e in self.lr_factors if e <= epoch]
        return self.lr * (self.lr_factors[max(started)] if started else 1.0)
