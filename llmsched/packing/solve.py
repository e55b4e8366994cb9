"""pack(): heuristics first, then proof."""

from __future__ import annotations

import time
from functools import partial

import numpy as np
from numpy.typing import NDArray

from llmsched.errors import InputError
from llmsched.packing import arcflow, assignment, flow
from llmsched.packing.packing import OnProgress, Packing, Progress, simple_bound, validate
from llmsched.packing.repartition import Repartition, longest_first

SOLVERS = ("auto", "cp-sat", "heuristic")

MOVES, MOVES_ALONE = 20_000, 300_000
"""Most repartitions for one target where an exact search can follow, and where none can."""
MOVES_A_REQUEST = {"auto": 200, "heuristic": 16}
"""Repartitions for one target and request, within those limits."""
SLICE = 1_000
"""Repartitions between two looks at the clock."""


def pack(
    durations: NDArray[np.int64],
    bins: int,
    *,
    solver: str = "auto",
    time_limit_s: float | None = None,
    seed: int = 0,
    moves: int | None = None,
    interruptible: bool = False,
    on_progress: OnProgress | None = None,
) -> Packing:
    """Assign requests to bins so that the fullest bin is as little full as can be (P||Cmax).

    Parameters
    ----------
    durations : int64, shape (n,)
        Duration of each request, >= 0: decode rounds (output tokens - 1), or any other unit.
    bins : int
        Number of slots or replicas.
    solver : {"auto", "cp-sat", "heuristic"}
        heuristic: LPT and repartition. auto: also a bound by columns and an exact search for a
        flow, where the instance is small enough. cp-sat: the assignment model, from LPT.
    time_limit_s : float, optional
        Wall-clock cap. Without it the effort is counted, and the result reproducible.
    moves : int, optional
        Repartitions tried for one target; a small number where a plan is wanted in milliseconds.
    interruptible : bool
        Ctrl-C does not raise but returns the best packing so far, ``stopped_by == "interrupt"``.
    on_progress : callable, optional
        Called with a `Progress` whenever bound or makespan may have moved.

    Raises
    ------
    InputError
        Nothing to pack, a negative duration, no bin, or an unknown solver.

    Examples
    --------
    >>> packing = pack(np.array([5, 4, 3, 3, 3]), bins=2)
    >>> packing.makespan, packing.status
    (9, 'optimal')
    """
    if solver not in SOLVERS:
        raise InputError(f"solver: expected one of {', '.join(SOLVERS)}; got {solver!r}")
    durations = np.ascontiguousarray(durations, dtype=np.int64)
    validate(durations, bins)
    run = _Run(durations, bins, seed, time_limit_s, on_progress)
    try:
        run.offer(longest_first(run.length, bins), "lpt")
        if solver == "cp-sat":
            run.assign()
        else:
            run.improve(moves or run.effort(solver))
            if solver == "auto" and run.network(run.bound) is not None:
                run.raise_bound()
                run.improve(moves or run.effort(solver))
                run.decide()
    except KeyboardInterrupt:
        if not interruptible:
            raise
        run.stopped_by = "interrupt"
    return run.packing()


class _Run:
    """One call of `pack`: the best packing so far, the bound, and the steps that move them."""

    def __init__(
        self,
        durations: NDArray[np.int64],
        bins: int,
        seed: int,
        time_limit_s: float | None,
        on_progress: OnProgress | None,
    ) -> None:
        self.started, self.clock = time.monotonic(), time.process_time()
        self.deadline = float("inf") if time_limit_s is None else self.started + time_limit_s
        self.durations, self.bins, self.seed = durations, bins, seed
        self.length: list[int] = durations.tolist()
        self.bound, self.bound_by = simple_bound(durations, bins)
        self.best = int(durations.sum())
        self.members: list[list[int]] = [
            list(range(len(durations))),
            *([] for _ in range(bins - 1)),
        ]
        self.closed_by, self.stopped_by = "lpt", ""
        self.on_progress = on_progress
        self.search: Repartition | None = None

    @property
    def seconds_left(self) -> float:
        return self.deadline - time.monotonic()

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to do: proven, or out of time."""
        if self.best > self.bound and self.seconds_left <= 0:
            self.stopped_by = "time"
        return self.best == self.bound or self.stopped_by == "time"

    def offer(self, members: list[list[int]], closed_by: str) -> None:
        """Take a packing over if it is better than the best one."""
        makespan = max(sum(self.length[i] for i in requests) for requests in members)
        if makespan < self.best:
            self.members = [list(requests) for requests in members]
            self.best, self.closed_by = makespan, closed_by
        self.tell(closed_by)

    def lift(self, bound: int, bound_by: str) -> None:
        """Take a lower bound over if it is better."""
        if bound > self.bound:
            self.bound, self.bound_by = bound, bound_by
        self.tell(bound_by)

    def tell(self, stage: str) -> None:
        if self.on_progress is not None:
            seconds = time.monotonic() - self.started
            self.on_progress(Progress(seconds, stage, self.best, self.bound))

    def walk(self, target: int, moves: int) -> bool:
        """Look for a makespan of at most `target` by repartition; return whether it was found."""
        if self.search is None and not self.is_over:
            self.search = Repartition(self.length, self.members, self.seed)
        while self.search is not None and moves > 0 and not self.is_over:
            done = self.search.run([target] * self.bins, min(moves, SLICE))
            moves -= SLICE
            if self.search.makespan < self.best:
                self.offer(self.search.members, "repartition")
            self.tell("repartition")
            if done:
                return True
        return self.best <= target

    def improve(self, moves: int) -> None:
        """Walk to the bound, or else bisect for the least makespan that the walk reaches."""
        low, target = self.bound, self.bound
        while low < self.best and not self.is_over:
            if not self.walk(target, moves):
                low = target + 1
            target = (low + self.best) // 2

    def effort(self, solver: str) -> int:
        """Return the moves for one target."""
        alone = solver == "auto" and self.network(self.bound) is None
        return min(MOVES_ALONE if alone else MOVES, MOVES_A_REQUEST[solver] * len(self.length))

    def network(self, capacity: int) -> arcflow.Network | None:
        return arcflow.build(self.durations, self.bins, capacity)

    def raise_bound(self) -> None:
        """Look for the least makespan that the linear relaxation cannot refute.

        The search gallops up from the bound: networks are small where little may be wasted.
        """
        step, high = 1, self.best
        while self.bound < high and not self.is_over:
            capacity = min(self.bound + step - 1, high - 1)
            network = self.network(capacity)
            if network is not None and flow.aside(
                partial(arcflow.is_refuted, network, self.seconds_left)
            ):
                self.lift(capacity + 1, "columns")
                step *= 2
            elif step == 1:
                return
            else:
                high, step = capacity, 1

    def decide(self) -> None:
        """Find a packing at the bound or raise the bound, until one of the two is impossible."""
        while not self.is_over and (network := self.network(self.bound)) is not None:
            budget = flow.Budget(seconds=max(self.seconds_left, 0.1), seed=self.seed)
            found, by = flow.find_by_highs(network, budget), "highs"
            if found is None:
                budget = flow.Budget(seconds=max(self.seconds_left, 0.1), seed=self.seed)
                outcome, found = flow.decide_by_cpsat(network, budget)
                by = "cp-sat"
                if outcome == "none":
                    self.lift(self.bound + 1, by)
                    continue
            if found is None:
                return
            self.offer(arcflow.decompose(network, found, self.durations), by)

    def assign(self) -> None:
        """Solve the assignment model by CP-SAT, from the best packing so far."""
        if self.is_over:
            return
        problem = assignment.Assignment.of_identical(self.durations, self.bins)
        budget = flow.Budget(seconds=max(self.seconds_left, 0.1), seed=self.seed)
        answer = assignment.solve(problem, budget, self.bound, hint=self.members, tell=self.heard)
        self.lift(answer.lower_bound, "cp-sat")
        if answer.members is not None:
            self.offer(answer.members, "cp-sat")

    def heard(self, members: list[list[int]], bound: int) -> None:
        """Take over what CP-SAT finds on its way, so that an interrupt does not lose it."""
        self.lift(bound, "cp-sat")
        self.offer(members, "cp-sat")

    def packing(self) -> Packing:
        """Return the best packing, for the record."""
        bin_of = np.empty(len(self.durations), dtype=np.int32)
        placed = np.fromiter((i for some in self.members for i in some), np.int64, len(bin_of))
        bin_of[placed] = np.repeat(np.arange(self.bins), [len(some) for some in self.members])
        load = np.array([sum(self.length[i] for i in some) for some in self.members])
        proven = self.best == self.bound
        return Packing(
            bin_of=bin_of,
            load=load.astype(np.int64),
            lower_bound=self.bound,
            closed_by=self.closed_by,
            bound_by=self.bound_by,
            cpu_s=time.process_time() - self.clock,
            stopped_by="" if proven else self.stopped_by or "effort",
        )
