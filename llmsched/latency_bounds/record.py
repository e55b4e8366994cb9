"""What results carry of the bounds on latency, and the check that no replay is below one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llmsched.errors import Defect
from llmsched.latency_bounds.bound import Bound, LatencyBounds
from llmsched.metric import HIGHER, METRICS
from llmsched.trace import Trace

AUTOMATIC = 20_000
"""Requests up to which bounds are computed unasked: at most a few CPU-seconds."""

_ROUNDING = 1e-8
"""Share of the clock by which sums of the same durations, taken in another order, may differ."""


def are_due(
    trace: Trace, concurrency: int | None = None, replicas: int = 1, *, asked: bool = False
) -> bool:
    """Return whether a result should carry bounds: if asked, or arrivals bind and it is cheap."""
    if asked:
        return True
    spread = float(trace.arrival[-1] - trace.arrival[0]) > 0 and trace.delay is None
    return spread and len(trace) <= AUTOMATIC and concurrency is None and replicas == 1


def bounds_record(bounds: LatencyBounds, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return value and scope of each bound by metric, for rows of replays of the whole trace.

    Where less preempting proves more, the record says so too: for schedules that preempt at most as
    often as the row of the least mean time to first token. Rows in which somebody was not served,
    or not to the end, are no such replays; if there are only those, nothing is recorded.

    Raises
    ------
    Defect
        A row is below a bound by more than rounding: one of the two is wrong.
    """
    whole = [row for row in rows if _is_whole(row, bounds.trace)]
    if not whole:
        return {}
    for row in whole:
        check_row(bounds, row)
    best = min(whole, key=lambda row: float(row["mean_ttft_ms"]))
    few = bounds.at_most(int(best["preemptions"]))
    return {
        name: _said(bound) | ({} if few[name] == bound else {"limited": _said(few[name])})
        for name, bound in bounds.every.items()
    }


def check_row(bounds: LatencyBounds, row: Mapping[str, Any]) -> None:
    """Refuse a replay that is better than one of the bounds.

    Raises
    ------
    Defect
        The message names policy, metric and both values.
    """
    clock = 1e3 * (float(bounds.trace.arrival[-1]) + float(row["makespan_s"]))
    for name, bound in bounds.at_most(int(row["preemptions"])).items():
        value = row[name]
        if value is None:
            continue
        metric = METRICS[name]
        better = value - bound.value if metric.better == HIGHER else bound.value - value
        if better > _ROUNDING * (max(bound.value, clock) if metric.unit == "ms" else 1.0):
            raise Defect(
                f"{row['policy']}: {name} {value!r} is better than {bound.value!r}, "
                f"which is proven for {bound.scope}"
            )


def _is_whole(row: Mapping[str, Any], trace: Trace) -> bool:
    """Return whether a row is of all requests, each served to its last token."""
    counts = (len(trace), int(trace.input_tokens.sum()), int(trace.output_tokens.sum()))
    names = ("completed", "total_input_tokens", "total_output_tokens")
    return tuple(row.get(name) for name in names) == counts


def _said(bound: Bound) -> dict[str, Any]:
    return {"value": bound.value, "scope": bound.scope}
