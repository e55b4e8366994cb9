"""Pure functions from a simulation's arrays to per-request columns and one flat row.

Names are those of vLLM's serving benchmark where it has one. A metric without samples is NaN.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from llmsched.distribution import Distribution, Ramps, told_apart
from llmsched.engine.result import ABORTED, COMPLETED, SimulationResult, latency
from llmsched.fairness import jain_index, service_rates, service_ratio
from llmsched.gap import efficiency, gap_percent
from llmsched.grouping import Groups
from llmsched.metric import RECORDED, SLO_METRICS
from llmsched.objective import check_limit, split
from llmsched.selection import Piece, spread
from llmsched.sessions import NO_SESSION

Summary: TypeAlias = dict[str, float | int]
"""Each metric by its name; NaN where it has no samples."""

_PERCENT = {"median": 50.0, "p90": 90.0, "p95": 95.0, "p99": 99.0, "p999": 99.9, "max": 100.0}

_WRITTEN_OUT = 2**20
"""Gaps that differ from round to round, of one engine, up to which they are samples; else ramps."""


_AT_ONCE = 2**15
"""Rows whose gaps are looked at in one go, so that a long trace takes little memory."""


def inter_token_latencies(result: SimulationResult) -> Iterator[Piece]:
    """Yield every gap between two tokens of a sequence, in milliseconds; see `work.Gaps`."""
    for work in result.works:
        gaps = work.gaps
        for seconds, seqs in _blocks(gaps.once, gaps.once_seqs):
            yield _samples(seconds, seqs)
        ramps = int(np.asarray(gaps.further).sum()) > _WRITTEN_OUT
        for first, further, seqs in _blocks(gaps.first, gaps.further, gaps.further_seqs):
            yield _further(first, gaps.per_kv_token * seqs, further, seqs, ramps)
    yield _samples(result.resume_gap, np.ones(len(result.resume_gap), np.int64))


def _blocks(seconds: array[float], *counts: array[int]) -> Iterator[tuple[NDArray[Any], ...]]:
    for start in range(0, len(seconds), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        yield np.asarray(seconds)[part], *(np.asarray(c)[part].astype(np.int64) for c in counts)


def _samples(seconds: NDArray[np.float64], seqs: NDArray[np.int64]) -> Piece:
    return Piece(seconds * 1e3, seqs, Ramps.none(1e3))


def _further(
    first: NDArray[np.float64],
    growth: NDArray[np.float64],
    further: NDArray[np.int64],
    seqs: NDArray[np.int64],
    ramps: bool,
) -> Piece:
    """Return the further rounds of decode rows as gaps with counts, or, of very many, as ramps."""
    if not growth.any():
        return _samples(first, seqs * further)
    ramp = (further > 1) & told_apart(first, growth, further) & ramps
    repeat = np.where(ramp, 0, further)
    index = np.repeat(np.arange(len(repeat)), repeat)
    step = np.arange(len(index)) - np.repeat(np.cumsum(repeat) - repeat, repeat) + 1
    gaps = first[index] + growth[index] * step
    kept = Ramps(first[ramp], growth[ramp], further[ramp], seqs[ramp], 1e3)
    return Piece(gaps * 1e3, seqs[index], kept)


def summarize(
    result: SimulationResult,
    *,
    lower_bound_s: float = np.nan,
    least_work_s: float = np.nan,
    slo: Mapping[str, float] | None = None,
    rows: NDArray[np.int64] | None = None,
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
        objective if it is completed and keeps all of them; a single-token request keeps any TPOT.
        Goodput and attainment are of the requests that have a limit.
        One of a class (`chat:ttft_ms`) stands in for the general one there. Limits on statistics
        are no request's: see `objective.held`.
    rows : int64, optional
        The requests that count, rising; all by default. Latencies, counts, tokens and what is made
        of them are of these alone, rates over the time from their first arrival to the last one's
        end. What the engine does, the total time and its bound stay those of the whole replay.

    Raises
    ------
    InputError
        `slo` names what has no limit.
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
    for name in slo or {}:
        check_limit(name)
    counted = result if rows is None else result.of(rows)
    measured = _Measured(result, counted, lower_bound_s, least_work_s, slo or {}, rows=rows)
    return {metric.name: metric.compute(measured) for metric in RECORDED}


def summarize_groups(
    result: SimulationResult,
    groups: Groups,
    *,
    slo: Mapping[str, float] | None = None,
    rows: NDArray[np.int64] | None = None,
) -> dict[str, Summary]:
    """Return a row a group, as of `summarize`; what is of the whole replay alone is NaN.

    Rates are over the same time for all groups, so that those of the groups add up.
    """
    counted = result if rows is None else result.of(rows)
    found = {}
    for name, of_group in groups.rows(rows):
        whole = counted.makespan
        part = _Measured(result, result.of(of_group), np.nan, np.nan, slo or {}, whole, of_group)
        found[name] = {
            metric.name: np.nan if metric.whole_only else metric.compute(part)
            for metric in RECORDED
        }
    return found


class _Measured:
    """One replay, as the entries of `llmsched.metric` ask for it.

    `counted` is the same replay with the requests that count, `rows` says which they are where not
    all do. `measured_s` is that of a whole, where they are a group of it.
    """

    def __init__(
        self,
        result: SimulationResult,
        counted: SimulationResult,
        lower_bound_s: float,
        least_work_s: float,
        slo: Mapping[str, float],
        measured_s: float | None = None,
        rows: NDArray[np.int64] | None = None,
    ) -> None:
        completed, aborted = counted.status == COMPLETED, counted.status == ABORTED
        self.offered = len(counted.trace)
        self.completed, self.aborted = int(completed.sum()), int(aborted.sum())
        self.refused = self.offered - self.completed - self.aborted
        self.input_tokens = int(counted.trace.input_tokens.sum(where=completed))
        self.output_tokens = int(counted.emitted.sum(where=completed))
        self.wasted_output_tokens = int(counted.emitted.sum(where=aborted))
        self.wasted_input_tokens = int(counted.computed_input.sum(where=aborted))
        self.makespan = result.makespan
        self.measured_s = counted.makespan if measured_s is None else measured_s
        self.seconds = self.measured_s or np.nan  # a profile may charge nothing for a step
        self.lower_bound = lower_bound_s
        self._result, self._least_work, self._slo = result, least_work_s, slo
        self._counted, self._rows = counted, rows
        self._clock = result.ended
        self._spread: tuple[str, dict[str, float]] = "", {}  # of the span that was asked for last

    @cached_property
    def _kept(self) -> tuple[float, int]:
        return _attained(self._counted, self._slo)

    @property
    def attained(self) -> float:
        return self._kept[0]

    @property
    def limited(self) -> int:
        return self._kept[1]

    def utilization(self) -> float:
        return utilization(self._result)

    def efficiency(self) -> float:
        return efficiency(self._result.policy, self.makespan, self._least_work, self._clock)

    def gap_percent(self) -> float:
        return gap_percent(self._result.policy, self.makespan, self.lower_bound, self._clock)

    def latency_ms(self, span: str, statistic: str) -> float:
        if self._spread[0] != span:
            self._spread = span, self._statistics(span)
        return self._spread[1][statistic]

    def _statistics(self, span: str) -> dict[str, float]:
        percents = list(_PERCENT.values())
        if span == "itl" and self._counted is not self._result:
            return {
                **dict.fromkeys(_PERCENT, np.nan),
                "mean": _mean_gap_ms(self._counted),
                "max": _worst_gap_ms(self._counted),
            }
        if span == "itl":
            mean, found = spread(lambda: inter_token_latencies(self._result), percents)
        else:
            milliseconds = latency(self._counted, span)
            milliseconds *= 1e3
            values = Distribution(milliseconds)
            mean, found = values.mean, [values.percentile(percent) for percent in percents]
        return {"mean": mean, **dict(zip(_PERCENT, found, strict=True))}

    def preemptions(self) -> int:
        return int(self._counted.preemptions.sum())

    def recomputed_tokens(self) -> int:
        return int(self._counted.recomputed_tokens.sum())

    def cached_tokens(self) -> float:
        """Return tokens found in the prefix cache by the completed; NaN where there is none."""
        if not self._result.shares:
            return float("nan")
        completed = self._counted.status == COMPLETED
        return int(self._counted.cached_tokens.sum(where=completed))

    def steps(self) -> int:
        return self._result.totals.rounds

    def prefill_steps(self) -> int:
        return self._result.totals.prefill_steps

    def mean_batch(self) -> float:
        totals = self._result.totals
        return totals.sequence_rounds / (totals.rounds or np.nan)

    @property
    def _engine_seconds(self) -> float:
        return len(self._result.works) * self.makespan or np.nan

    def kv_peak_tokens(self) -> int:
        """Of several replicas, the fullest one's."""
        return self._result.totals.peak_tokens

    def kv_mean_tokens(self) -> float:
        """Of several replicas, their mean."""
        return self._result.totals.token_s / self._engine_seconds

    def kv_peak(self) -> float:
        usable = self._result.config.usable_blocks  # of each replica
        return float("nan") if usable is None else (self._result.peak_blocks or 0) / usable

    def kv_mean(self) -> float:
        usable = self._result.config.usable_blocks
        if usable is None:
            return float("nan")
        return self._result.totals.block_s / (usable * self._engine_seconds)

    def first_wave(self) -> float:
        """Return what share of the p99 of TTFT is that of the requests which arrive first."""
        first = self._counted.arrival == self._result.arrival.min()
        if not 1 < np.count_nonzero(first) < len(first):
            return float("nan")
        later = latency(self._counted, "ttft")[~first]
        later *= 1e3
        p99 = self.latency_ms("ttft", "p99")
        return max(0.0, 1 - Distribution(later).percentile(99) / p99) if p99 else float("nan")

    @cached_property
    def _sessions(self) -> NDArray[np.float64]:
        return session_times(self._result, self._rows)

    def sessions(self) -> int:
        return len(self._sessions)

    def session_ms(self, statistic: str) -> float:
        times = Distribution(1e3 * self._sessions)
        return times.mean if statistic == "mean" else times.percentile(_PERCENT[statistic])

    @cached_property
    def _service_rates(self) -> NDArray[np.float64]:
        return service_rates(self._counted)

    def jain_index(self) -> float:
        return jain_index(self._service_rates)

    def service_ratio(self) -> float:
        return service_ratio(self._service_rates)


def session_times(
    result: SimulationResult, rows: NDArray[np.int64] | None = None
) -> NDArray[np.float64]:
    """Return the seconds of each session from its first turn's arrival to its last turn's end.

    Those count all of whose turns were completed, and are among `rows` (all by default).
    """
    names = result.trace.session
    if names is None:
        return np.zeros(0)
    there = np.flatnonzero(names != NO_SESSION)
    known, of = np.unique(names[there], return_inverse=True)
    counts = np.ones(len(names), np.bool_) if rows is None else np.zeros(len(names), np.bool_)
    counts[rows] = True
    counts &= result.status == COMPLETED
    whole = np.bincount(of, counts[there], len(known)) == np.bincount(of, minlength=len(known))
    begun, ended = np.full(len(known), np.inf), np.full(len(known), -np.inf)
    np.minimum.at(begun, of, result.arrival[there])
    np.fmax.at(ended, of, result.finish[there])
    took: NDArray[np.float64] = ended[whole] - begun[whole]
    return took


def utilization(result: SimulationResult) -> float:
    """Return the share of slot-seconds in which a request is computed: a decode, or its prefill.

    No definition was published with the figures of arXiv 2502.15763; this one allows both of them,
    where occupied slots, or decode rounds alone, do not.
    """
    seconds = result.makespan or np.nan
    return result.totals.busy_s / (result.config.max_num_seqs * seconds)


def _mean_gap_ms(result: SimulationResult) -> float:
    """Return the mean time between two tokens of the completed: the gaps of each add up."""
    completed = result.status == COMPLETED
    gaps = int((result.emitted[completed] - 1).sum())
    spent = (result.finish - result.first_token).sum(where=completed)
    return 1e3 * float(spent) / gaps if gaps else np.nan


def _worst_gap_ms(result: SimulationResult) -> float:
    """Return the longest time between two tokens of one of these requests, where it is known."""
    streams = result.streams
    return np.nan if streams is None else 1e3 * float(np.fmax.reduce(streams.worst_gap))


def _attained(result: SimulationResult, slo: Mapping[str, float]) -> tuple[float, int]:
    """Return the requests that keep all their limits, NaN without any, and those that have some."""
    attained = result.status == COMPLETED
    limited = np.zeros(len(attained), dtype=np.bool_)
    for span in SLO_METRICS:
        limit = _limits(result, slo, span)
        if limit is not None:
            limited |= np.isfinite(limit)
            late = latency(result, span.removesuffix("_ms")) * 1e3 > limit  # one token has no TPOT
            attained &= ~late
    return int((attained & limited).sum()) if limited.any() else np.nan, int(limited.sum())


def _limits(
    result: SimulationResult, slo: Mapping[str, float], span: str
) -> float | NDArray[np.float64] | None:
    """Return the limit of each request on one latency, its class's before the general one."""
    general = slo.get(span)
    own = {
        group: limit
        for name, limit in slo.items()
        for group, metric in [split(name)]
        if group and metric == span
    }
    names, of = result.trace.classes
    if not own or not names:
        return general
    limits = [own.get(name, np.inf if general is None else general) for name in names]
    limit = np.array(limits)[of]
    return limit if np.isfinite(limit).any() else None
