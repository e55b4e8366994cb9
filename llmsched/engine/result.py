"""What a simulation leaves behind: times of each request and a table of steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from llmsched.config import EngineConfig
from llmsched.engine.work import Totals, Work, step_rows
from llmsched.hardware import HardwareProfile
from llmsched.kernel.rows import STEP_COLUMNS
from llmsched.kernel.stalls import DECODE, PREEMPTION
from llmsched.sessions import turn_numbers
from llmsched.trace import Trace

if TYPE_CHECKING:
    import pandas as pd

COMPLETED, REFUSED, ABORTED = range(3)
"""What becomes of a request: served to its end, turned away on arrival, or left by its client."""

STATUS_WORDS = ("completed", "refused", "aborted")


@dataclass(frozen=True)
class Latencies:
    """Per-request latencies in seconds, shape (n,); NaN where there is none.

    `tpot` has no value for a single output token; `tpot` and `e2el` have none for a request that
    was not completed, all of them none for one that was refused.
    """

    queue: NDArray[np.float64]
    ttft: NDArray[np.float64]
    tpot: NDArray[np.float64]
    e2el: NDArray[np.float64]


def latencies(result: SimulationResult) -> Latencies:
    """Return queueing time, time to first token, time per further token, and end-to-end latency."""
    return Latencies(*(latency(result, span.name) for span in fields(Latencies)))


def latency(result: SimulationResult, span: str) -> NDArray[np.float64]:
    """Return one of the `Latencies`, or the streams' `stall`, an array of its own.

    A stall is NaN where nobody asked for streams.
    """
    if span == "stall":
        n, streams = len(result.trace), result.streams
        return np.full(n, np.nan) if streams is None else streams.stall.copy()
    ends: NDArray[np.float64] = getattr(result, _ENDS[span])
    spent = ends - (result.first_token if span == "tpot" else result.arrival)
    if ends is result.finish:
        spent[result.status != COMPLETED] = np.nan  # it left, and got no last token
    if span != "tpot":
        return spent
    rounds = result.emitted - 1
    spent[rounds < 1] = np.nan
    return np.divide(spent, rounds, out=spent, where=rounds > 0)


_ENDS = {"queue": "admitted", "ttft": "first_token", "e2el": "finish", "tpot": "finish"}


PER_REQUEST = (
    "arrival",
    "admitted",
    "first_token",
    "finish",
    "status",
    "refusal",
    "emitted",
    "computed_input",
    "preemptions",
    "recomputed_tokens",
    "cached_tokens",
)
"""The columns of a result with one entry a request."""


_CAUSES = {DECODE: "decode", PREEMPTION: "preemption"}


@dataclass(frozen=True, eq=False)
class Streams:
    """What interrupted the requests' streams, from first to last token; arrays of shape (n,).

    Attributes
    ----------
    worst_gap : float64
        Seconds: the longest wait between two tokens; NaN of a request with one token.
    cause : int64
        The request that had most prompt tokens computed in that wait, `PREEMPTION`, or `DECODE`.
    stall : float64
        Seconds of steps that computed prompt tokens, and from the last token before a preemption
        to the one after it; NaN of a request with one token.
    """

    worst_gap: NDArray[np.float64]
    cause: NDArray[np.int64]
    stall: NDArray[np.float64]

    def of(self, rows: NDArray[np.int64]) -> Streams:
        """Return those of some requests; causes stay numbers among all."""
        return Streams(self.worst_gap[rows], self.cause[rows], self.stall[rows])

    def causes(
        self,
        ids: Sequence[object],
        rows: Sequence[int] | slice = slice(None),
        prefill: str = "prefill of",
    ) -> list[str]:
        """Return in words where worst gaps came from, empty without one; `ids` are of all.

        `prefill` stands before the id of a request whose prompt it was.
        """

        def worded(gap: float, cause: int) -> str:
            if gap != gap:  # NaN
                return ""
            return _CAUSES.get(cause) or f"{prefill} {ids[cause]}"

        pairs = zip(self.worst_gap[rows].tolist(), self.cause[rows].tolist(), strict=True)
        return [worded(gap, cause) for gap, cause in pairs]

    def columns(self, ids: Sequence[object]) -> dict[str, NDArray[Any]]:
        """Return a column a name of the ``--requests`` file; `ids` are those of all requests."""
        return {
            "worst_gap_s": self.worst_gap,
            "worst_gap_cause": np.array(self.causes(ids), dtype=object),
            "stall_s": self.stall,
        }


@dataclass(frozen=True, eq=False)
class SimulationResult:
    """The outcome of one replay. Times in seconds on the trace's clock, arrays in trace order.

    Attributes
    ----------
    policy, detail : str
        The policy's name, and its order and rule with all parameters, as chosen by its offline
        phase.
    arrival, admitted, first_token, finish : float64, shape (n,)
        When each request arrived, was first admitted to a slot, got its first and its last token;
        NaN where that did not come. The finish of an aborted one is when it left.
    status : int8, shape (n,)
        COMPLETED, REFUSED or ABORTED.
    refusal : int8, shape (n,)
        Why each was refused: a `Refusal`.
    emitted, computed_input : int64, shape (n,)
        Output tokens that each request got, and tokens of its prompt that were computed, each
        counted once.
    preemptions, recomputed_tokens : int64, shape (n,)
        How often each request was preempted, and the computed tokens that it lost by that and did
        not find in the prefix cache again.
    cached_tokens : int64, shape (n,)
        Tokens that each request found in the prefix cache, and never computed itself.
    works : tuple of Work
        What the steps of each engine amount to: one, or several replicas whose steps overlap.
    resume_gap : float64, shape (resumptions,)
        Seconds between the last token before a preemption and the next one after it.
    streams : Streams or None
        What interrupted each request's stream, if that was asked for.
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
    status: NDArray[np.int8]
    refusal: NDArray[np.int8]
    emitted: NDArray[np.int64]
    computed_input: NDArray[np.int64]
    preemptions: NDArray[np.int64]
    recomputed_tokens: NDArray[np.int64]
    cached_tokens: NDArray[np.int64]
    works: tuple[Work, ...]
    resume_gap: NDArray[np.float64]
    streams: Streams | None
    peak_blocks: int | None

    def of(self, rows: NDArray[np.int64]) -> SimulationResult:
        """Return the same replay, all its steps, with only some of the requests (rising)."""
        columns = {name: getattr(self, name)[rows] for name in PER_REQUEST}
        streams = None if self.streams is None else self.streams.of(rows)
        return replace(self, trace=self.trace.take(rows), streams=streams, **columns)

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
    def shares(self) -> bool:
        """Whether prompts could find in the prefix cache what others, or they, had computed."""
        return any(work.shares for work in self.works)

    @property
    def totals(self) -> Totals:
        """What the steps of all engines amount to."""
        return sum((work.totals for work in self.works), Totals())

    def column(self, name: str) -> NDArray[np.float64]:
        """Return one column of the step table by its name in :data:`STEP_COLUMNS`."""
        return self.step_rows[:, STEP_COLUMNS.index(name)]

    @property
    def ended(self) -> float:
        """When the last request left, in seconds; NaN if all were refused."""
        return float(np.fmax.reduce(self.finish))

    @property
    def makespan(self) -> float:
        """Total inference time: seconds from the first arrival until the last request left."""
        return self.ended - float(self.arrival.min())

    @property
    def all_served(self) -> bool:
        """Whether every request was completed with all of its output."""
        whole = self.emitted is self.trace.output_tokens or (
            self.emitted == self.trace.output_tokens
        )
        return bool(np.all(whole) and not self.status.any())

    def served(self) -> Trace:
        """Return the completed requests, with the outputs that they got; there must be any."""
        rows = np.flatnonzero(self.status == COMPLETED)
        part = self.trace.take(rows)
        return part.with_outputs(self.emitted[rows])

    def request_columns(self) -> dict[str, NDArray[Any]]:
        """Return a column a name of the ``--requests`` file, one entry a request."""
        streams = {} if self.streams is None else self.streams.columns(self.trace.id)
        return {
            "id": np.asarray(self.trace.id),
            "arrival_s": self.arrival,
            "input_tokens": self.trace.input_tokens,
            "output_tokens": self.trace.output_tokens,
            "admitted_s": self.admitted,
            "first_token_s": self.first_token,
            "finish_s": self.finish,
            "preemptions": self.preemptions,
            "status": np.array(STATUS_WORDS, dtype=object)[self.status],
            "emitted_tokens": self.emitted,
            **({"cached_tokens": self.cached_tokens} if self.shares else {}),
            **streams,
            **({} if self.trace.job_class is None else {"class": self.trace.job_class}),
            **self._turns(),
        }

    def _turns(self) -> dict[str, NDArray[Any]]:
        """Return each request's session, and which turn of it it is, from 0; empty without any."""
        names = self.trace.session
        if names is None:
            return {}
        return {"session": names, "turn": turn_numbers(self.trace.previous)}

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
