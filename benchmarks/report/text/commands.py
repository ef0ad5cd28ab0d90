"""The command that fills what is missing."""

import json
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.report.data import recipe_facts
from benchmarks.report.data.comparison import DEFAULT_SPLIT, Comparison
from benchmarks.runs.plugin_tables import kept_file
from benchmarks.runs.table_file import PluginTable
from benchmarks.training import recipe as recipes


@dataclass(frozen=True)
class Commands:
    """Writes `bench run` commands for a folder of results."""

    results: Path

    def methods(
        self,
        comparison: Comparison,
        methods: Iterable[str],
        hyper_parameters: Mapping[str, Any] | None = None,
        recipe: Mapping[str, Any] | None = None,
        split: str | None = None,
    ) -> str:
        """Return the command that adds methods to a comparison.

        Args:
            comparison: gives data set, recipe, its changes and the number of seeds.
            methods: names.
            hyper_parameters: set for each of the methods.
            recipe: further changes of the recipe.
            split: training split; None for the data set's first.
        """
        names = list(methods)
        changes = hyper_parameters or {}
        words = ["--methods", ",".join(names)]
        for name in names:
            words += [w for k, v in changes.items() for w in ("--set", f"{name}.{k}={_inline(v)}")]
        words += ["--dataset", comparison.dataset_name]
        words += ["--split", split] if split and split != DEFAULT_SPLIT else []
        return self._command([*words, *_recipe_words(comparison, recipe)], comparison)

    def table(self, comparison: Comparison, *tables: int | str) -> str:
        """Return the command that fills every missing row of tables."""
        words = ["--table", ",".join(map(str, tables))]
        chosen = [t for t in comparison.paper_tables if t.id in map(str, tables)]
        files = (kept_file(self.results, t) for t in chosen if isinstance(t, PluginTable))
        words += [w for file in dict.fromkeys(map(str, files)) for w in ("--plugin", file)]
        return self._command([*words, *_recipe_words(comparison)], comparison)

    def first(self) -> str:
        """Return the command that needs no data and little time."""
        return shlex.join(["bench", "run", *self._place()])

    def _place(self) -> list[str]:
        return [] if self.results == Path("results") else ["--results", str(self.results)]

    def _command(self, words: list[str], comparison: Comparison) -> str:
        seeds = ["--seeds", str(comparison.seeds)] if comparison.seeds > 1 else []
        # The folder of a user's own images is not part of a record, nor is that of weights.
        data = ["--data", "DIR"] if comparison.dataset_name == "folder" else []
        data += ["--partial"] if comparison.partial else []
        weights = _weights(comparison)
        data += ["--weights", weights] if weights else []
        return shlex.join(["bench", "run", *words, *seeds, *data, *self._place()])


def _weights(comparison: Comparison) -> str:
    """Return the name of the file that the networks start from; "" if they start from random."""
    if comparison.runs:
        used = (run.record.weights for run in comparison.runs)
        return next((weights.file for weights in used if weights is not None), "")
    backbone = comparison.recipe.get("backbone")
    for table in comparison.paper_tables:
        if (recipe_facts.builtin(table.recipe) or {}).get("backbone") == backbone:
            return table.weights
    return ""


def _recipe_words(comparison: Comparison, changes: Mapping[str, Any] | None = None) -> list[str]:
    name = str(comparison.recipe["name"])
    words = ["--recipe", name if name in recipes.names() else f"{name}.yaml"]
    for field, value in {**comparison.recipe_changed, **(changes or {})}.items():
        if field == "epochs":
            words += ["--epochs", str(value)]
        else:
            words += ["--set", f"recipe.{field}={_inline(value)}"]
    return words


def _inline(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)
