"""From what was served back to the whole trace: who was refused stands beside who was not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llmsched.engine.limits import Intake
from llmsched.engine.result import PER_REQUEST, REFUSED, SimulationResult
from llmsched.trace import Trace


def with_refused(result: SimulationResult, intakes: Sequence[Intake]) -> SimulationResult:
    """Return the result of the requests that engines took as that of the traces they came with.

    What was cut keeps its length in the trace, and has fewer tokens emitted.
    """
    if all(intake.served.trace is intake.served.whole for intake in intakes):
        return result
    every = [intake.served for intake in intakes]
    trace = Trace.joined([served.whole for served in every]) if every[1:] else every[0].whole
    refusal = np.concatenate([served.refusal for served in every])
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
    return replace(result, trace=trace, **columns)


def _arrivals(
    result: SimulationResult, intakes: Sequence[Intake], trace: Trace, refused: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return when the refused requests came.

    A user of a closed loop who is refused goes on to the next request at once: it comes at the same
    time, and after the last one whenever a user is free.
    """
    users = sum(int(np.isfinite(intake.arrival).sum()) for intake in intakes)
    if users == len(result.arrival):
        return trace.arrival[refused]
    free = np.sort(result.finish)[len(result.arrival) - users]
    after = np.cumsum(~refused)[refused]  # requests served before each
    arrivals: NDArray[np.float64] = np.append(result.arrival, free)[after]
    return arrivals
