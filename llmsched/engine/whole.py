"""From what was served back to the whole trace: who was refused stands beside who was not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from llmsched.engine.limits import Intake
from llmsched.engine.result import PER_REQUEST, REFUSED, SimulationResult, Streams
from llmsched.kernel.stalls import DECODE
from llmsched.trace import Trace

_T = TypeVar("_T", bound=np.generic)


def in_rows(column: NDArray[_T], rows: NDArray[np.int64] | None) -> NDArray[_T]:
    """Return the entries of some rows; all of them where there are none to choose."""
    return column if rows is None else column[rows]


def in_order_of_arrival(traces: Sequence[Trace]) -> NDArray[np.int64]:
    """Return the order in which `Trace.joined` puts the requests of several."""
    return np.argsort(np.concatenate([trace.arrival for trace in traces]), kind="stable")


def in_order_of_trace(result: SimulationResult, rows: NDArray[np.int64] | None) -> SimulationResult:
    """Return a result whose arrays are in order of arrival as the trace has its requests.

    `rows` are those of the arrays' entries; None: they are the same.
    """
    if rows is None:
        return result
    number = np.argsort(rows)
    columns: dict[str, Any] = {name: getattr(result, name)[number] for name in PER_REQUEST}
    streams = result.streams
    if streams is not None:
        cause = np.where(streams.cause >= 0, rows[streams.cause], streams.cause)
        streams = Streams(streams.worst_gap, cause, streams.stall).of(number)
    return replace(result, streams=streams, **columns)


def with_refused(result: SimulationResult, intakes: Sequence[Intake]) -> SimulationResult:
    """Return the result of the requests that engines took as that of the traces they came with.

    What was cut keeps its length in the trace, and has fewer tokens emitted.
    """
    if all(intake.served is None for intake in intakes):
        return result
    wholes = [one.trace if one.served is None else one.served.whole for one in intakes]
    trace = Trace.joined(wholes) if wholes[1:] else wholes[0]
    refusal = np.concatenate([_refusal(intake) for intake in intakes])
    if wholes[1:]:
        refusal = refusal[in_order_of_arrival(wholes)]
    refused = refusal > 0
    columns: dict[str, Any] = {}
    for name in PER_REQUEST:
        served = getattr(result, name)
        nothing = np.nan if served.dtype == np.float64 else 0
        columns[name] = np.full(len(trace), nothing, served.dtype)
        columns[name][~refused] = served
    columns["status"][refused] = REFUSED
    columns["refusal"][refused] = refusal[refused]
    columns["arrival"][refused] = _arrivals(result, intakes, trace, refused)
    _follow(columns, trace, refused)
    streams = (
        None
        if result.streams is None
        else _spread(result.streams, np.flatnonzero(~refused), len(trace))
    )
    return replace(result, trace=trace, streams=streams, **columns)


def _spread(streams: Streams, rows: NDArray[np.int64], n: int) -> Streams:
    """Return the streams of some rows among those of n requests, which the others have none of."""
    worst_gap, stall = np.full(n, np.nan), np.full(n, np.nan)
    cause = np.full(n, DECODE)
    worst_gap[rows], stall[rows] = streams.worst_gap, streams.stall
    cause[rows] = np.where(streams.cause >= 0, rows[streams.cause], streams.cause)
    return Streams(worst_gap, cause, stall)


def _refusal(intake: Intake) -> NDArray[np.int8]:
    return np.zeros(len(intake.trace), np.int8) if intake.served is None else intake.served.refusal


def _arrivals(
    result: SimulationResult, intakes: Sequence[Intake], trace: Trace, refused: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return when the refused requests came.

    A user of a closed loop who is refused goes on to the next request at once: it comes at the same
    time, and after the last one whenever a user is free.
    """
    users = intakes[0].concurrency
    if users is None:
        return trace.arrival[refused]
    first = result.trace.previous < 0
    ends = result.finish[result.trace.is_last]
    ends = np.sort(ends[np.isfinite(ends)])
    free = ends[len(ends) - users] if len(ends) >= users else 0.0
    begins = np.zeros(len(refused), np.bool_)
    begins[np.flatnonzero(~refused)[first]] = True
    before = np.cumsum(begins)[refused]
    arrivals: NDArray[np.float64] = np.append(result.arrival[first], free)[before]
    return arrivals


def _follow(columns: dict[str, Any], trace: Trace, refused: NDArray[np.bool_]) -> None:
    """Date the refused turns that follow others, in the order of the trace."""
    if trace.delay is None:
        return
    for row in np.flatnonzero(refused & (trace.previous >= 0)).tolist():
        before = trace.previous[row]
        end = columns["arrival" if columns["status"][before] == REFUSED else "finish"][before]
        columns["arrival"][row] = end + trace.delay[row]
