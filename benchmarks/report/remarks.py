"""Known causes of differences and how to read the figures: facts from remarks.yaml."""

from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

import yaml


@cache
def _remarks() -> Mapping[str, Any]:
    text = resources.files("benchmarks.report").joinpath("remarks.yaml").read_text(encoding="utf-8")
    content: Mapping[str, Any] = yaml.safe_load(text)
    return content


def reading() -> list[str]:
    """Return what holds for every table."""
    return list(_remarks()["reading"])


def efficiency(in_paper: bool) -> list[str]:
    """Return what concerns learning speed, and the paper's figures on it if they are shown."""
    texts = _remarks()["efficiency"]
    return [*(texts["published"] if in_paper else ()), *texts["measured"]]


def of_method(method: str) -> list[str]:
    """Return known causes of a difference between a method's published and measured figure."""
    return list(_remarks()["methods"].get(method, ()))
