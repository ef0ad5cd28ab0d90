"""What stands side by side: groups of runs that differ in their seeds alone, and comparisons."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from benchmarks.evaluator import metric_names
from benchmarks.report.data import recipe_facts
from benchmarks.runs import paper_tables as tables
from benchmarks.runs.failures import Failure
from benchmarks.runs.record import DatasetFacts
from benchmarks.runs.store import StoredRun

DEFAULT_SPLIT = "train"
"""What records call the training split of a data set that has only one."""


@dataclass(frozen=True)
class Group:
    """Runs of one configuration: they differ in nothing but the seed."""

    method: str
    hyper_parameters: Mapping[str, Any]
    changed: Mapping[str, Any]
    """The hyper-parameters that differ from the method's defaults."""
    runs: tuple[StoredRun, ...] = ()
    """One per seed, in the order of the seeds."""
    failures: tuple[Failure, ...] = ()
    precision: str = ""
    protocol: str = ""
    """Of the headline metric, and of the representation that it is of."""
    representation: str = metric_names.EMBEDDING
    """The method's headline one."""
    split: str = DEFAULT_SPLIT
    """The data set's training split."""
    ablation: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the recipe in which it differs from the comparison, all of the augmentation."""
    label: str = ""
    """The method's name, with what sets it apart from others in the comparison."""
    weights: str = ""
    """The digest of the file of pre-trained weights; empty without one."""

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds of the finished runs."""
        return tuple(run.record.seed for run in self.runs)

    @property
    def uses_labels(self) -> bool:
        """Whether it learns from labels: an upper bound, never the best of the others."""
        return any(run.record.method.uses_labels for run in self.runs)

    @property
    def ranked(self) -> bool:
        """Whether it may be ranked, tested and marked as the best with others."""
        return not self.uses_labels

    def offers(self, name: str) -> bool:
        """Return whether a run has a value of a metric, such as `knn@features`."""
        return any(run.record.value(name) is not None for run in self.runs)

    @property
    def trained(self) -> bool:
        """Whether a run of it went through at least one epoch."""
        return any(run.record.final.epoch > 0 for run in self.runs)


@dataclass(frozen=True)
class Comparison:
    """Groups that used the same data set and, but for their ablations, the same recipe."""

    dataset_name: str
    dataset: DatasetFacts | None
    """None if nothing was run yet."""
    recipe: Mapping[str, Any]
    recipe_changed: Mapping[str, Any]
    groups: tuple[Group, ...] = ()
    mark: str = ""
    """Set where data set and recipe have the same names as another comparison's."""
    representation: str = metric_names.EMBEDDING
    """What its groups are compared by: numbers of two representations are never ranked together."""
    aside: bool = False
    """Whether it is of another representation than most of the methods' headline one."""

    @property
    def label(self) -> str:
        """The recipe and what the command changed of it, such as "paper, epochs = 2 of 200"."""
        label = recipe_facts.label(self.recipe, self.recipe_changed)
        label += ", part of the data set" if self.partial else ""
        label += f", {self.representation} of every method" if self.aside else ""
        return f"{label} [{self.mark}]" if self.mark else label

    @property
    def slug(self) -> str:
        """The label as a part of a file name."""
        words = [str(self.recipe["name"]), *(f"{k}-{v}" for k, v in self.recipe_changed.items())]
        words += ["partial"] if self.partial else []
        words += [self.representation] if self.aside else []
        return recipe_facts.slug(" ".join([*words, self.mark]))

    @property
    def partial(self) -> bool:
        """Whether the data set was not there as a whole."""
        return self.dataset is not None and self.dataset.partial

    @property
    def paper_tables(self) -> list[tables.Table]:
        """The paper's tables that its groups may fill."""
        starts = [run.record.weights is not None for run in self.runs]
        return recipe_facts.paper_tables_of(
            self.dataset_name, self.recipe, any(starts) if starts else None
        )

    @property
    def headline(self) -> tables.Metric:
        """What its groups are compared by."""
        if self.dataset is not None:
            return tables.headline(self.dataset.unseen)
        return next((table.headline for table in self.paper_tables), tables.KNN)

    @property
    def key(self) -> str:
        """The name by which records have the headline of its representation."""
        return self.headline.of(self.representation)

    def name_of(self, metric: tables.Metric) -> str:
        """Return the name by which records have a metric of its representation."""
        return metric.of(self.representation)

    @property
    def others(self) -> list[str]:
        """Further representations of which some group has the headline, in the groups' order."""
        found = (
            representation
            for run in self.runs
            for name in run.record.final.measurements
            for metric, representation in [metric_names.split(name)]
            if metric == self.headline.name and representation != self.representation
        )
        return list(dict.fromkeys(found))

    def of(self, representation: str) -> "Comparison":
        """Return the same by another representation, of the groups that have it."""
        name = self.headline.of(representation)
        return replace(
            self,
            groups=tuple(group for group in self.groups if group.offers(name)),
            representation=representation,
            aside=True,
        )

    @property
    def asides(self) -> list["Comparison"]:
        """The same by each further representation that is the headline of some method."""
        headlines = {group.representation for group in self.groups if group.runs}
        return [self.of(name) for name in self.others if name in headlines]

    @property
    def unablated(self) -> list[Group]:
        """The groups that used the comparison's own augmentation."""
        return [group for group in self.groups if not group.ablation]

    @property
    def runs(self) -> list[StoredRun]:
        """All finished runs."""
        return [run for group in self.groups for run in group.runs]

    @property
    def failures(self) -> list[Failure]:
        """All failed runs."""
        return [failure for group in self.groups for failure in group.failures]

    @property
    def seeds(self) -> int:
        """How many seeds, counted from 0, were run."""
        ran = [run.record.seed for run in self.runs] + [f.seed for f in self.failures]
        return max(ran, default=-1) + 1
