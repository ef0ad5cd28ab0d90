"""Training a method today gives what it gave when `bits.json` was written.

On the machine and the torch that wrote the file the losses and the embeddings are the same to the
bit; elsewhere rounding differs, and they are the same within a tolerance. A method whose result is
meant to change raises its `revision` and rewrites its entry:

    python tests/contract/test_bits.py NAME ...
"""

import hashlib
import json
import platform
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner

from benchmarks.commands.cli import main

FILE = Path(__file__).with_name("bits.json")
OPTIONS = "--dataset digits --epochs 2 --set recipe.train_images=320 --precision fp32 --device cpu"


def machine() -> dict[str, str]:
    """Return what the last bit depends on."""
    facts = {"torch": torch.__version__, "numpy": np.__version__, "cpu": platform.processor()}
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return facts
    words = dict(
        reversed([re.split(r"\s*:\s*", line, maxsplit=1) for line in lines if ":" in line])
    )
    kind = [words.get(key, "") for key in ("model name", "cpu family", "model", "stepping")]
    flags = hashlib.sha256(words.get("flags", "").encode()).hexdigest()[:16]
    return facts | {"cpu": " ".join([*kind, flags])}


def trained(name: str, results: Path) -> dict[str, Any]:
    """Return the losses, the kNN accuracy and a digest of the embeddings of a short run."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        words = ["run", "--methods", name, *OPTIONS.split(), "--results", str(results)]
        outcome = CliRunner().invoke(main, words, catch_exceptions=False)
    finally:
        torch.set_num_threads(threads)
    assert outcome.exit_code == 0, outcome.output
    (record,) = results.glob("runs/*/run.json")
    epochs = pd.read_parquet(record.with_name("epochs.parquet"))
    with np.load(record.with_name("embeddings.npz")) as arrays:
        embedded = np.concatenate([arrays["bank"], arrays["test"]])
    return {
        "losses": [None if np.isnan(loss) else float(loss) for loss in epochs["loss"]],
        "knn": float(epochs["knn"].iloc[-1]),
        "embeddings": hashlib.sha256(np.ascontiguousarray(embedded).tobytes()).hexdigest(),
    }


STORED = json.loads(FILE.read_text()) if FILE.exists() else {"machine": {}, "methods": {}}


@pytest.mark.parametrize("name", sorted(STORED["methods"]))
def test_a_method_gives_what_it_gave(name, tmp_path):
    before, now = STORED["methods"][name], trained(name, tmp_path)
    if machine() == STORED["machine"]:
        assert now == before
        return
    assert [loss is None for loss in now["losses"]] == [loss is None for loss in before["losses"]]
    assert now["losses"] == pytest.approx(before["losses"], rel=0.02)
    assert now["knn"] == pytest.approx(before["knn"], abs=5)


if __name__ == "__main__":
    for chosen in sys.argv[1:]:
        with tempfile.TemporaryDirectory() as folder:
            STORED["methods"][chosen] = trained(chosen, Path(folder))
    STORED["machine"] = machine()
    FILE.write_text(json.dumps(STORED, indent=1, sort_keys=True) + "\n")
