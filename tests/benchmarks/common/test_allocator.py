import platform
import subprocess
import sys

import pytest

from benchmarks.common.allocator import keep_freed_memory

# In a process of its own: the setting holds for the whole process.
COUNT_PAGE_FAULTS = """
import resource
import torch
from benchmarks.common.allocator import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        torch.ones(2**22)  # 16 MiB: by default mapped anew and given back
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

usual = faults()
told = keep_freed_memory()
faults()
print(told, usual, faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has these settings")
def test_freed_memory_is_used_again():
    done = subprocess.run(
        [sys.executable, "-c", COUNT_PAGE_FAULTS], capture_output=True, text=True, check=True
    )
    told, usual, kept = done.stdout.split()
    assert told == "True"
    assert int(kept) < int(usual) / 10


def test_other_systems_are_left_alone(monkeypatch):
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    assert not keep_freed_memory()
