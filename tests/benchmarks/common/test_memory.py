from pathlib import Path

import pytest

from benchmarks.common import memory as module
from benchmarks.common.memory import fits_in_memory, free_memory, total_memory


def write_system(folder: Path, **content: str) -> Path:
    places = {
        "meminfo": "proc/meminfo",
        "limit": "sys/fs/cgroup/memory.max",
        "use": "sys/fs/cgroup/memory.current",
        "limit_v1": "sys/fs/cgroup/memory/memory.limit_in_bytes",
        "use_v1": "sys/fs/cgroup/memory/memory.usage_in_bytes",
    }
    for name, text in content.items():
        place = folder / places[name]
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text + "\n")
    return folder


MEMINFO = "MemTotal: 8000 kB\nMemFree: 1000 kB\nMemAvailable: 4000 kB\nBuffers: 10 kB"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({}, None),
        ({"meminfo": "MemTotal: 8000 kB"}, None),
        ({"meminfo": MEMINFO}, 4000 << 10),
        ({"meminfo": MEMINFO, "limit": "max", "use": "5"}, 4000 << 10),
        ({"meminfo": MEMINFO, "limit": "3000", "use": "1000"}, 2000),
        ({"meminfo": MEMINFO, "limit": "3000", "use": "3001"}, 0),
        ({"meminfo": MEMINFO, "limit_v1": "9000", "use_v1": "2000"}, 7000),
        ({"meminfo": MEMINFO, "limit_v1": str(1 << 62), "use_v1": "2000"}, 4000 << 10),
    ],
)
def test_free_memory_is_the_least_that_any_limit_leaves(tmp_path, content, expected):
    assert free_memory(write_system(tmp_path, **content)) == expected


@pytest.mark.parametrize(
    ("free", "size", "fits"), [(100, 50, True), (100, 51, False), (None, 1, False)]
)
def test_half_of_the_free_memory_may_be_taken(monkeypatch, free, size, fits):
    monkeypatch.setattr(module, "free_memory", lambda: free)
    assert fits_in_memory(size) is fits


def test_the_whole_memory_is_more_than_the_free_one():
    free, total = free_memory(), total_memory()
    assert free is None or total is None or free <= total
