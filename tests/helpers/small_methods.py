"""Options of the methods for runs on a few images, in which the defaults do not fit or are slow."""

from collections.abc import Mapping
from typing import Any

QUEUE = 192
"""Rows of a queue: batches of 8, 16, 24, 32, 48, 64 and 96 images divide it."""
NARROW: Mapping[str, Mapping[str, Any]] = {
    "simclr": {"size": 32},
    "dcl": {"size": 32},
    "nnclr": {"hidden": 64, "size": 32, "queue": QUEUE},
    "moco": {"queue": QUEUE},
    "moco-v2": {"queue": QUEUE, "size": 32},
    "byol": {"hidden": 64, "size": 32},
    "simsiam": {"hidden": 32, "size": 64},
    "barlow-twins": {"size": 64},
    "vicreg": {"size": 64},
    "lejepa": {"hidden": 64, "size": 32},
    "swav": {"prototypes": 64, "hidden": 64, "size": 32},
}
"""Widths that a second of training is enough for, by method; the defaults are the papers'."""
SMALL: Mapping[str, Mapping[str, Any]] = {
    **NARROW,
    "deepcluster": {"clusters": 8},
    "nce": {"noise": 16},
    "swav": {**NARROW["swav"], "prototypes": 16},
}
"""Options for runs on 64 images or more, in batches as above."""
