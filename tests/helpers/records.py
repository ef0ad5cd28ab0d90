"""Made-up records of finished runs."""

from typing import Any

from benchmarks.runs.record import RunRecord

METHOD = {
    "hyper_parameters": {}, "changed": {}, "uses_labels": False, "revision": 1, "file": None,
    "sha256": None, "package": None, "version": None,
}  # fmt: skip
DATASET = {
    "split": "train", "bank_images": None, "unseen": False, "partial": False, "understood": (),
    "notes": (), "left_out": {}, "path": "",
}  # fmt: skip


def make_record(**changes: Any) -> RunRecord:
    """Return the record of a run of two epochs on digits, with some fields replaced."""
    content = {
        "key": "ab" * 32,
        "schema_version": 2,
        "method": {**METHOD, "name": "invaspread", "paper": "Ye et al., CVPR 2019"},
        "dataset": {
            "name": "digits", "digest": "d", "train_images": 10, "test_images": 5, "classes": 10,
            "image_size": 8, "labelled": True, **DATASET,
        },
        "recipe": {"name": "tiny", "epochs": 2},
        "seed": 0,
        "recipe_changed": {}, "recipe_own": {},
        "representation": "embedding",
        "final": {"epoch": 2, "measurements": measured(knn=50.0)},
        "best": {"epoch": 1, "metric": "knn@embedding", "value": 60.0},
        "undefined": {}, "caveats": {}, "notes": (), "weights": None, "slices": (),
        "images_seen": 40,
        "seconds": {"train": 1.0, "evaluate": 0.5},
        "environment": {
            "python": "3.11", "platform": "Linux", "device": "cpu", "precision": "fp32",
            "threads": 1, "packages": {},
        },
        "started": "2026-01-01T00:00:00+00:00",
        "finished": "2026-01-01T00:00:01+00:00",
    }  # fmt: skip
    return RunRecord.model_validate({**content, **changes})


def measured(**values: float) -> dict[str, dict[str, Any]]:
    """Return measurements as a record holds them; kNN and NMI are of the embedding."""
    return {
        (f"{k}@embedding" if k in ("knn", "nmi") else k): {"value": v, "unit": "", "protocol": ""}
        for k, v in values.items()
    }
