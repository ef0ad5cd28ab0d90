"""How much memory there is, and how much of it is free."""

import os
from pathlib import Path

FREE_MEMORY_SHARE = 0.5
"""Images stay in memory, the host's or a GPU's, if they take at most this share of what is free."""


def fits_in_memory(size: int) -> bool:
    """Return whether `size` bytes of images are better kept in memory than mapped from a file.

    They are if they take at most half of the free memory, since a run copies them once, into the
    order of its network. Where the free memory cannot be told, they are not.
    """
    free = free_memory()
    return free is not None and size <= FREE_MEMORY_SHARE * free


def free_memory(system: Path = Path("/")) -> int | None:
    """Return how many bytes this process may still take, or None where Linux does not say.

    It is the machine's available memory, or what a container's limit leaves of it. A container's
    use includes the system's copies of files that it has read, so the answer errs on the low side.

    Args:
        system: the folder of proc/ and sys/.
    """
    groups = system / "sys/fs/cgroup"
    try:
        lines = (system / "proc/meminfo").read_text().splitlines()
        free = next(int(line.split()[1]) << 10 for line in lines if "MemAvailable:" in line)
    except (OSError, StopIteration):
        return None
    for pair in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        try:
            most, taken = (int((groups / name).read_text()) for name in pair)
        except (OSError, ValueError):  # no such limit, or the word "max"
            continue
        free = min(free, max(0, most - taken))
    return free


def total_memory() -> int | None:
    """Return the bytes of this machine's memory, or of its largest GPU's; None if not known."""
    found = []
    try:
        found.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, OSError, ValueError):
        return None
    import torch  # at need: most that asks for memory here has no use for it

    if torch.cuda.is_available():
        gpus = range(torch.cuda.device_count())
        found += [torch.cuda.get_device_properties(gpu).total_memory for gpu in gpus]
    return max(found)
