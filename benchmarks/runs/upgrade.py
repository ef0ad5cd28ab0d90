"""From records of older versions to this one's schema: plain data in, plain data out.

Files are never rewritten: a reader upgrades what it has read. Whatever a record of schema 1 does
not state is stated here, once.
"""

from collections.abc import Mapping
from typing import Any

from benchmarks.evaluator import metric_names
from benchmarks.evaluator.metric_names import EMBEDDING, FEATURES, MEMORY

OWN = "own"
"""The representation of schema 1 that a method's own `embed` returned; it was not named then."""

_METHOD_1: Mapping[str, Any] = {
    "hyper_parameters": {}, "changed": {}, "uses_labels": False, "revision": 1,
    "file": None, "sha256": None, "package": None, "version": None,
}  # fmt: skip
_DATASET_1: Mapping[str, Any] = {
    "split": "train", "bank_images": None, "unseen": False, "partial": False,
    "understood": (), "notes": (), "left_out": {}, "path": "",
}  # fmt: skip
_RECORD_1: Mapping[str, Any] = {
    "recipe_changed": {}, "recipe_own": {}, "weights": None, "slices": (), "undefined": {},
    "caveats": {},
}  # fmt: skip
"""What the fields that schema 1 gained in its life mean where a record does not have them."""
_BACKBONES_1: Mapping[str, str] = {
    "googlenet-torchvision": "The backbone googlenet-torchvision is another network with another "
    "start than the Caffe GoogLeNet of published figures",
}
"""What schema 1 did not record of its networks, by their names."""
_PREFIX = "pooled_"
_SUFFIXES = ("-memory-bank", "-pooled-features", "-embedding", "-pooled")
"""How names of schema 1 say what was evaluated."""


def upgrade(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of a run.json of any older version in this version's schema.

    Content of this version is returned as it is.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: if the content is no record of its version.
    """
    return _from_1(content) if content["schema_version"] == 1 else dict(content)


def _from_1(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record of schema 1 in schema 2; fields that neither knows stay, to be refused."""
    record = {**_RECORD_1, **content}
    judged, protocols = record.pop("judged", None), record.pop("protocols")
    representation = OWN if judged == "own" else EMBEDDING
    final, best, backbone = record["final"], record["best"], record["recipe"].get("backbone")
    values = {"knn": final.get("knn"), **final.get("figures", {})}
    return {
        **record,
        "schema_version": 2,
        "method": {**_METHOD_1, **record["method"]},
        "dataset": dataset(record["dataset"]),
        "representation": representation,
        "final": {
            **{k: v for k, v in final.items() if k not in ("knn", "figures")},
            "measurements": measurements(
                {k: v for k, v in values.items() if v is not None}, protocols, representation
            ),
        },
        "best": None if best is None else _best(best, representation),
        "undefined": renamed(record["undefined"], protocols, representation),
        "caveats": renamed(record["caveats"], protocols, representation),
        "notes": tuple(text for name, text in _BACKBONES_1.items() if name == backbone),
    }


def dataset(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts of a data set with what they leave out where it is as usual."""
    return {**_DATASET_1, **facts}


def _best(best: Mapping[str, Any], representation: str) -> dict[str, Any]:
    """Return the best epoch of schema 1, which names its metric by the field that is filled."""
    names = ("knn", "recall_at_1")
    filled = [name for name in names if best.get(name) is not None]
    metric = metric_names.of(filled[0], representation) if len(filled) == 1 else None
    others = {k: v for k, v in best.items() if k not in names}
    return {**others, "metric": metric, "value": best[filled[0]] if filled else None}


def measurements(
    values: Mapping[str, float], protocols: Mapping[str, str], representation: str
) -> dict[str, dict[str, Any]]:
    """Return values with their units and protocols, keyed as records key them.

    Args:
        values: by the name that the evaluation gives them; see `key`.
        protocols: by the same names, of those values that have one.
        representation: the method's headline one.
    """
    found = {}
    for name, value in values.items():
        recorded = key(name, representation, protocols.get(name, ""))
        protocol = _protocol(protocols.get(name, ""), metric_names.split(recorded)[1])
        unit = metric_names.unit(recorded)
        found[recorded] = {"value": value, "unit": unit, "protocol": protocol}
    return found


def renamed(
    texts: Mapping[str, str], protocols: Mapping[str, str], representation: str
) -> dict[str, str]:
    """Return texts on metrics, keyed as records key them; arguments as of `measurements`."""
    return {key(k, representation, protocols.get(k, "")): text for k, text in texts.items()}


def key(name: str, representation: str, protocol: str = "") -> str:
    """Return `metric@representation` for a metric of embeddings, and any other name as it is.

    Args:
        name: of a metric: with its representation already, or as schema 1 has it, where
            `memory_knn` is of the memory bank and `pooled_X` of the backbone's pooled features.
        representation: the method's headline one.
        protocol: of schema 1, which says whether `linear` is of the pooled features.
    """
    if "@" in name:
        return name
    if name == "memory_knn":
        return metric_names.of("knn", MEMORY)
    metric = name.removeprefix(_PREFIX)
    if not metric_names.of_embeddings(metric):
        return name
    pooled = metric != name or protocol.endswith("-pooled")
    return metric_names.of(metric, FEATURES if pooled else representation)


def _protocol(protocol: str, representation: str) -> str:
    """Return a protocol's name with the representation that it evaluates."""
    if not protocol or not representation or "@" in protocol:
        return protocol
    for suffix in _SUFFIXES:
        protocol = protocol.removesuffix(suffix)
    return f"{protocol}@{representation}"
