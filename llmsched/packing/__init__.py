"""Packing: items into bins with the least makespan and a proven bound; no engine, no files.

Read `packing` (what a plan is), `repartition` (the heuristics), then `solve` (how they are wired).
"""

from llmsched.packing.packing import Packing, Progress
from llmsched.packing.solve import pack

__all__ = ["Packing", "Progress", "pack"]
