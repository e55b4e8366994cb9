"""Random order, the control that every other order must beat."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from llmsched.engine.view import View
from llmsched.orders.queue import Jobs, RankQueue


@dataclass(frozen=True)
class Random:
    """A seeded random order."""

    seed: int = 0

    def queue(self, jobs: Jobs, view: View) -> RankQueue:
        return RankQueue(np.random.default_rng(self.seed).random(len(jobs)))
