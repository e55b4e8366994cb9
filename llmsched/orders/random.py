"""Random order, the control that every other order must beat."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from llmsched.contract import Jobs, View
from llmsched.errors import InputError
from llmsched.orders.rank import RankQueue


@dataclass(frozen=True)
class Random:
    """A seeded random order."""

    seed: int = 0

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise InputError(f"seed: expected an integer >= 0, got {self.seed}")

    def queue(self, jobs: Jobs, view: View) -> RankQueue:
        dice, drawn = np.random.default_rng(self.seed), list[float]()

        def key(request: int) -> float:
            while len(drawn) <= request:
                drawn.append(dice.random())
            return drawn[request]

        return RankQueue(key)
