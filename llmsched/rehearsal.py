"""The hybrid's offline phase: rehearse candidate policies on what is known, keep the best.

Packing fixes who shares a slot. How long slots should wait for each other (the multiplier that is
left, see `llmsched.batching.lagrangian`), and whether the plan is worth following at all, depend on
the profile. A replay of the predicted batch takes milliseconds, so they are chosen by trying them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from llmsched.contract import BatchingRule, Jobs, Order, Policy
from llmsched.engine.limits import admit, that_fit
from llmsched.engine.session import run
from llmsched.errors import LivelockError
from llmsched.trace import Trace

Candidate: TypeAlias = tuple[Order, BatchingRule]
_Tried: TypeAlias = tuple[float, Candidate]

MOST_REPLAYED = 100_000
"""Requests that a rehearsal replays in all (about a second): so far it climbs its ladders.

A batch of which not even the first rungs could be replayed in full is rehearsed on a sample.
"""
DEPTH = 20
"""Requests a slot in a sample, where they can be afforded: with fewer, its end would decide."""
PATIENCE = 2
"""Rungs without a shorter time after which a ladder is left."""


@dataclass(frozen=True)
class Rehearsal:
    """Ladders of candidates to try, most promising first; within one, a parameter rises.

    The first rung of each ladder is always tried, also where the batch fits the slots: the token
    budget and the KV cache bind there as well. The very first candidate is the default where
    nothing is known, and wins ties. Rehearsed are the requests known at time 0, at their predicted
    lengths: the future and the true lengths stay unknown. Of a large batch an even sample is: the
    engine stays as it is, so a full engine runs the same mix of requests, only for less long.
    Candidates that need mixed steps drop out where those have no price.

    Attributes
    ----------
    ladders : sequence of sequences of candidates
    beside : callable, optional
        Candidates that are tried last, given the best of the first ladder: what would take a ladder
        too many for each of its rungs.
    """

    ladders: Sequence[Sequence[Candidate]]
    beside: Callable[[Candidate], Sequence[Candidate]] = lambda _: ()

    def choose(self, jobs: Jobs) -> Candidate:
        """Return the candidate with the smallest total inference time on the known requests."""
        known = np.flatnonzero(jobs.arrival <= 0)
        if not len(known):
            return self.ladders[0][0]
        able = [ladder for ladder in self.ladders if _has_price(ladder[0], jobs)]
        hardware, config = jobs.hardware, jobs.config
        batch = _batch(jobs, _sample(jobs, known, MOST_REPLAYED // len(able)))

        def makespan(candidate: Candidate) -> float:
            policy = Policy("rehearsal", *candidate)
            try:
                intake = admit(batch, hardware, policy, config)
                return run(intake, policy, keep_steps=False, stalls=False).makespan
            except LivelockError:  # it does not get through these requests at all
                return float("inf")

        budget = MOST_REPLAYED // len(batch)
        tops = [(makespan(ladder[0]), ladder[0]) for ladder in able]
        trials = _Trials(makespan, budget - len(tops))
        best = [trials.climb(ladder, top) for ladder, top in zip(able, tops, strict=True)]
        beside = (other for other in self.beside(best[0][1]) if _has_price(other, jobs))
        best += trials.all(beside)
        return min(best, key=itemgetter(0))[1]


def _batch(jobs: Jobs, rows: NDArray[np.int64]) -> Trace:
    """Return these requests at time 0, at the lengths that are predicted and possible."""
    prompts, limits = jobs.input_tokens[rows], jobs.max_output_tokens[rows]
    lengths = that_fit(jobs.predicted_output_tokens[rows], prompts, jobs.config)
    return Trace.from_columns(
        np.zeros(len(rows)), prompts, np.minimum(lengths, limits), max_output_tokens=limits
    )


def _sample(jobs: Jobs, known: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Return the known requests, or where they are more than `most`, an even share of all lengths.

    Sorted by predicted length, then prompt, every so many-th one is taken: a sample drawn at random
    would have another mean, and other longest requests.
    """
    n = len(known)
    if n <= most:
        return known
    size = max(1, min(DEPTH * jobs.config.max_num_seqs, most))
    by_length = np.lexsort((jobs.input_tokens[known], jobs.predicted_output_tokens[known]))
    middle = (2 * np.arange(size) + 1) * n // (2 * size)
    return np.sort(known[by_length[middle]])


class _Trials:
    """Replays of candidates, as many as the budget allows."""

    def __init__(self, cost: Callable[[Candidate], float], budget: int) -> None:
        self._cost, self._budget = cost, budget

    def all(self, candidates: Iterable[Candidate]) -> Iterator[_Tried]:
        """Try one candidate after the other."""
        for candidate in candidates:
            if self._budget <= 0:
                return
            self._budget -= 1
            yield self._cost(candidate), candidate

    def climb(self, ladder: Sequence[Candidate], top: _Tried) -> _Tried:
        """Return the best of a ladder, whose first rung has been tried."""
        best, failures = top, 0
        for tried in self.all(ladder[1:]):
            failures = 0 if tried[0] < best[0] else failures + 1
            best = min(best, tried, key=itemgetter(0))
            if failures == PATIENCE:
                break
        return best


def _has_price(candidate: Candidate, jobs: Jobs) -> bool:
    return jobs.step_time.mixed or not candidate[1].mixed
