"""What a run is: a method on a data set by a recipe with a seed. Its key, its folder, its title.

A spec names its images and its method; it holds no pixels, so it can be listed in a moment and sent
to another process or machine, which reads the images itself (`runs.images`).
"""

import hashlib
import json
import pickle
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from benchmarks import backbones
from benchmarks.backbones.weights import WeightsFile
from benchmarks.common.errors import MethodProblem
from benchmarks.data.datasets.base import DEFAULT_SPLIT, ImageData
from benchmarks.runs import store
from benchmarks.runs.images import ImageRequest, images_of
from benchmarks.training.recipe import Recipe, key_fields
from benchmarks.training.recipe.overrides import declared
from methods import Method
from methods import get as get_method
from methods.base import registry
from methods.base.code import code_of, foreign_digests, loaded


@dataclass(frozen=True)
class DatasetSpec:
    """Which images a run uses, with the facts of them that its key and its record state."""

    request: ImageRequest
    """How they are read again."""
    name: str
    digest: str
    """Of their content, hexadecimal."""
    split: str
    """The training split that was read."""
    image_size: int
    """Height and width in pixels."""
    unseen: bool
    """Whether the test images are of classes that no training image has."""
    told: tuple[str, ...] = ()
    """All that is said of them before training."""
    stated: Mapping[str, Any] = field(default_factory=dict, compare=False)
    """`ImageData.facts`."""
    understood: Mapping[str, Any] = field(default_factory=dict, compare=False)
    """`ImageData.reading`."""

    @classmethod
    def of(cls, request: ImageRequest, data: ImageData) -> "DatasetSpec":
        """Return the spec of images that were read for a request."""
        return cls(
            request=request,
            name=data.name,
            digest=data.digest,
            split=data.split,
            image_size=data.image_size,
            unseen=data.unseen,
            told=data.told,
            stated=data.facts(),
            understood=data.reading(),
        )

    def load(self) -> ImageData:
        """Return the images themselves, read once for all runs that share them.

        Raises:
            DataProblem: they cannot be read, or are others than when the run was planned.
        """
        return images_of(self.request, self.digest)

    def facts(self) -> dict[str, Any]:
        """Return what a run's key and record state of the images, ready for JSON."""
        return {**self.stated, "digest": self.digest}

    def reading(self) -> dict[str, Any]:
        """Return what a record states of how the images were read, ready for JSON."""
        return dict(self.understood)


@dataclass(frozen=True)
class RunSpec:
    """The unit of work, of caching, of resuming and of scheduling."""

    method: type[Method]
    hyper_parameters: Mapping[str, Any]
    """All of them, defaults included."""
    changed: Mapping[str, Any]
    """Those that differ from the method's defaults."""
    data: DatasetSpec
    recipe: Recipe
    recipe_changed: Mapping[str, Any]
    seed: int
    precision: str
    weights: WeightsFile | None = None
    """What the network starts from; None for random weights."""
    recipe_own: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the recipe that are the method's own, with what they are for the others."""
    notes: tuple[str, ...] = ()
    """What is worth saying of the method before it is trained."""

    @cached_property
    def key(self) -> str:
        """SHA-256 over the declared configuration and the code, never over pickled objects."""
        return self._digest(self.code)

    @cached_property
    def key_without_code(self) -> str:
        """What runs of one configuration have in common, whatever their code."""
        return self._digest({})

    @cached_property
    def code(self) -> dict[str, Any]:
        """What the key states of the code; empty for the suite's own methods at revision 1.

        Stated only where it differs from that, so that runs made before keep their keys. The
        suite's own code is told apart by `revision` alone: most edits of it change no result.
        """
        stated: dict[str, Any] = {}
        if self.method.revision != 1:
            stated["revision"] = self.method.revision
        files = foreign_digests(self.method, Method)
        if files:
            stated["code"] = files
        facts = code_of(self.method)
        if facts.package is not None and not facts.own:
            stated["package"] = f"{facts.package} {facts.version}"
        network = backbones.get(self.recipe.backbone).code
        if network:
            stated["backbone"] = network
        return stated

    @cached_property
    def declared_hyper_parameters(self) -> dict[str, Any]:
        """All hyper-parameters as JSON values."""
        return declared(self.method, self.hyper_parameters)

    def _digest(self, code: Mapping[str, Any]) -> str:
        configuration = {
            "schema": store.KEY_SCHEMA,
            "method": self.method.name,
            "hyper_parameters": self.declared_hyper_parameters,
            "dataset": self.data.facts(),
            "recipe": key_fields(self.recipe),
            "seed": self.seed,
            "precision": self.precision,
            **code,
        }
        if self.weights is not None:
            configuration["weights"] = self.weights.facts.sha256
        text = json.dumps(configuration, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def folder_name(self) -> str:
        """Name of the run's folder below results/runs."""
        return store.folder_name(
            self.data.name, self.method.name, self.recipe.name, self.seed, self.key
        )

    @property
    def title(self) -> str:
        """Short name for progress lines."""
        settings = {
            **self.changed,
            **{k: v for k, v in self.recipe_changed.items() if k.startswith("augmentation.")},
            **({"split": self.data.split} if self.data.split != DEFAULT_SPLIT else {}),
        }
        changes = ", ".join(f"{k}={v}" for k, v in settings.items())
        return f"{self.method.name}{f' ({changes})' if changes else ''} s{self.seed}"

    def __reduce__(self) -> tuple[Callable[..., "RunSpec"], tuple[Any, ...]]:
        """Pickle the method by name and, for a plug-in, by file, which the reader imports.

        The rest is pickled apart, as a hyper-parameter may be a function of the plug-in's.
        """
        rest = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "method"}
        return _restored, (self.method.name, _plugin_of(self.method), pickle.dumps(rest), self.key)


def _plugin_of(method: type[Method]) -> str | None:
    """Return the plug-in file that a method was read from; None for one of an installed package."""
    module = method.__module__
    return getattr(sys.modules[module], "__file__", None) if module in loaded else None


def _restored(name: str, plugin: str | None, rest: bytes, key: str) -> RunSpec:
    """Return a pickled spec.

    Raises:
        MethodProblem: if its method is not to be had here, or has other code than where it was
            planned.
    """
    try:
        if plugin is not None and name not in registry.names(labelled=True):
            registry.load_file(plugin)
        method = get_method(name)
    except ValueError as error:
        raise MethodProblem(f"{name}: cannot be had in this process: {error}") from error
    spec = RunSpec(method=method, **pickle.loads(rest))
    if spec.key != key:
        raise MethodProblem(
            f"{name}: expected the code that the run was planned with, found other code (key "
            f"{spec.key[:8]} instead of {key[:8]}); give the command again to plan anew"
        )
    return spec
