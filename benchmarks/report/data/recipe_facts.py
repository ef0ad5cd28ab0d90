"""What a recipe is called, and in what it differs from the paper's."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.runs import paper_tables
from benchmarks.training import recipe as recipes
from benchmarks.training.recipe.reader import asdict_recipe

PAPER = "paper"
AUGMENTATION = "augmentation"
LONGEST_SLUG = 120
"""Characters; systems allow 255 bytes in a file's name."""
_NOT_TRAINING = ("name", "description", "evaluate_every")
_UNSET = {
    "train_images": "all",
    "image_size": "the data set's own",
    "crop_size": "the whole image",
    "positive": "self",
}
_TRANSFORMS = dict(
    zip(paper_tables.TRANSFORMS, ("crop", "colour jitter", "grayscale", "flip"), strict=True)
)


def plain(value: Any) -> Any:
    """Return the value as JSON would give it back: text keys, lists for tuples."""
    return json.loads(json.dumps(value, default=str))


def builtin(name: str) -> dict[str, Any] | None:
    """Return the suite's own recipe of that name as plain data, or None if it has none."""
    return plain(_builtin(name)) if name in recipes.names() else None


@cache
def _builtin(name: str) -> dict[str, Any]:
    return asdict_recipe(recipes.read(name).recipe)


def paper_tables_of(
    dataset: str, recipe: Mapping[str, Any], pretrained: bool | None = None
) -> list[paper_tables.Table]:
    """Return the paper's tables that runs by a recipe may fill.

    Args:
        dataset: its name.
        recipe: of which the backbone counts.
        pretrained: whether the runs started from pre-trained weights; None if nothing was run, and
            the tables are those whose own recipes have the same backbone.
    """
    if pretrained is not None:
        return paper_tables.fitting(dataset, pretrained)
    every, backbone = paper_tables.on(dataset), recipe.get("backbone")
    alike = [t for t in every if (builtin(t.recipe) or {}).get("backbone") == backbone]
    return alike or every


def paper_recipe(tables: Sequence[paper_tables.Table]) -> str:
    """Return the name of the recipe of the paper's tables, or the paper's usual one."""
    return next((table.recipe for table in tables), PAPER)


def augmentation(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Return the augmentation of a recipe as the fields `augmentation.x`."""
    return {f"{AUGMENTATION}.{k}": v for k, v in plain(recipe.get(AUGMENTATION, {})).items()}


def with_augmentation(recipe: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the recipe with another augmentation, given as the fields `augmentation.x`."""
    values = {k.removeprefix(f"{AUGMENTATION}."): v for k, v in fields.items()}
    return {**recipe, AUGMENTATION: values} if AUGMENTATION in recipe else dict(recipe)


def ablates(field: str) -> bool:
    """Return whether a recipe's field is one of the augmentation, `augmentation.x`."""
    return field.startswith(f"{AUGMENTATION}.")


def augmented(recipe: Mapping[str, Any], usual: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields `augmentation.x` in which a recipe differs from the usual one."""
    here, own = augmentation(recipe), augmentation(usual)
    return {k: v for k, v in here.items() if k not in own or own[k] != v}


def flat(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Return the recipe with `augmentation` spread into `augmentation.x`."""
    fields = {k: v for k, v in plain(recipe).items() if k != AUGMENTATION}
    return {**fields, **augmentation(recipe)}


def differences(recipe: Mapping[str, Any], reference: str = PAPER) -> dict[str, tuple[Any, Any]]:
    """Return the fields in which a recipe trains otherwise than the paper's: (here, paper).

    Of a recipe that is not the suite's, such as a plug-in's file, only the name is known here.
    """
    usual, own = builtin(reference), str(recipe["name"])
    if usual is None:
        name = Path(reference).stem
        return {} if own == name else {"name": (own, name)}
    here, paper = flat(recipe), flat(usual)
    names = [k for k in {**paper, **here} if k not in _NOT_TRAINING]
    return {k: (here.get(k), paper.get(k)) for k in names if here.get(k) != paper.get(k)}


def label(recipe: Mapping[str, Any], changed: Mapping[str, Any]) -> str:
    """Return the recipe's name and what was changed, such as "paper, epochs = 2 of 200"."""
    usual = flat(builtin(str(recipe["name"])) or {})
    return ", ".join([str(recipe["name"]), *_changes(plain(changed), usual)])


def _changes(changed: Mapping[str, Any], usual: Mapping[str, Any]) -> list[str]:
    words = []
    for field, value in changed.items():
        known = usual.get(field) is not None
        link = "of" if field == "epochs" else "instead of"
        words.append(f"{field} = {value}" + (f" {link} {usual[field]}" if known else ""))
    return words


def named(method: str, hyper_parameters: Mapping[str, Any]) -> str:
    """Return "method (hyper-parameter = value)"."""
    settings = ", ".join(f"{k} = {v}" for k, v in hyper_parameters.items())
    return f"{method} ({settings})" if settings else method


def ablation(changed: Mapping[str, Any], recipe: Mapping[str, Any]) -> str:
    """Return changes of a recipe's augmentation in words, such as "without crop"; "" for none."""
    if not changed:
        return ""
    usual = augmentation(recipe)
    here = {**usual, **plain(changed)}
    off = {
        transform: plain(paper_tables.without(transform)) for transform in paper_tables.TRANSFORMS
    }
    absent = [name for name, fields in off.items() if fields.items() <= here.items()]
    if len(absent) == len(off) and not recipe.get("crop_size"):
        return "without augmentation"
    left_out = [name for name in absent if off[name].keys() & changed.keys()]
    told = {field for name in left_out for field in off[name]}
    words = [f"without {' and '.join(_TRANSFORMS[name] for name in left_out)}"] if left_out else []
    rest = {k: v for k, v in plain(changed).items() if k not in told}
    return ", ".join([*words, *_changes(rest, usual)])


def slug(text: str) -> str:
    """Return the text as a part of a file name: lower-case words joined by hyphens.

    Where letters of other scripts are lost or the text is longer than LONGEST_SLUG, a digest of it
    stands at the end, so that texts which differ have names which do.
    """
    words = re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-.") or "unnamed"
    if len(words) <= LONGEST_SLUG and not any(c.isalnum() and not c.isascii() for c in text):
        return words
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{words[: LONGEST_SLUG - 9].rstrip('-.')}-{digest}"


def shown(value: Any, field: str = "") -> str:
    """Return the value of a recipe's field in words."""
    if value is None:
        return _UNSET.get(field, "not set")
    if isinstance(value, Mapping):
        return ", ".join(f"{k}: {shown(v)}" for k, v in value.items()) or "none"
    if isinstance(value, list):
        return " to ".join(map(shown, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
