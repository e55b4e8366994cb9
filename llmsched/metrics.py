"""Pure functions from a simulation's arrays to per-request columns and one flat row.

Names are those of vLLM's serving benchmark where it has one. A metric without samples is NaN.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from llmsched.bounds import efficiency, gap_percent
from llmsched.distribution import Distribution, Ramps, told_apart
from llmsched.engine.result import Latencies, SimulationResult, latencies
from llmsched.errors import InputError
from llmsched.metric import RECORDED, SLO_METRICS

Summary: TypeAlias = dict[str, float | int]
"""Each metric by its name; NaN where it has no samples."""

_PERCENT = {"median": 50.0, "p90": 90.0, "p95": 95.0, "p99": 99.0}

_WRITTEN_OUT = 2**20
"""Gaps that differ from round to round, of one engine, up to which they are samples; else ramps."""


def inter_token_latencies(result: SimulationResult) -> Distribution:
    """Return every gap between two tokens of a sequence, in milliseconds.

    Exact, from the step table: in a decode row all sequences wait for its rounds; before the first
    round those that decoded in the previous decode row also waited for the steps between the rows,
    and those whose prefill ended in between waited since then. Resumed sequences add one gap each,
    the longer one since their preemption.
    """
    found = [_gaps(part) for part in result.parts or (result,)]
    gaps = np.concatenate([gaps for gaps, _, _ in found])
    counts = np.concatenate([counts for _, counts, _ in found])
    return Distribution(gaps * 1e3, counts, Ramps.joined([ramps for _, _, ramps in found]))


def _gaps(result: SimulationResult) -> tuple[NDArray[np.float64], NDArray[np.int64], Ramps]:
    """Return the gaps of one engine in seconds, their counts, and those that are ramps."""
    rows = np.flatnonzero(result.column("decode_seqs") > 0)
    start, duration = result.column("start_s"), result.column("duration_s")
    end = start + duration
    seqs, rounds = (result.column(c)[rows].astype(np.int64) for c in ("decode_seqs", "rounds"))
    first, growth = _round_durations(result, rows)
    first_end = start[rows] + first

    born_rows = np.flatnonzero(result.column("first_tokens") > 0)
    born = result.column("first_tokens")[born_rows].astype(np.int64)
    joins = np.searchsorted(rows, born_rows, side="right")  # the decode row that they join
    joined = np.bincount(joins, weights=born, minlength=len(rows)).astype(np.int64)
    carried = seqs - joined - result.column("resumed")[rows].astype(np.int64)
    last_end = np.concatenate(([0.0], end[rows][:-1]))

    further = rounds - 1
    even = growth == 0  # one run holds all further rounds of such a row
    ramp = ~even & (further > 1) & told_apart(first, growth, further)
    ramp &= further[~even].sum() > _WRITTEN_OUT
    repeat = np.where(ramp, 0, np.where(even, np.minimum(further, 1), further))
    index = np.repeat(np.arange(len(rows)), repeat)
    step = np.arange(len(index)) - np.repeat(np.cumsum(repeat) - repeat, repeat) + 1
    gaps = np.concatenate(
        (
            first_end - last_end,
            first_end[joins] - end[born_rows],
            first[index] + growth[index] * step,
            result.resume_gap,
        )
    )
    once = np.where(even, seqs * further, seqs)
    counts = np.concatenate((carried, born, once[index], np.ones(len(result.resume_gap), np.int64)))
    return gaps, counts, Ramps(first[ramp], growth[ramp], further[ramp], seqs[ramp], 1e3)


def summarize(
    result: SimulationResult,
    *,
    lower_bound_s: float = np.nan,
    least_work_s: float = np.nan,
    slo: Mapping[str, float] | None = None,
) -> Summary:
    """Return the flat row of one replay.

    Parameters
    ----------
    lower_bound_s : float
        Seconds that no policy can beat; the row's gap is measured from it.
    least_work_s : float
        Seconds of engine time that the requests need at least; the row's efficiency is their share.
    slo : mapping, optional
        Limits in milliseconds by name (`ttft_ms`, `tpot_ms`, `e2el_ms`). A request attains the
        objective if it keeps all of them; a single-token request keeps any TPOT.

    Raises
    ------
    InputError
        `slo` names an unknown metric.
    Defect
        The replay ended before the bound, or sooner than its work can be done.

    Examples
    --------
    >>> from llmsched import Trace, load_profile, simulate
    >>> from llmsched.catalog import find
    >>> trace = Trace.from_columns([0, 0], input_tokens=[80, 20], output_tokens=[9, 5])
    >>> result = simulate(trace, load_profile("llama3-8b-a100"), find("vllm"))
    >>> summarize(result)["total_output_tokens"]
    14
    """
    measured = _Measured(result, lower_bound_s, least_work_s, slo or {})
    return {metric.name: metric.compute(measured) for metric in RECORDED}


class _Measured:
    """One replay, as the entries of `llmsched.metric` ask for it."""

    def __init__(
        self,
        result: SimulationResult,
        lower_bound_s: float,
        least_work_s: float,
        slo: Mapping[str, float],
    ) -> None:
        trace = result.trace
        self.requests = len(trace)
        self.input_tokens = int(trace.input_tokens.sum())
        self.output_tokens = int(trace.output_tokens.sum())
        self.makespan = result.makespan
        self.seconds = result.makespan or np.nan  # a profile may charge nothing for a step
        self.lower_bound = lower_bound_s
        self._result, self._least_work, self._slo = result, least_work_s, slo
        self._clock = float(result.finish.max())
        self._times = latencies(result)

    @property
    def attained(self) -> float:
        return _attained(self._times, self._slo)

    def utilization(self) -> float:
        return utilization(self._result)

    def efficiency(self) -> float:
        return efficiency(self._result.policy, self.makespan, self._least_work, self._clock)

    def gap_percent(self) -> float:
        return gap_percent(self._result.policy, self.makespan, self.lower_bound, self._clock)

    def latency_ms(self, span: str, statistic: str) -> float:
        spread = self._spans[span]
        return spread.mean if statistic == "mean" else spread.percentile(_PERCENT[statistic])

    @cached_property
    def _spans(self) -> dict[str, Distribution]:
        once = np.ones(self.requests, dtype=np.int64)
        own = {span: Distribution(v * 1e3, once) for span, v in vars(self._times).items()}
        return own | {"itl": inter_token_latencies(self._result)}

    def preemptions(self) -> int:
        return int(self._result.preemptions.sum())

    def recomputed_tokens(self) -> int:
        return int(self._result.recomputed_tokens.sum())

    def steps(self) -> int:
        return int(self._result.column("rounds").sum())

    def prefill_steps(self) -> int:
        return int((self._result.column("prefill_seqs") > 0).sum())

    def mean_batch(self) -> float:
        rounds = self._result.column("rounds")
        seqs = self._result.column("decode_seqs") + self._result.column("prefill_seqs")
        return float((seqs * rounds).sum() / rounds.sum())

    @property
    def _engine_seconds(self) -> float:
        return len(self._result.parts or (self._result,)) * self.makespan or np.nan

    def kv_peak_tokens(self) -> int:
        """Of several replicas, the fullest one's."""
        return int(self._result.held_tokens.max())

    def kv_mean_tokens(self) -> float:
        """Of several replicas, their mean. What a step writes has its place from its start."""
        result = self._result
        growth = result.column("decode_seqs") * (result.column("rounds") - 1) / 2  # mean, to come
        tokens = float(((result.held_tokens - growth) * result.column("duration_s")).sum())
        return tokens / self._engine_seconds

    def kv_peak(self) -> float:
        usable = self._result.config.usable_blocks  # of each replica
        return float("nan") if usable is None else (self._result.peak_blocks or 0) / usable

    def kv_mean(self) -> float:
        usable, parts = self._result.config.usable_blocks, self._result.parts or (self._result,)
        if usable is None:
            return float("nan")
        return sum(map(_block_seconds, parts)) / (usable * self._engine_seconds)


def utilization(result: SimulationResult) -> float:
    """Return the share of slot-seconds in which a request is computed: a decode, or its prefill.

    No definition was published with the figures of arXiv 2502.15763; this one allows both of them,
    where occupied slots, or decode rounds alone, do not.
    """
    busy = result.column("duration_s") * (
        result.column("decode_seqs") + result.column("prefill_seqs")
    )
    seconds = result.makespan or np.nan
    return float(busy.sum() / (result.config.max_num_seqs * seconds))


def _block_seconds(result: SimulationResult) -> float:
    """Integrate the KV blocks in use over time; they grow nearly evenly within a row."""
    blocks = result.column("kv_blocks")
    held = (blocks + np.append(blocks[1:], 0.0)) / 2
    return float((held * result.column("duration_s")).sum())


def _round_durations(
    result: SimulationResult, rows: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the seconds of each row's first round, and by how much each further one is longer."""
    duration, rounds = result.column("duration_s")[rows], result.column("rounds")[rows]
    growth = result.hardware.step_time.per_kv_token_decode * result.column("decode_seqs")[rows]
    return duration / rounds - growth * (rounds - 1) / 2, growth


def _attained(times: Latencies, slo: Mapping[str, float]) -> float:
    """Return the requests that keep all limits; NaN without any limit."""
    if not slo:
        return float("nan")
    attained = np.ones(len(times.ttft), dtype=np.bool_)
    for name, limit in slo.items():
        if name not in SLO_METRICS:
            raise InputError(f"slo: expected one of {', '.join(SLO_METRICS)}, got {name!r}")
        seconds = getattr(times, name.removesuffix("_ms"))
        attained &= ~(seconds * 1e3 > limit)  # NaN attains
    return int(attained.sum())
