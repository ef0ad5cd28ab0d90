"""The paper's tables and figures, declared as data: which runs fill which row."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.common.errors import unknown_name
from benchmarks.data.transforms.settings import Augmentation
from benchmarks.evaluator.metric_names import KNN as KNN
from benchmarks.evaluator.metric_names import LINEAR as LINEAR
from benchmarks.evaluator.metric_names import NMI as NMI
from benchmarks.evaluator.metric_names import RECALL_AT_1 as RECALL_AT_1
from benchmarks.evaluator.metric_names import Metric as Metric
from benchmarks.evaluator.metric_names import headline as headline
from benchmarks.evaluator.metric_names import recall_at as recall_at

if TYPE_CHECKING:
    import pandas as pd

TRANSFORMS = ("crop", "jitter", "grayscale", "flip")
"""What `Augmentation.without` can leave out: R, C, G and F of Table 7."""


def without(*transforms: str) -> dict[str, Any]:
    """Return the recipe's changes that leave transforms out, as `--set recipe.…=` states them."""
    usual, left = Augmentation(), Augmentation().without(*transforms)
    values = {f.name: (getattr(usual, f.name), getattr(left, f.name)) for f in fields(usual)}
    return {f"augmentation.{name}": off for name, (on, off) in values.items() if on != off}


@dataclass(frozen=True)
class Row:
    """One row of a table: its name in the paper and the run that measures it."""

    published: str
    """Name in results/published/tables.csv."""
    method: str = ""
    """Empty where the value is only quoted."""
    hyper_parameters: Mapping[str, Any] = field(default_factory=dict)
    recipe: Mapping[str, Any] = field(default_factory=dict)
    """Changes of the recipe's fields, such as {"augmentation.flip": 0.0}."""
    split: str | None = None
    """Training split of the data set; None for any."""
    quoted: str = ""
    """Why the suite cannot measure it."""

    @property
    def settings(self) -> dict[str, Any]:
        """All that the row sets."""
        return {**self.hyper_parameters, **self.recipe}


@dataclass(frozen=True)
class Table:
    """A table of the paper."""

    number: int
    title: str
    dataset: str
    recipe: str
    rows: tuple[Row, ...]
    metrics: tuple[Metric, ...] = (KNN,)
    reference: str = ""
    """The row that the others change one thing of, if there is one."""
    quick: str = ""
    """A recipe that shows the order of the rows in minutes, if there is one."""
    weights: str = ""
    """The file of pre-trained weights that its networks start from; empty: they start random."""

    @property
    def id(self) -> str:
        """What `--table` calls it: its number."""
        return str(self.number)

    @property
    def heading(self) -> str:
        """Which table it is and what it shows."""
        return f"Table {self.id} of the paper, {self.title}"

    @property
    def pretrained(self) -> bool | None:
        """Whether its networks start from pre-trained weights; None if that is not stated."""
        return bool(self.weights)

    @property
    def headline(self) -> Metric:
        """What its methods are compared by."""
        return next(metric for metric in self.metrics if metric.words)

    def published_value(self, row: Row, metric: Metric = KNN) -> float | None:
        """Return the published value of a row, or None if there is none."""
        values = _published(self, row, metric).value
        return None if values.empty or values.isna().all() else float(values.iloc[0])

    def published_note(self, row: Row) -> str:
        """Return what is noted beside the first of the published values of a row."""
        notes = _published(self, row, self.metrics[0]).note
        return "" if notes.empty or notes.isna().all() else str(notes.iloc[0])


_OTHER, _SUPERVISED, _NOT_RUN = "other backbone", "supervised", "not run here"
_SMALL, _LARGE = "train", "train+unlabeled"
_BIRDS_AND_CARS = (*recall_at(2, 4, 8), NMI)
_PRODUCTS = (*recall_at(10, 100), NMI)


def _unsupervised(clusters: int) -> tuple[Row, ...]:
    """Return the rows that Tables 3 to 5 share, with DeepCluster's number of clusters."""
    return (
        Row("Exemplar", "exemplar"),
        Row("NCE", "nce"),
        Row("DeepCluster", "deepcluster", {"clusters": clusters}),
        Row("MOM", "mom"),
        Row("Ours", "invaspread"),
    )


_EVERY_TABLE = (
    Table(
        number=1,
        title="kNN accuracy (%) on CIFAR-10",
        dataset="cifar10",
        recipe="paper",
        quick="quick",
        rows=(
            Row("RandomCNN", "random-cnn"),
            Row("DeepCluster (10)", "deepcluster", {"clusters": 10}),
            Row("DeepCluster (1000)", "deepcluster", {"clusters": 1000}),
            Row("Exemplar", "exemplar"),
            Row("NPSoftmax", "npsoftmax"),
            Row("NCE", "nce"),
            Row("Triplet", "triplet"),
            Row("Triplet (Hard)", "triplet-hard"),
            Row("Ours", "invaspread"),
        ),
    ),
    Table(
        number=2,
        title="linear and kNN accuracy (%) on STL-10",
        dataset="stl10",
        recipe="stl10",
        metrics=(LINEAR, KNN),
        rows=(
            Row("RandomCNN", "random-cnn", split=_SMALL),
            Row("k-MeansNet", quoted=_OTHER),
            Row("HMP", quoted=_OTHER),
            Row("Satck", quoted=_OTHER),
            Row("Exemplar", quoted=_OTHER),
            Row("NPSoftmax", "npsoftmax", split=_SMALL),
            Row("NCE", "nce", split=_SMALL),
            Row("DeepCluster (100)", "deepcluster", {"clusters": 100}, split=_SMALL),
            Row("Ours (5K)", "invaspread", split=_SMALL),
            Row("Ours (105K)", "invaspread", split=_LARGE),
        ),
    ),
    Table(
        number=3,
        title="retrieval and clustering (%) on CUB200, unseen classes",
        dataset="cub200",
        recipe="cub200",
        quick="unseen-quick",
        metrics=_BIRDS_AND_CARS,
        weights="googlenet.h5",
        rows=(
            Row("Initial (FC)", "random-cnn"),
            Row("Lifted", quoted=_SUPERVISED),
            Row("Clustering", quoted=_SUPERVISED),
            Row("Triplet+", quoted=_SUPERVISED),
            Row("Smart+", quoted=_SUPERVISED),
            Row("Cyclic", quoted=_NOT_RUN),
            *_unsupervised(clusters=100),
        ),
    ),
    Table(
        number=4,
        title="retrieval and clustering (%) on Stanford Online Products, unseen classes",
        dataset="products",
        recipe="unseen",
        metrics=_PRODUCTS,
        weights="googlenet.h5",
        rows=(Row("Initial (FC)", "random-cnn"), *_unsupervised(clusters=1000)),
    ),
    Table(
        number=5,
        title="retrieval and clustering (%) on Cars196, unseen classes",
        dataset="cars196",
        recipe="unseen",
        quick="unseen-quick",
        metrics=_BIRDS_AND_CARS,
        weights="googlenet.h5",
        rows=(Row("Initial (FC)", "random-cnn"), *_unsupervised(clusters=100)),
    ),
    Table(
        number=6,
        title="retrieval and clustering (%) on Stanford Online Products, unseen classes, "
        "ResNet-18 from scratch",
        dataset="products",
        recipe="unseen-scratch",
        metrics=_PRODUCTS,
        rows=(
            Row("Random", "random-cnn"),
            Row("Exemplar", "exemplar"),
            Row("NCE", "nce"),
            Row("MOM", "mom"),
            Row("Ours", "invaspread"),
        ),
    ),
    Table(
        number=7,
        title="kNN accuracy (%) on CIFAR-10, one transform left out",
        dataset="cifar10",
        recipe="paper",
        quick="quick",
        reference="Full",
        rows=(
            Row("Full", "invaspread"),
            Row("w/o R", "invaspread", recipe=without("crop")),
            Row("w/o G", "invaspread", recipe=without("grayscale")),
            Row("w/o C", "invaspread", recipe=without("jitter")),
            Row("w/o F", "invaspread", recipe=without("flip")),
        ),
    ),
    Table(
        number=8,
        title="kNN accuracy (%) on CIFAR-10, by augmentation and negatives",
        dataset="cifar10",
        recipe="paper",
        quick="quick",
        reference="Full",
        rows=(
            Row("Full", "invaspread"),
            Row("No DA", "invaspread", recipe=without(*TRANSFORMS)),
            Row("Hard", "invaspread", {"negatives": "hard"}),
            Row("Easy", "invaspread", {"negatives": "easy"}),
        ),
    ),
)

TABLES = {table.number: table for table in _EVERY_TABLE}
FURTHER: dict[str, Table] = {}
"""Tables that plug-ins brought, by name; `plugin_tables` fills it."""

FIGURE_3 = {
    "invaspread": "Ours",
    "nce": "NCE",
    "exemplar": "Exemplar",
    "deepcluster": "DeepCluster",
}
"""Name in results/published/figure3.csv of the methods that Figure 3 shows."""


def every() -> dict[str, Table]:
    """Return all tables by id: the paper's by number, then those of plug-ins by name."""
    further = (FURTHER[name] for name in sorted(FURTHER))
    return {table.id: table for table in (*TABLES.values(), *further)}


def get(table_id: int | str) -> Table:
    """Return a table by its number, or by the name that a plug-in's has.

    Raises:
        UsageProblem: if there is no such table.
    """
    known = every()
    if str(table_id) not in known:
        raise unknown_name("table", str(table_id), known)
    return known[str(table_id)]


def methods(table_id: int | str) -> list[str]:
    """Return the methods that a table measures, each once, in its order."""
    return list(dict.fromkeys(row.method for row in get(table_id).rows if row.method))


def on(dataset: str) -> list[Table]:
    """Return the tables on a data set, the paper's in the order of their numbers first."""
    return [table for table in every().values() if table.dataset == dataset]


def fitting(dataset: str, pretrained: bool) -> list[Table]:
    """Return the tables on a data set that runs may fill.

    Where those on the data set differ in it, they are those whose networks start as the runs' do.

    Args:
        dataset: its name.
        pretrained: whether the runs' networks start from pre-trained weights.
    """
    here = on(dataset)
    stated = [table for table in here if table.pretrained is not None]
    alike = [table for table in stated if table.pretrained == pretrained] or stated
    return [table for table in here if table.pretrained is None or table in alike]


def _published_folder() -> Path:
    here = Path(__file__).parents[1]
    installed = here / "published"  # the wheel carries it there
    return installed if installed.is_dir() else here.parent / "results" / "published"


@cache
def published_tables() -> "pd.DataFrame":
    """Return the paper's tables: table, dataset, method, metric, value, note."""
    import pandas as pd  # at need: to name the tables, nothing is read

    return pd.read_csv(_published_folder() / "tables.csv")


@cache
def published_figure_3() -> "pd.DataFrame":
    """Return values stated in the text or digitised from Figure 3."""
    import pandas as pd  # at need: to name the tables, nothing is read

    return pd.read_csv(_published_folder() / "figure3.csv")


def published_value(table: Table, row: Row, metric: Metric = KNN) -> float | None:
    """Return the published value of a row, or None if there is a dash."""
    return table.published_value(row, metric)


def published_note(table: Table, row: Row) -> str:
    """Return what is noted beside the first of the published values of a row."""
    return table.published_note(row)


def _published(table: Table, row: Row, metric: Metric) -> "pd.DataFrame":
    values = published_tables()
    return values[
        (values.table == table.number)
        & (values.method == row.published)
        & (values.metric == metric.published)
    ]
