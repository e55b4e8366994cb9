"""pack(): heuristics first, then proof."""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from llmsched.errors import InputError
from llmsched.planner.packing import OnProgress, Packing, Progress, simple_bound, validate
from llmsched.planner.repartition import Repartition, longest_first

SOLVERS = ("auto", "cp-sat", "heuristic")
MOVES = 8_000
"""Repartitions tried for one target."""


def pack(
    durations: NDArray[np.int64],
    bins: int,
    *,
    solver: str = "auto",
    time_limit_s: float | None = None,
    seed: int = 0,
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
        heuristic: LPT and repartition only, tens of milliseconds at 1,319 x 200.
    time_limit_s : float, optional
        Wall-clock cap. Without it the effort is a fixed count, and the result reproducible.

    Raises
    ------
    InputError
        Nothing to pack, a negative duration, no bin, or an unknown solver.
    """
    if solver not in SOLVERS:
        raise InputError(f"solver: expected one of {', '.join(SOLVERS)}; got {solver!r}")
    durations = np.ascontiguousarray(durations, dtype=np.int64)
    validate(durations, bins)
    started, clock = time.monotonic(), time.process_time()
    bound, bound_by = simple_bound(durations, bins)
    length = durations.tolist()
    members = longest_first(length, bins)
    closed_by = "lpt"
    search = Repartition(length, members, seed)
    best, best_members = search.makespan, [list(bin) for bin in search.members]
    if best > bound:
        search.run(bound, MOVES)
        if search.makespan < best:
            best, best_members, closed_by = search.makespan, search.members, "repartition"
    if on_progress is not None:
        on_progress(Progress(time.monotonic() - started, closed_by, best, bound))
    return _packing(durations, best_members, bound, closed_by, bound_by, clock)


def _packing(
    durations: NDArray[np.int64],
    members: list[list[int]],
    bound: int,
    closed_by: str,
    bound_by: str,
    clock: float,
) -> Packing:
    bin_of = np.empty(len(durations), dtype=np.int32)
    bin_of[[i for bin in members for i in bin]] = np.repeat(
        np.arange(len(members), dtype=np.int32), [len(bin) for bin in members]
    )
    load = np.zeros(len(members), dtype=np.int64)
    np.add.at(load, bin_of, durations)
    return Packing(bin_of, load, bound, closed_by, bound_by, time.process_time() - clock)
