"""What a plan is worth when lengths turn out otherwise than predicted."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llmsched.errors import InputError
from llmsched.lengths import lognormal_error
from llmsched.packing.packing import Packing
from llmsched.packing.solve import pack

Draws = NDArray[np.int64]

RISK = (0.0, 0.05, 0.1, 0.2, 0.4)
"""Weights of the square of a duration among which `expected` chooses."""


@dataclass(frozen=True)
class Realised:
    """Distribution of the realised makespan of one way to run a plan."""

    discipline: str
    mean: float
    p90: float
    worst: int


def sample(durations: NDArray[np.int64], cv: float, count: int, seed: int) -> Draws:
    """Draw `count` realisations, shape (count, n), of durations known up to an error.

    The error is lognormal with mean 1 and coefficient of variation `cv`, independent for each
    request: the model of ``--lengths noisy:CV``.
    """
    error = lognormal_error(cv, (count, len(durations)), seed)
    return np.rint(durations * error).astype(np.int64)


def run_static(packing: Packing, planned: NDArray[np.int64], real: NDArray[np.int64]) -> int:
    """Return the makespan if each bin runs what it was given."""
    return int(np.bincount(packing.bin_of, real, len(packing.load)).max())


def run_stealing(packing: Packing, planned: NDArray[np.int64], real: NDArray[np.int64]) -> int:
    """Return the makespan if a bin without work takes from the one with most planned work left.

    Every queue is ordered by falling planned duration, and so are thefts.
    """
    waiting: list[list[int]] = [[] for _ in packing.load]
    for request in np.argsort(planned, kind="stable").tolist():
        waiting[packing.bin_of[request]].append(request)  # the longest is last, and popped first
    left = packing.load.tolist()
    duration, plan = real.tolist(), planned.tolist()
    most = [(-load, b) for b, load in enumerate(left)]
    heapq.heapify(most)
    free = [(0, b) for b in range(len(left))]
    end = 0
    while free:
        now, b = heapq.heappop(free)
        end = max(end, now)
        source = b if waiting[b] else _richest(most, left, waiting)
        if source is None:
            continue
        request = waiting[source].pop()
        left[source] -= plan[request]
        heapq.heappush(most, (-left[source], source))
        heapq.heappush(free, (now + duration[request], b))
    return end


def _richest(most: list[tuple[int, int]], left: list[int], waiting: list[list[int]]) -> int | None:
    """Return the bin with most planned work that still waits; entries out of date are dropped."""
    while most:
        load, b = most[0]
        if waiting[b] and -load == left[b]:
            return b
        heapq.heappop(most)
    return None


def run_list(packing: Packing, planned: NDArray[np.int64], real: NDArray[np.int64]) -> int:
    """Return the makespan of list scheduling: longest planned first, each to the next free bin."""
    free = [0] * len(packing.load)
    duration = real.tolist()
    for request in np.argsort(-planned, kind="stable").tolist():
        heapq.heapreplace(free, free[0] + duration[request])
    return max(free)


Discipline = Callable[[Packing, NDArray[np.int64], NDArray[np.int64]], int]

DISCIPLINES: dict[str, Discipline] = {
    "static": run_static,
    "stealing": run_stealing,
    "list": run_list,
}


def realise(packing: Packing, planned: NDArray[np.int64], draws: Draws) -> list[Realised]:
    """Run a plan on each draw under every discipline."""
    rows = []
    for name, run in DISCIPLINES.items():
        ends = np.array([run(packing, planned, real) for real in draws])
        p90 = float(np.percentile(ends, 90))
        rows.append(Realised(name, float(ends.mean()), p90, int(ends.max())))
    return rows


@dataclass(frozen=True, eq=False)
class Choice:
    """A packing, the way to run it, and the risk weight that it balances."""

    packing: Packing
    discipline: str
    risk: float


def expected(durations: NDArray[np.int64], bins: int, cv: float, count: int, seed: int) -> Choice:
    """Choose packing and discipline by the mean realised makespan over sampled durations.

    The variance of a bin grows with the squares of its durations, so candidates balance
    ``d + risk * d**2 / max(d)`` for several risks; the plan for the makespan is among them. Loads
    and bound of the packing are those of the durations as planned.

    Raises
    ------
    InputError
        No draws.
    """
    if count < 1:
        raise InputError(f"samples: expected an integer >= 1, got {count}")
    draws = sample(durations, cv, count, seed)
    plain = pack(durations, bins, seed=seed)
    scored = []
    for risk, packing in _candidates(durations, plain, seed):
        for place, row in enumerate(realise(packing, durations, draws)):
            scored.append((row.mean, risk, place, Choice(packing, row.discipline, risk)))
    return min(scored, key=lambda entry: entry[:3])[3]


def _candidates(
    durations: NDArray[np.int64], plain: Packing, seed: int
) -> Iterator[tuple[float, Packing]]:
    longest = max(int(durations.max()), 1)
    for risk in RISK:
        if risk == 0:
            yield risk, plain
            continue
        weight = np.rint(16 * (durations + risk * durations**2 / longest)).astype(np.int64)
        bin_of = pack(weight, len(plain.load), solver="heuristic", seed=seed).bin_of
        load = np.bincount(bin_of, durations, len(plain.load)).astype(np.int64)
        yield (
            risk,
            Packing(
                bin_of=bin_of,
                load=load,
                lower_bound=plain.lower_bound,
                closed_by="expected",
                bound_by=plain.bound_by,
                cpu_s=plain.cpu_s,
            ),
        )
