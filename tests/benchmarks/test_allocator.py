import platform
import resource

import pytest
import torch

from benchmarks.allocator import keep_freed_memory


def page_faults_of_large_tensors() -> int:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        torch.ones(2**22)  # 16 MiB: by default mapped anew and given back
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has these settings")
def test_freed_memory_is_used_again():
    assert keep_freed_memory()
    torch.ones(2**22)
    # 16 MiB are 4,096 pages: once at most, not in each of the 20 rounds.
    assert page_faults_of_large_tensors() < 2 * 4096


def test_other_systems_are_left_alone(monkeypatch):
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    assert not keep_freed_memory()
