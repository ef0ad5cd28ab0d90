"""How fast the suite is: beside a plain pipeline, and beside what the machine can do at most."""

from benchmarks.speed.measure import Settings, measure
from benchmarks.speed.record import SpeedRecord, markdown, write

__all__ = ["Settings", "SpeedRecord", "markdown", "measure", "write"]
