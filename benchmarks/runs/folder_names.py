"""What the folders of runs are called, whatever a data set's, a method's or a recipe's name."""

import hashlib

PART_BYTES = 64
"""Of a name inside a file's name; three of them stay far below the 255 that systems allow."""
_KEPT = frozenset(" -+_.,=@()")


def folder_name(dataset: str, method: str, recipe: str, seed: int, key: str) -> str:
    """Return `<dataset>-<method>-<recipe>-s<seed>-<key8>`, the names as `path_part` makes them."""
    names = "-".join(map(path_part, (dataset, method, recipe)))
    return f"{names}-s{seed}-{key[:8]}"


def path_part(name: str) -> str:
    """Return a name as a part of a file's name: it leads nowhere else and is bounded.

    Letters of any script, digits, spaces and `-+_.,=@()` stay; all else, and a point or `~` at the
    start, becomes `_`. More than PART_BYTES in UTF-8 are cut, and a digest tells such names apart.
    """
    kept = "".join(c if c.isalnum() or c in _KEPT else "_" for c in name).strip() or "_"
    if kept[0] in ".~":
        kept = f"_{kept[1:]}"
    coded = kept.encode("utf-8")
    if len(coded) <= PART_BYTES:
        return kept
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{coded[: PART_BYTES - 9].decode('utf-8', 'ignore')}-{digest}"
