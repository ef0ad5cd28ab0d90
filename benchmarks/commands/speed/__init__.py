"""How fast the suite is: beside a plain pipeline, and beside what the machine can do at most."""

from benchmarks.commands.speed.measure import Settings, check, measure
from benchmarks.commands.speed.record import SpeedRecord, markdown, write

__all__ = ["Settings", "SpeedRecord", "check", "markdown", "measure", "write"]
