"""Records as older versions of the suite wrote them."""

from collections.abc import Mapping
from typing import Any

RECORD_1: Mapping[str, Any] = {
    "schema_version": 1,
    "key": "ab" * 32,
    "method": {"name": "nce", "paper": "W."},
    "dataset": {
        "name": "digits", "digest": "d", "train_images": 10, "test_images": 5, "classes": 10,
        "image_size": 8, "labelled": True,
    },
    "recipe": {"name": "tiny", "backbone": "resnet18"},
    "seed": 0,
    "protocols": {
        "knn": "knn-200-0.1", "memory_knn": "knn-200-0.1-memory-bank",
        "pooled_knn": "knn-200-0.1-pooled-features", "linear": "linear-svm-c1-embedding",
        "pooled_nmi": "kmeans-10-restarts-on-test", "alignment": "two-views",
    },
    "final": {"epoch": 2, "knn": 50.0, "figures": {
        "memory_knn": 40.0, "pooled_knn": 60.0, "linear": 55.0, "pooled_nmi": 30.0,
        "alignment": 0.5, "loss": 2.0, "own": 3.0}},
    "best": {"epoch": 1, "knn": 51.0},
    "images_seen": 40,
    "seconds": {"train": 1.0, "evaluate": 0.5},
    "environment": {"python": "3.11", "platform": "Linux", "device": "cpu", "precision": "fp32",
                    "threads": 1, "packages": {}},
    "started": "2026-01-01T00:00:00+00:00",
    "finished": "2026-01-01T00:00:01+00:00",
}  # fmt: skip
"""A run.json of schema 1 from its early days: without slices, and without the method's code."""
