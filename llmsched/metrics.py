"""Pure functions from a simulation's arrays to per-request columns and one flat row.

Names are those of vLLM's serving benchmark where it has one. A metric without samples is NaN.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from llmsched.bounds import efficiency, gap_percent
from llmsched.engine.result import SimulationResult
from llmsched.errors import InputError

Row: TypeAlias = dict[str, float | int]

SLO_METRICS = ("ttft_ms", "tpot_ms", "e2el_ms")
"""Latencies that a service-level objective may limit, each a per-request value."""

_PERCENTILES = (("median", 50.0), ("p90", 90.0), ("p95", 95.0), ("p99", 99.0))


@dataclass(frozen=True)
class Latencies:
    """Per-request latencies in seconds, shape (n,); `tpot` is NaN for a single output token."""

    queue: NDArray[np.float64]
    ttft: NDArray[np.float64]
    tpot: NDArray[np.float64]
    e2el: NDArray[np.float64]


def latencies(result: SimulationResult) -> Latencies:
    """Return queueing time, time to first token, time per further token, and end-to-end latency."""
    rounds = result.trace.output_tokens - 1
    spread = result.finish - result.first_token
    return Latencies(
        queue=result.admitted - result.arrival,
        ttft=result.first_token - result.arrival,
        tpot=np.divide(spread, rounds, out=np.full(len(rounds), np.nan), where=rounds > 0),
        e2el=result.finish - result.arrival,
    )


def inter_token_latencies(
    result: SimulationResult,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return every gap between two tokens of a sequence as runs of (seconds, count).

    Exact, from the step table: in a decode row all sequences wait for its rounds; before the first
    round those that decoded in the previous decode row also waited for the steps between the rows,
    and those whose prefill ended in between waited since then. Resumed sequences add one gap each,
    the longer one since their preemption.
    """
    if result.parts:
        runs = [inter_token_latencies(part) for part in result.parts]
        return np.concatenate([r[0] for r in runs]), np.concatenate([r[1] for r in runs])
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

    even = growth == 0  # one run holds all further rounds of such a row
    repeat = np.where(even, np.minimum(rounds - 1, 1), rounds - 1)
    index = np.repeat(np.arange(len(rows)), repeat)
    further = np.where(even, seqs * (rounds - 1), seqs)
    step = np.arange(len(index)) - np.repeat(np.cumsum(repeat) - repeat, repeat) + 1
    gaps = np.concatenate(
        (
            first_end - last_end,
            first_end[joins] - end[born_rows],
            first[index] + growth[index] * step,
            result.resume_gap,
        )
    )
    counts = np.concatenate(
        (carried, born, further[index], np.ones(len(result.resume_gap), dtype=np.int64))
    )
    return gaps[counts > 0], counts[counts > 0]


def summarize(
    result: SimulationResult,
    *,
    lower_bound_s: float = np.nan,
    least_work_s: float = np.nan,
    slo: Mapping[str, float] | None = None,
) -> Row:
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
    trace, makespan = result.trace, result.makespan
    seconds = makespan or np.nan  # a profile may charge nothing for a step
    inputs, outputs = int(trace.input_tokens.sum()), int(trace.output_tokens.sum())
    times = latencies(result)
    attained = _attained(times, slo)
    clock = float(result.finish.max())
    row: Row = {
        "completed": len(trace),
        "total_input_tokens": inputs,
        "total_output_tokens": outputs,
        "makespan_s": makespan,
        "utilization": utilization(result),
        "efficiency": efficiency(result.policy, makespan, least_work_s, clock),
        "request_throughput": len(trace) / seconds,
        "output_throughput": outputs / seconds,
        "total_token_throughput": (inputs + outputs) / seconds,
    }
    ones = np.ones(len(trace), dtype=np.int64)
    for name, values in (("ttft", times.ttft), ("tpot", times.tpot), ("e2el", times.e2el)):
        row |= _distribution(name, values, ones)
    row |= _distribution("itl", *inter_token_latencies(result))
    row |= _distribution("queue", times.queue, ones)
    row |= {
        "request_goodput": np.nan if attained is None else int(attained.sum()) / seconds,
        "slo_attainment": np.nan if attained is None else float(attained.mean()),
    }
    row |= _engine_metrics(result)
    row["lower_bound_s"] = lower_bound_s
    row["gap_percent"] = gap_percent(result.policy, makespan, lower_bound_s, clock)
    return row


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


def request_columns(result: SimulationResult) -> dict[str, NDArray[np.generic]]:
    """Return one row a request, in trace order, under the names of the `--requests` file."""
    return {
        "id": result.trace.id,
        "arrival_s": result.arrival,
        "input_tokens": result.trace.input_tokens,
        "output_tokens": result.trace.output_tokens,
        "admitted_s": result.admitted,
        "first_token_s": result.first_token,
        "finish_s": result.finish,
        "preemptions": result.preemptions,
    }


def _engine_metrics(result: SimulationResult) -> Row:
    rounds = result.column("rounds")
    seqs = result.column("decode_seqs") + result.column("prefill_seqs")
    return {
        "preemptions": int(result.preemptions.sum()),
        "recomputed_tokens": int(result.recomputed_tokens.sum()),
        "steps": int(rounds.sum()),
        "prefill_steps": int((result.column("prefill_seqs") > 0).sum()),
        "mean_batch": float((seqs * rounds).sum() / rounds.sum()),
        **_kv_metrics(result),
    }


def _kv_metrics(result: SimulationResult) -> Row:
    """Return what the KV cache holds: of several replicas, the fullest one's peak and their mean.

    What a step writes has its place from the step's start, as blocks do.
    """
    parts = result.parts or (result,)
    engine_seconds = len(parts) * result.makespan or np.nan
    growth = result.column("decode_seqs") * (result.column("rounds") - 1) / 2  # mean, to come
    tokens = float(((result.held_tokens - growth) * result.column("duration_s")).sum())
    row: Row = {
        "kv_peak_tokens": int(result.held_tokens.max()),
        "kv_mean_tokens": tokens / engine_seconds,
        "kv_peak": np.nan,
        "kv_mean": np.nan,
    }
    usable = result.config.usable_blocks  # of each replica
    if usable is not None:
        row["kv_peak"] = (result.peak_blocks or 0) / usable
        row["kv_mean"] = sum(map(_block_seconds, parts)) / (usable * engine_seconds)
    return row


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


def _attained(times: Latencies, slo: Mapping[str, float] | None) -> NDArray[np.bool_] | None:
    if not slo:
        return None
    attained = np.ones(len(times.ttft), dtype=np.bool_)
    for name, limit in slo.items():
        if name not in SLO_METRICS:
            raise InputError(f"slo: expected one of {', '.join(SLO_METRICS)}, got {name!r}")
        seconds = getattr(times, name.removesuffix("_ms"))
        attained &= ~(seconds * 1e3 > limit)  # NaN attains
    return attained


def _distribution(name: str, values: NDArray[np.float64], counts: NDArray[np.int64]) -> Row:
    """Return mean and percentiles in milliseconds of `values` that occur `counts` times."""
    known = ~np.isnan(values)
    values, counts = values[known] * 1e3, counts[known]
    if not len(values):
        return {f"{stat}_{name}_ms": np.nan for stat in ("mean", *dict(_PERCENTILES))}
    order = np.argsort(values, kind="stable")
    values, ranks = values[order], np.cumsum(counts[order])
    row: Row = {f"mean_{name}_ms": float((values * counts[order]).sum() / ranks[-1])}
    for stat, percent in _PERCENTILES:
        row[f"{stat}_{name}_ms"] = _percentile(values, ranks, percent)
    return row


def _percentile(values: NDArray[np.float64], ranks: NDArray[np.int64], percent: float) -> float:
    """Interpolate between order statistics, as `numpy.percentile` of the repeated values."""
    position = percent / 100 * (int(ranks[-1]) - 1)
    low, high = np.searchsorted(ranks, [np.floor(position), np.ceil(position)], side="right")
    return float(values[low] + (values[high] - values[low]) * (position - np.floor(position)))
