"""Per-request times of a real run: what a benchmark or an engine recorded, in any format with them.

Files are read by `llmsched.importers`, whose formats say where the times of tokens are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isnan
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from llmsched.calibration.measured import COUNTS, TIME
from llmsched.errors import InputError
from llmsched.importers import Imported, TraceOptions, detected, read
from llmsched.trace import Trace

Floats = NDArray[np.float64]

LEAST_REQUESTS = 20


@dataclass(frozen=True, eq=False)
class MeasuredRun:
    """Requests and when their first and last tokens came; arrays in the trace's order.

    Attributes
    ----------
    trace : Trace
        Arrivals and lengths.
    first_token, last_token : float64, shape (n,)
        Seconds on the trace's clock; NaN of a request whose times say nothing of its tokens.
    notes : tuple of str
        What was left out of the file, and of the times.
    """

    trace: Trace
    first_token: Floats
    last_token: Floats
    notes: tuple[str, ...] = ()

    @property
    def is_known(self) -> NDArray[np.bool_]:
        """Which requests have times, shape (n,)."""
        return np.isfinite(self.last_token)


def is_run(path: str | Path, options: TraceOptions = TraceOptions()) -> bool:
    """Tell requests, of any known format, from a table of steps.

    Raises
    ------
    InputError
        The file cannot be read, or is neither.
    """
    return detected(path, options, unless=(*COUNTS, TIME)) is not None


def read_run(path: str | Path, options: TraceOptions = TraceOptions()) -> MeasuredRun:
    """Read a run of any format that has the times of first and last tokens.

    Raises
    ------
    InputError
        As `llmsched.importers.read`; the format has no such times, nobody knows when the requests
        were sent, or there are fewer than 20.
    """
    imported = read(path, options, measured=True)
    first, last = imported.first_token, imported.last_token
    if first is None or last is None:
        said = f"the format {imported.format} does not say"
        roles = "--columns names them as ttft=COLUMN and latency=COLUMN"
        raise InputError(f"{path}: expected when first and last tokens came, which {said}; {roles}")
    _check_sent(path, imported)
    trace = imported.trace
    if trace.session is not None:
        raise InputError(f"{path}: session: expected requests that wait for no other's answer")
    chunked = (trace.output_tokens > 1) & (last <= first)
    untimed = np.isnan(first) | np.isnan(last)
    out = chunked | untimed
    notes = [*imported.notes]
    if chunked.any():
        notes.append(
            f"{np.count_nonzero(chunked):,} of {len(trace):,} requests are simulated, not fitted: "
            "their answers came in one chunk, so that nobody knows how long a token took"
        )
    if untimed.any():
        notes.append(
            f"{np.count_nonzero(untimed):,} of {len(trace):,} requests are simulated, not fitted: "
            "the file has no times of their tokens"
        )
    if len(trace) - np.count_nonzero(out) < LEAST_REQUESTS:
        found = f"{len(trace) - np.count_nonzero(out)} of {len(trace)}"
        wanted = f"at least {LEAST_REQUESTS} requests with times of their tokens"
        raise InputError(f"{path}: expected {wanted}, got {found}")
    return MeasuredRun(
        replace(trace, note="lengths and arrivals of a measured run"),
        np.where(out, np.nan, trace.arrival + first),
        np.where(out, np.nan, trace.arrival + last),
        tuple(notes),
    )


def _check_sent(path: str | Path, imported: Imported) -> None:
    """Refuse a run whose requests came at times that nobody knows.

    Taken as if all had come at once, a paced run would look many times too fast.
    """
    if imported.is_timed:
        return
    run = imported.run
    if run is None:
        raise InputError(f"{path}: start times: expected some; the format has none")
    if run.rate is not None:
        rate = "at the times of a trace" if isnan(run.rate) else f"request_rate {run.rate:g}"
        raise InputError(
            f"{path}: start_times: expected a list beside {rate}: when each request was sent"
        )
    if run.concurrency is not None:
        raise InputError(
            f"{path}: start_times: expected a list beside max_concurrency {run.concurrency}"
        )
