"""The exact assignment of requests to bins as a CP-SAT model, with side constraints.

Bins may differ in speed (Q||Cmax) and hold a limited number of KV tokens; requests may be pinned to
some bins or barred from others. For identical bins without such constraints `pack` is far faster.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from llmsched.errors import InputError
from llmsched.packing.flow import Budget, aside, configure
from llmsched.packing.repartition import Repartition

if TYPE_CHECKING:
    from ortools.sat.python import cp_model

LEVELLING_MOVES = 4_000
"""Repartitions tried for one makespan where bins differ in speed."""


@dataclass(frozen=True, eq=False)
class Assignment:
    """What is to be assigned, and under which constraints.

    Attributes
    ----------
    duration : int64, shape (n,)
        Work of each request, >= 0.
    slowness : tuple of int, length bins
        Time a bin takes for a unit of work, >= 1; (2, 3) is a bin 1.5 times as fast as the other.
    tokens : int64, shape (n,)
        KV-cache tokens of each request, counted against `capacity`.
    capacity : tuple of int or None, length bins
        KV tokens a bin can hold; None means no limit. Empty: no bin has a limit.
    allowed : mapping of int to frozenset of int
        Bins that a request may use; a request that is not named may use all.
    """

    duration: NDArray[np.int64]
    slowness: tuple[int, ...]
    tokens: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    capacity: tuple[int | None, ...] = ()
    allowed: Mapping[int, frozenset[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n, bins = len(self.duration), len(self.slowness)
        if n == 0 or bins == 0:
            raise InputError(f"assignment: expected requests and bins, got {n} and {bins}")
        if int(self.duration.min()) < 0 or min(self.slowness) < 1:
            raise InputError("assignment: expected durations >= 0 and slowness >= 1")
        if self.capacity and (len(self.capacity) != bins or self.tokens.shape != (n,)):
            raise InputError(f"capacity: expected {bins} values, and {n} counts of tokens")
        for request, some in self.allowed.items():
            if not 0 <= request < n or not some or not some <= set(range(bins)):
                expected = f"expected bins in 0..{bins - 1}"
                raise InputError(f"allowed: request {request}: {expected}, got {sorted(some)}")

    @classmethod
    def of_identical(cls, duration: NDArray[np.int64], bins: int) -> Assignment:
        """Return the problem without side constraints: P||Cmax."""
        return cls(duration, (1,) * bins)

    @property
    def has_limits(self) -> bool:
        """Whether some bin holds a limited number of tokens."""
        return any(limit is not None for limit in self.capacity)

    def bins_of(self, request: int) -> Sequence[int]:
        """Return the bins that a request may use, rising."""
        return sorted(self.allowed.get(request, range(len(self.slowness))))

    def time(self, members: Sequence[Sequence[int]]) -> list[int]:
        """Return the time that each bin takes."""
        work = [int(self.duration[list(some)].sum()) for some in members]
        return [w * slow for w, slow in zip(work, self.slowness, strict=True)]

    def lower_bound(self) -> int:
        """Return the larger of two bounds: all work shared by all bins, each request on its own.

        Bins are busy for whole units of work, so the first is the least makespan at which they can
        do all of it together.
        """
        work = int(self.duration.sum())
        low, high = 0, work * max(self.slowness)
        while low < high:
            middle = (low + high) // 2
            if sum(middle // slow for slow in self.slowness) < work:
                low = middle + 1
            else:
                high = middle
        alone = int(self.duration.max()) * min(self.slowness)
        for request in self.allowed:
            best = min(self.slowness[b] for b in self.bins_of(request))
            alone = max(alone, int(self.duration[request]) * best)
        return max(low, alone)


@dataclass(frozen=True)
class Outcome:
    """What came of it: ``optimal``, ``feasible``, ``infeasible`` or ``unknown``.

    `members` holds the requests of each bin, or is None; `lower_bound` on the makespan is proven.
    """

    status: str
    members: list[list[int]] | None
    lower_bound: int


Tell = Callable[[list[list[int]], int], None]


class AssignmentModel:
    """The CP-SAT model: variables, then one constraint a method, then the objective."""

    def __init__(self, problem: Assignment, bound: int, most: int) -> None:
        from ortools.sat.python import cp_model

        self.problem = problem
        self.model = cp_model.CpModel()
        self.on: dict[tuple[int, int], cp_model.IntVar] = {
            (i, b): self.model.new_bool_var("")
            for i in range(len(problem.duration))
            for b in problem.bins_of(i)
        }
        self.by_bin: list[list[int]] = [[] for _ in problem.slowness]
        for i, b in self.on:
            self.by_bin[b].append(i)
        # Stating the bound spares CP-SAT from deriving that loads average out.
        self.makespan = self.model.new_int_var(bound, most, "makespan")
        self.every_request_once()
        self.no_bin_beyond_makespan()
        self.tokens_within_capacity()
        self.model.minimize(self.makespan)

    def every_request_once(self) -> None:
        """Each request runs on exactly one of the bins it may use."""
        for i in range(len(self.problem.duration)):
            self.model.add_exactly_one(self.on[i, b] for b in self.problem.bins_of(i))

    def no_bin_beyond_makespan(self) -> None:
        """The work of a bin, at its speed, ends by the makespan."""
        for b, slow in enumerate(self.problem.slowness):
            self.model.add(self._sum(b, self.problem.duration * slow) <= self.makespan)

    def tokens_within_capacity(self) -> None:
        """The KV tokens of a bin's requests fit into the bin."""
        for b, limit in enumerate(self.problem.capacity):
            if limit is not None:
                self.model.add(self._sum(b, self.problem.tokens) <= limit)

    def start_from(self, members: list[list[int]]) -> None:
        """Give CP-SAT a complete assignment to improve upon."""
        bin_of = {i: b for b, some in enumerate(members) for i in some}
        for (i, b), chosen in self.on.items():
            self.model.add_hint(chosen, bin_of[i] == b)
        self.model.add_hint(self.makespan, max(self.problem.time(members)))

    def _sum(self, b: int, weight: NDArray[np.int64]) -> cp_model.LinearExprT:
        from ortools.sat.python import cp_model

        requests = self.by_bin[b]
        chosen = [self.on[i, b] for i in requests]
        return cp_model.LinearExpr.weighted_sum(chosen, weight[requests].tolist())


def solve(
    problem: Assignment,
    budget: Budget,
    bound: int,
    hint: list[list[int]] | None = None,
    tell: Tell | None = None,
) -> Outcome:
    """Solve `problem` by CP-SAT, knowing that no makespan is below `bound`.

    `tell` is called from CP-SAT's thread with every better assignment and the bound at that time.
    """
    from ortools.sat.python import cp_model

    most = max(problem.time(hint)) if hint else int(problem.duration.sum()) * max(problem.slowness)
    model = AssignmentModel(problem, bound, max(most, bound))
    if hint:
        model.start_from(hint)
    solver = cp_model.CpSolver()
    configure(solver.parameters, budget)

    def members(value: Callable[[cp_model.IntVar], int]) -> list[list[int]]:
        return [[i for i in some if value(model.on[i, b])] for b, some in enumerate(model.by_bin)]

    class Watch(cp_model.CpSolverSolutionCallback):
        def on_solution_callback(self) -> None:
            if tell is not None:
                tell(members(self.value), int(self.best_objective_bound))

    code = aside(lambda: solver.solve(model.model, Watch()), on_interrupt=solver.stop_search)
    if code == cp_model.INFEASIBLE:
        return Outcome("infeasible", None, bound)
    if code not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return Outcome("unknown", None, max(bound, int(solver.best_objective_bound)))
    status = "optimal" if code == cp_model.OPTIMAL else "feasible"
    return Outcome(status, members(solver.value), max(bound, round(solver.best_objective_bound)))


def assign(problem: Assignment, budget: Budget | None = None) -> Outcome:
    """Assign requests under side constraints: a greedy start, repartition, then CP-SAT.

    Repartition (with a target of its own for each bin, moving the requests that may use all bins,
    never beyond a bin's tokens) mostly meets the bound. CP-SAT is asked only if it does not.
    """
    budget = budget or Budget()
    deadline = time.monotonic() + budget.seconds
    bound = problem.lower_bound()
    start = _greedy(problem)
    if start is not None:
        start = _levelled(problem, start, bound, budget.seed)
    if start is not None and max(problem.time(start)) == bound:
        return Outcome("optimal", start, bound)
    left = max(deadline - time.monotonic(), 0.1)
    return solve(problem, replace(budget, seconds=left), bound, hint=start)


def _greedy(problem: Assignment) -> list[list[int]] | None:
    """Put requests, longest first, where they end soonest; None if one fits nowhere."""
    room = _room(problem, [[] for _ in problem.slowness])
    tokens = problem.tokens.tolist() if problem.capacity else [0] * len(problem.duration)
    work = [0] * len(room)
    members: list[list[int]] = [[] for _ in room]
    for i in np.argsort(-problem.duration, kind="stable").tolist():
        duration = int(problem.duration[i])
        fitting = [b for b in problem.bins_of(i) if tokens[i] <= room[b]]
        if not fitting:
            return None
        b = min(fitting, key=lambda b: (work[b] + duration) * problem.slowness[b])
        work[b] += duration
        room[b] -= tokens[i]
        members[b].append(i)
    return members


def _room(problem: Assignment, members: list[list[int]]) -> list[float]:
    """Return the tokens that each bin can hold beside what it holds already."""
    if not problem.capacity:
        return [float("inf")] * len(members)
    return [
        float("inf") if limit is None else limit - int(problem.tokens[some].sum())
        for limit, some in zip(problem.capacity, members, strict=True)
    ]


def _levelled(
    problem: Assignment, members: list[list[int]], bound: int, seed: int
) -> list[list[int]]:
    """Bisect for the least makespan at which repartition gives every bin its share of the work."""
    length = problem.duration.tolist()
    fixed = [[i for i in some if i in problem.allowed] for some in members]
    owed = [sum(length[i] for i in some) for some in fixed]
    free = [[i for i in some if i not in problem.allowed] for some in members]
    room = _room(problem, fixed)
    tokens = problem.tokens.tolist()

    def admits(b: int, requests: list[int]) -> bool:
        held: int = sum(tokens[i] for i in requests)
        return held <= room[b]

    search = Repartition(length, free, seed, admits if problem.has_limits else None)
    low, target = bound, bound
    best = max(problem.time(members))
    while low < best:
        share = [target // slow - w for slow, w in zip(problem.slowness, owed, strict=True)]
        if search.run(share, LEVELLING_MOVES):
            members = [a + b for a, b in zip(fixed, search.members, strict=True)]
            best = max(problem.time(members))
        else:
            low = target + 1
        target = (low + best) // 2
    return members
