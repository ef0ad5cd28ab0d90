"""Attributes of classes, such as "can fly", for Figure 6 of the paper: facts from attributes.csv.

The paper does not print the attributes it used, so the table is the suite's own. Each attribute
parts the classes in another way: in CIFAR-10 and STL-10 what is no animal is a vehicle and what has
legs is an animal, so "vehicle" and "has legs" would only repeat "animal". An airplane's wheels are
those of its undercarriage; a monkey has arms and two legs.
"""

from collections.abc import Sequence
from functools import cache
from importlib import resources

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.common.errors import DataProblem

FILE = "attributes.csv"


@cache
def _table() -> pd.DataFrame:
    with resources.files("benchmarks.data").joinpath(FILE).open(encoding="utf-8") as file:
        return pd.read_csv(file, index_col=["dataset", "class"])


def attributes(dataset: str, classes: Sequence[str]) -> dict[str, NDArray[np.bool_]]:
    """Return which classes of a data set have each attribute.

    Args:
        dataset: a data set's name, such as "cifar10".
        classes: class names in the order of the labels.

    Returns:
        By attribute, (len(classes),) whether the class has it; empty if the table has no
        attributes for the data set.

    Raises:
        DataProblem: if the table knows the data set but not one of the classes.
    """
    table = _table()
    if dataset not in table.index.get_level_values("dataset"):
        return {}
    known = table.loc[dataset]
    unknown = [name for name in classes if name not in known.index]
    if unknown:
        raise DataProblem(
            f"attributes of {dataset}: expected classes among {', '.join(known.index)}; found "
            f"{', '.join(map(repr, unknown))}. Use the official class names, or add a row for each "
            f"to benchmarks/data/{FILE}."
        )
    return {str(name): has.to_numpy(np.bool_) for name, has in known.loc[list(classes)].items()}
