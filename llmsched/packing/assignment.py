"""The exact assignment of requests to bins, which may differ in speed (Q||Cmax), by CP-SAT.

For identical bins `pack` is far faster.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
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
    """What is to be assigned, and to which bins.

    Attributes
    ----------
    duration : int64, shape (n,)
        Work of each request, >= 0.
    slowness : tuple of int, length bins
        Time a bin takes for a unit of work, >= 1; (2, 3) is a bin 1.5 times as fast as the other.
    """

    duration: NDArray[np.int64]
    slowness: tuple[int, ...]

    def __post_init__(self) -> None:
        n, bins = len(self.duration), len(self.slowness)
        if n == 0 or bins == 0:
            raise InputError(f"assignment: expected requests and bins, got {n} and {bins}")
        if int(self.duration.min()) < 0 or min(self.slowness) < 1:
            raise InputError("assignment: expected durations >= 0 and slowness >= 1")

    @classmethod
    def of_identical(cls, duration: NDArray[np.int64], bins: int) -> Assignment:
        """Return the problem of bins of one speed: P||Cmax."""
        return cls(duration, (1,) * bins)

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
        return max(low, alone)


@dataclass(frozen=True)
class Outcome:
    """What came of it: ``optimal``, ``feasible`` or ``unknown``.

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
            for b in range(len(problem.slowness))
        }
        # Stating the bound spares CP-SAT from deriving that loads average out.
        self.makespan = self.model.new_int_var(bound, most, "makespan")
        self.every_request_once()
        self.no_bin_beyond_makespan()
        self.model.minimize(self.makespan)

    def every_request_once(self) -> None:
        """Each request runs on exactly one bin."""
        bins = range(len(self.problem.slowness))
        for i in range(len(self.problem.duration)):
            self.model.add_exactly_one(self.on[i, b] for b in bins)

    def no_bin_beyond_makespan(self) -> None:
        """The work of a bin, at its speed, ends by the makespan."""
        from ortools.sat.python import cp_model

        requests = range(len(self.problem.duration))
        for b, slow in enumerate(self.problem.slowness):
            chosen = [self.on[i, b] for i in requests]
            time = (self.problem.duration * slow).tolist()
            self.model.add(cp_model.LinearExpr.weighted_sum(chosen, time) <= self.makespan)

    def start_from(self, members: list[list[int]]) -> None:
        """Give CP-SAT a complete assignment to improve upon."""
        bin_of = {i: b for b, some in enumerate(members) for i in some}
        for (i, b), chosen in self.on.items():
            self.model.add_hint(chosen, bin_of[i] == b)
        self.model.add_hint(self.makespan, max(self.problem.time(members)))


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
        requests, bins = range(len(problem.duration)), range(len(problem.slowness))
        return [[i for i in requests if value(model.on[i, b])] for b in bins]

    class Watch(cp_model.CpSolverSolutionCallback):
        def on_solution_callback(self) -> None:
            if tell is not None:
                tell(members(self.value), int(self.best_objective_bound))

    code = aside(lambda: solver.solve(model.model, Watch()), on_interrupt=solver.stop_search)
    if code not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return Outcome("unknown", None, max(bound, int(solver.best_objective_bound)))
    status = "optimal" if code == cp_model.OPTIMAL else "feasible"
    return Outcome(status, members(solver.value), max(bound, round(solver.best_objective_bound)))


def assign(problem: Assignment, budget: Budget | None = None) -> Outcome:
    """Assign requests to bins of different speeds: a greedy start, repartition, then CP-SAT.

    Repartition (with a target of its own for each bin) mostly meets the bound. CP-SAT is asked only
    if it does not.
    """
    budget = budget or Budget()
    deadline = time.monotonic() + budget.seconds
    bound = problem.lower_bound()
    start = _levelled(problem, _greedy(problem), bound, budget.seed)
    if max(problem.time(start)) == bound:
        return Outcome("optimal", start, bound)
    left = max(deadline - time.monotonic(), 0.1)
    return solve(problem, replace(budget, seconds=left), bound, hint=start)


def _greedy(problem: Assignment) -> list[list[int]]:
    """Put requests, longest first, where they end soonest."""
    slowness = problem.slowness
    work = [0] * len(slowness)
    members: list[list[int]] = [[] for _ in slowness]
    for i in np.argsort(-problem.duration, kind="stable").tolist():
        duration = int(problem.duration[i])
        b = min(range(len(work)), key=lambda b: (work[b] + duration) * slowness[b])
        work[b] += duration
        members[b].append(i)
    return members


def _levelled(
    problem: Assignment, members: list[list[int]], bound: int, seed: int
) -> list[list[int]]:
    """Bisect for the least makespan at which repartition gives every bin its share of the work."""
    search = Repartition(problem.duration.tolist(), members, seed)
    low, target = bound, bound
    best = max(problem.time(members))
    while low < best:
        share = [target // slow for slow in problem.slowness]
        if search.run(share, LEVELLING_MOVES):
            members = [list(some) for some in search.members]
            best = max(problem.time(members))
        else:
            low = target + 1
        target = (low + best) // 2
    return members
