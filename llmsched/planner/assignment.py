"""The exact assignment of requests to bins as a CP-SAT model, with side constraints.

Bins may differ in speed (Q||Cmax) and hold a limited number of KV tokens; requests may be pinned to
some bins or barred from others. For identical bins without such constraints `pack` is far faster.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from llmsched.errors import InputError
from llmsched.planner.flow import Budget, aside, configure

if TYPE_CHECKING:
    from ortools.sat.python import cp_model


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
    def is_plain(self) -> bool:
        """Whether bins differ in nothing but speed."""
        return not self.allowed and not any(limit is not None for limit in self.capacity)

    def bins_of(self, request: int) -> Sequence[int]:
        """Return the bins that a request may use, rising."""
        return sorted(self.allowed.get(request, range(len(self.slowness))))

    def time(self, members: Sequence[Sequence[int]]) -> list[int]:
        """Return the time that each bin takes."""
        work = [int(self.duration[list(some)].sum()) for some in members]
        return [w * slow for w, slow in zip(work, self.slowness, strict=True)]

    def lower_bound(self) -> int:
        """Return the larger of two bounds: all work shared by all bins, each request on its own."""
        rate = sum(Fraction(1, slow) for slow in self.slowness)
        shared = -(-int(self.duration.sum()) // rate)
        alone = int(self.duration.max()) * min(self.slowness)
        for request in self.allowed:
            best = min(self.slowness[b] for b in self.bins_of(request))
            alone = max(alone, int(self.duration[request]) * best)
        return max(int(shared), alone)


@dataclass(frozen=True)
class Answer:
    """What CP-SAT says: ``optimal``, ``feasible``, ``infeasible`` or ``unknown``.

    `members` holds the requests of each bin, or is None; `lower_bound` is proven.
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
) -> Answer:
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
        return Answer("infeasible", None, bound)
    if code not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return Answer("unknown", None, max(bound, int(solver.best_objective_bound)))
    status = "optimal" if code == cp_model.OPTIMAL else "feasible"
    return Answer(status, members(solver.value), max(bound, round(solver.best_objective_bound)))
