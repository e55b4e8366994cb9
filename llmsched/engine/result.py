"""What a simulation leaves behind: times of each request and a table of steps."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from llmsched.config import EngineConfig
from llmsched.engine.work import Totals, Work, step_rows
from llmsched.hardware import HardwareProfile
from llmsched.kernel.rows import STEP_COLUMNS
from llmsched.trace import Trace

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Latencies:
    """Per-request latencies in seconds, shape (n,); `tpot` is NaN for a single output token."""

    queue: NDArray[np.float64]
    ttft: NDArray[np.float64]
    tpot: NDArray[np.float64]
    e2el: NDArray[np.float64]


def latencies(result: SimulationResult) -> Latencies:
    """Return queueing time, time to first token, time per further token, and end-to-end latency."""
    return Latencies(*(latency(result, span.name) for span in fields(Latencies)))


def latency(result: SimulationResult, span: str) -> NDArray[np.float64]:
    """Return one of the `Latencies`, an array of its own."""
    if span != "tpot":
        ends: NDArray[np.float64] = getattr(result, _ENDS[span])
        return ends - result.arrival
    rounds = result.trace.output_tokens - 1
    spent = result.finish - result.first_token
    spent[rounds == 0] = np.nan
    return np.divide(spent, rounds, out=spent, where=rounds > 0)


PER_REQUEST = ("arrival", "admitted", "first_token", "finish", "preemptions", "recomputed_tokens")
"""The fields of a result that have an entry a request."""

_ENDS = {"queue": "admitted", "ttft": "first_token", "e2el": "finish"}


@dataclass(frozen=True, eq=False)
class SimulationResult:
    """The outcome of one replay. Times in seconds on the trace's clock, arrays in trace order.

    Attributes
    ----------
    policy, detail : str
        The policy's name, and its order and rule with all parameters, as chosen by its offline
        phase.
    arrival, admitted, first_token, finish : float64, shape (n,)
        When each request arrived, was first admitted to a slot, got its first and its last token.
    preemptions, recomputed_tokens : int64, shape (n,)
        How often each request was preempted and how many computed tokens it lost by that.
    works : tuple of Work
        What the steps of each engine amount to: one, or several replicas whose steps overlap.
    resume_gap : float64, shape (resumptions,)
        Seconds between the last token before a preemption and the next one after it.
    peak_blocks : int or None
        Most KV blocks in use at once, on one of several replicas; None if they were not limited.
    """

    trace: Trace
    hardware: HardwareProfile
    config: EngineConfig
    policy: str
    detail: str
    arrival: NDArray[np.float64]
    admitted: NDArray[np.float64]
    first_token: NDArray[np.float64]
    finish: NDArray[np.float64]
    preemptions: NDArray[np.int64]
    recomputed_tokens: NDArray[np.int64]
    works: tuple[Work, ...]
    resume_gap: NDArray[np.float64]
    peak_blocks: int | None

    def of(self, rows: NDArray[np.int64]) -> SimulationResult:
        """Return the same replay, all its steps, with only some of the requests (rising)."""
        columns = {name: getattr(self, name)[rows] for name in PER_REQUEST}
        return replace(self, trace=self.trace.take(rows), **columns)

    @cached_property
    def step_rows(self) -> NDArray[np.float64]:
        """One row a step, or one a run of decode rounds with an unchanged batch.

        Shape (rows, len(STEP_COLUMNS)); those of several replicas by their start.

        Raises
        ------
        ValueError
            They were not kept.
        """
        if not all(work.keep for work in self.works):
            raise ValueError("the steps of this replay were not kept")
        return step_rows(self.works)

    @property
    def totals(self) -> Totals:
        """What the steps of all engines amount to."""
        return sum((work.totals for work in self.works), Totals())

    def column(self, name: str) -> NDArray[np.float64]:
        """Return one column of the step table by its name in :data:`STEP_COLUMNS`."""
        return self.step_rows[:, STEP_COLUMNS.index(name)]

    @property
    def makespan(self) -> float:
        """Total inference time: seconds from the first arrival to the last token."""
        return float(self.finish.max() - self.arrival.min())

    def request_columns(self) -> dict[str, NDArray[Any]]:
        """Return a column a name of the ``--requests`` file, one entry a request."""
        return {
            "id": np.asarray(self.trace.id),
            "arrival_s": self.arrival,
            "input_tokens": self.trace.input_tokens,
            "output_tokens": self.trace.output_tokens,
            "admitted_s": self.admitted,
            "first_token_s": self.first_token,
            "finish_s": self.finish,
            "preemptions": self.preemptions,
            **({} if self.trace.job_class is None else {"class": self.trace.job_class}),
        }

    @property
    def requests(self) -> pd.DataFrame:
        """One row a request: the columns of ``--requests``, tokens computed again, and latencies.

        `queue_s`, `ttft_s`, `tpot_s` (NaN for a single output token) and `e2el_s` are in seconds.
        """
        import pandas as pd

        spans = {f"{name}_s": values for name, values in vars(latencies(self)).items()}
        again = {"recomputed_tokens": self.recomputed_tokens}
        return pd.DataFrame(self.request_columns() | again | spans)

    @property
    def steps(self) -> pd.DataFrame:
        """One row a step, or a run of equal decode rounds: the columns of `STEP_COLUMNS`."""
        import pandas as pd

        table = pd.DataFrame({name: self.column(name) for name in STEP_COLUMNS})
        counts = [name for name in STEP_COLUMNS if not name.endswith("_s")]
        return table.astype(dict.fromkeys(counts, "int64"))
