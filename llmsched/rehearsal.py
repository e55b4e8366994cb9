"""The hybrid's offline phase: rehearse candidate policies on what is known, keep the best.

Packing fixes who shares a slot. How long slots should wait for each other (the multiplier that is
left, see `llmsched.batching.lagrangian`), and whether the plan is worth following at all, depend on
the profile. A replay of the predicted batch takes milliseconds, so they are chosen by trying them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from llmsched.batching import BatchingRule
from llmsched.engine.limits import that_fit
from llmsched.errors import LivelockError
from llmsched.orders import Jobs, Order
from llmsched.trace import Trace

if TYPE_CHECKING:
    from llmsched.policies import Policy

Candidate: TypeAlias = tuple[Order, BatchingRule]

MOST_REPLAYED = 100_000
"""Requests that a rehearsal replays in all (about a second): so far it climbs its ladders."""
PATIENCE = 2
"""Rungs without a shorter time after which a ladder is left."""


@dataclass(frozen=True)
class Rehearsal:
    """Ladders of candidates to try, most promising first; within one, a parameter rises.

    The first rung of each ladder is always tried, also where the batch fits the slots: the token
    budget and the KV cache bind there as well. The very first candidate is the default where
    nothing is known, and wins ties. Rehearsed are the requests known at time 0, at their predicted
    lengths: the future and the true lengths stay unknown. Candidates that need mixed steps drop out
    where those have no price.
    """

    ladders: Sequence[Sequence[Candidate]]

    def choose(self, jobs: Jobs) -> Candidate:
        """Return the candidate with the smallest total inference time on the known requests."""
        from llmsched.engine import simulate
        from llmsched.policies import Policy

        known = np.flatnonzero(jobs.arrival <= 0)
        if not len(known):
            return self.ladders[0][0]
        prompts = jobs.input_tokens[known]
        limits = jobs.max_output_tokens[known]
        lengths = that_fit(jobs.predicted_output_tokens[known], prompts, jobs.config)
        batch = Trace.from_columns(
            np.zeros(len(known)), prompts, np.minimum(lengths, limits), max_output_tokens=limits
        )

        def makespan(candidate: Candidate) -> float:
            policy: Policy = Policy("rehearsal", *candidate)
            try:
                return simulate(batch, jobs.hardware, policy, jobs.config).makespan
            except LivelockError:  # it does not get through these requests at all
                return float("inf")

        able = [ladder for ladder in self.ladders if _has_price(ladder[0], jobs)]
        return _climb(able, makespan, MOST_REPLAYED // len(known))


def _climb(
    ladders: Sequence[Sequence[Candidate]], cost: Callable[[Candidate], float], budget: int
) -> Candidate:
    """Return the cheapest of the candidates tried; the first rungs count towards `budget`."""
    tops = [(cost(ladder[0]), ladder[0]) for ladder in ladders]
    budget -= len(tops)
    best = min(tops, key=itemgetter(0))
    for ladder, (least, _) in zip(ladders, tops, strict=True):
        failures = 0
        for candidate in ladder[1:]:
            if budget <= 0 or failures == PATIENCE:
                break
            budget -= 1
            tried = cost(candidate)
            failures = 0 if tried < least else failures + 1
            least = min(least, tried)
            if tried < best[0]:
                best = (tried, candidate)
    return best[1]


def _has_price(candidate: Candidate, jobs: Jobs) -> bool:
    return jobs.hardware.step_time.mixed or not candidate[1].mixed
