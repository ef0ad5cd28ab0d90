"""Named recipes: how long, how fast and on what network a method is trained, as YAML facts."""

from benchmarks.recipes.model import Recipe
from benchmarks.recipes.reader import RecipeFile, names, read, resolve

__all__ = ["Recipe", "RecipeFile", "names", "read", "resolve"]
