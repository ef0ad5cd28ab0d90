"""Named recipes: how long, how fast and on what network a method is trained, as YAML facts."""

from benchmarks.training.recipe.reader import (
    RecipeFile,
    for_method,
    names,
    read,
    resolve,
    shared_values,
)
from benchmarks.training.recipe.schema import Recipe, key_fields

__all__ = [
    "Recipe",
    "RecipeFile",
    "for_method",
    "key_fields",
    "names",
    "read",
    "resolve",
    "shared_values",
]
