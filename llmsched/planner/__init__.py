"""The offline phase: pack requests onto slots or replicas, with a proven bound.

Read `packing` (what a plan is), `repartition` (the heuristics), then `solve` (how they are wired).
"""

from llmsched.planner.packing import Packing, Progress
from llmsched.planner.solve import pack

__all__ = ["Packing", "Progress", "pack"]
