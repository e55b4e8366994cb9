"""An exact search that shares no code with the planner: plain branch and bound."""

from __future__ import annotations

from collections.abc import Sequence


def least_makespan(durations: Sequence[int], slowness: Sequence[int]) -> int:
    """Return the optimal makespan; `slowness` is the time of a unit of work on each bin."""
    order = sorted(durations, reverse=True)
    load = [0] * len(slowness)
    best = sum(order) * max(slowness)

    def place(k: int) -> None:
        nonlocal best
        if max(load) >= best:
            return
        if k == len(order):
            best = max(load)
            return
        tried = set()
        for b, slow in enumerate(slowness):
            if (load[b], slow) not in tried:
                tried.add((load[b], slow))
                load[b] += order[k] * slow
                place(k + 1)
                load[b] -= order[k] * slow

    place(0)
    return best
