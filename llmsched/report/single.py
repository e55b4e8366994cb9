"""One replay, for a terminal and as JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
import orjson

from llmsched.counted import Counted
from llmsched.engine.limits import describe_output_limits
from llmsched.engine.refusal import describe_unserved
from llmsched.engine.result import COMPLETED, SimulationResult
from llmsched.lengths import in_words
from llmsched.metric import SLO_METRICS
from llmsched.metrics import Summary
from llmsched.objective import held, split
from llmsched.records import finite, listed_groups, record_inputs
from llmsched.regime import Load, describe, record_load
from llmsched.report.console import PLAIN_WIDTH, Grid, Part, page
from llmsched.report.groups import group_parts, objective_lines
from llmsched.report.layout import wrapped
from llmsched.report.proven import scopes

SCHEMA_VERSION = 1

_LATENCIES = (
    ("queueing", "queue"),
    ("time to first token", "ttft"),
    ("time per output token", "tpot"),
    ("inter-token latency", "itl"),
    ("end-to-end latency", "e2el"),
)
_STATISTICS = ("mean", "median", "p90", "p95", "p99")

_LEFT = (
    "Queueing and TTFT are of all requests that got that far, TPOT and E2EL of completed ones: "
    "the others' clients had left."
)

Fact: TypeAlias = tuple[str, str, str]


def render_single(
    result: SimulationResult,
    row: Summary,
    how: Mapping[str, Any],
    groups: Mapping[str, Summary] = MappingProxyType({}),
    load: Load | None = None,
    proven: Mapping[str, Any] = MappingProxyType({}),
    *,
    width: int = PLAIN_WIDTH,
    color: bool = False,
) -> str:
    """Return the row of one replay as a page of `width` columns; others as in `render_json`."""
    trace, listed = result.trace, [_row(result, row, how, groups)]
    parts: list[Part] = [
        *wrapped("  " + _conditions(result, how), width, "  "),
        *(wrapped("  " + result.detail, width, "  ") if result.policy == "hybrid" else []),
        *wrapped(f"  {described}" if (described := describe(load, [row])) else "", width, "  "),
        "",
        Grid(
            [
                *_served(row, result),
                *_facts(row),
                *_sessions(row),
                *_longest_gap(result),
                *_objective(row, how, proven),
            ],
            text=True,
        ),
        "",
        _latencies(row, proven),
        *(["", *wrapped(_LEFT, width)] if row["aborted"] else []),
        *(["", *wrapped(scopes(proven), width)] if proven else []),
        *group_parts(listed, how.get("by", "")),
        *objective_lines(listed),
        *(["", *wrapped(trace.note, width)] if trace.note else []),
    ]
    title = f"{result.policy} on {trace.name} ({len(trace):,} requests)"
    return page(parts, title=title, width=width, color=color)


def _facts(row: Summary) -> list[Fact]:
    """Return what the replay came to: what, how much, and a remark."""
    return [
        ("total inference time", f"{row['makespan_s']:,.3f} s", _bound(row)),
        ("utilization", f"{100 * row['utilization']:.2f} %", "of slot-seconds computing"),
        ("efficiency", _percent(row["efficiency"]), "least engine time for this work / total"),
        (
            "output throughput",
            f"{row['output_throughput']:,.1f} tok/s",
            f"{row['request_throughput']:,.2f} req/s, "
            f"{row['total_token_throughput']:,.0f} tok/s with input",
        ),
        (
            "steps",
            f"{row['steps']:,}",
            f"{row['prefill_steps']:,} with prefill, mean batch {row['mean_batch']:.1f}",
        ),
        ("preemptions", f"{row['preemptions']:,}", f"{row['recomputed_tokens']:,} tokens again"),
        *_found(row),
        ("KV cache at peak", f"{row['kv_peak_tokens']:,} tok", _kv(row)),
    ]


def _found(row: Summary) -> list[Fact]:
    """Return what prompts found in the prefix cache; nothing where there is none."""
    if math.isnan(row["cached_tokens"]):
        return []
    rate = 100 * row["prefix_cache_hit_rate"]
    return [("prefix cache hits", f"{rate:.1f} %", f"{row['cached_tokens']:,} tokens of prompts")]


def _served(row: Summary, result: SimulationResult) -> list[Fact]:
    """Return how many requests were completed, if not all of them were, or not in full."""
    said = [words] if (words := _unserved(result)) else []
    if row["aborted"]:
        tokens = (
            f"{row['wasted_output_tokens']:,} tokens and {row['wasted_input_tokens']:,} of prompts"
        )
        said.append(f"{row['aborted']:,} aborted, {tokens} wasted")
    if not said:
        return []
    return [("served", f"{row['completed']:,} of {row['offered']:,}", "; ".join(said))]


def _sessions(row: Summary) -> list[Fact]:
    """Return how many sessions were completed, and how long they took; nothing without any."""
    if not row["sessions"]:
        return []
    took = f"{row['mean_session_ms']:,.1f} ms mean, {row['p99_session_ms']:,.1f} ms p99"
    return [("sessions", f"{row['sessions']:,}", f"{took}, from first arrival to last token")]


def _longest_gap(result: SimulationResult) -> list[Fact]:
    """Return the longest wait between two tokens of a request, and what was computed in it."""
    streams = result.streams
    if streams is None or np.isnan(streams.worst_gap).all():
        return []
    row = int(np.nanargmax(streams.worst_gap))
    (cause,) = streams.causes(result.trace.id, [row], "prefill, most tokens of")
    words = f"in {result.trace.id[row]}: {cause}"
    return [("longest gap", f"{streams.worst_gap[row] * 1e3:,.1f} ms", words)]


def _objective(row: Summary, how: Mapping[str, Any], proven: Mapping[str, Any]) -> list[Fact]:
    if math.isnan(row["slo_attainment"]):
        return []
    limits = ", ".join(
        f"{name} <= {limit:g}"
        for name, limit in how["slo"].items()
        if split(name)[1] in SLO_METRICS
    )
    goodput = f"goodput {row['request_goodput']:.2f} requests/s"
    remark = f"{limits}; {goodput}"
    if bound := proven.get("slo_attainment"):
        remark += f"; upper bound {100 * bound['value']:.2f} %"
    return [("SLO attained", f"{100 * row['slo_attainment']:.2f} %", remark)]


def _latencies(row: Summary, proven: Mapping[str, Any]) -> Grid:
    """Return the statistics of each span, in milliseconds, each above what none can beat."""
    rows = []
    for label, key in _LATENCIES:
        names = [f"{name}_{key}_ms" for name in _STATISTICS]
        rows.append([label, *(_milliseconds(row[name]) for name in names)])
        if names[0] in proven:
            bounds = (_milliseconds(proven[name]["value"]) for name in names)
            rows.append(["  lower bound", *bounds])
    return Grid(rows, [["ms", *_STATISTICS]])


def render_json(
    result: SimulationResult,
    row: Summary,
    how: Mapping[str, Any],
    groups: Mapping[str, Summary] = MappingProxyType({}),
    load: Load | None = None,
    proven: Mapping[str, Any] = MappingProxyType({}),
) -> str:
    """Return the row with everything it was computed from.

    Parameters
    ----------
    how : mapping
        Lengths mode, seed, closed-loop concurrency and SLO of the run, and which requests count.
    groups : mapping
        Row a group.
    load : Load or None
        What the arrivals put on the engine; None of a batch.
    proven : mapping
        Bounds on latency by metric; see `latency_bounds.bounds_record`.
    """
    inputs = record_inputs(result.trace, result.hardware, result.config)
    if said := _unserved(result):
        inputs["trace"]["unserved"] = said
    document = {
        "schema_version": SCHEMA_VERSION,
        **inputs,
        **how,
        **record_load(load),
        "policy_detail": result.detail,
        "results": [_row(result, row, how, groups)],
        **({"bounds": dict(proven)} if proven else {}),
    }
    return orjson.dumps(document, option=orjson.OPT_INDENT_2).decode() + "\n"


def _row(
    result: SimulationResult,
    row: Summary,
    how: Mapping[str, Any],
    groups: Mapping[str, Summary],
) -> dict[str, Any]:
    """Return the row as a document has it, with its groups and the limits that it meets."""
    listed = {"policy": result.policy, **finite(row), **listed_groups(groups)}
    objectives = held(how["slo"] or {}, listed)
    return {**listed, "objectives": objectives} if objectives else listed


def _conditions(result: SimulationResult, how: Mapping[str, Any]) -> str:
    seed = f" (seed {how['seed']})" if how["lengths"].startswith("noisy") else ""
    users = "" if how["concurrency"] is None else f", closed loop of {how['concurrency']:,} users"
    slots = _slots(result)
    words = describe_output_limits(result.trace, result.config)
    limits = f", {words}" if words else ""
    lengths = in_words(how["lengths"])
    measured = Counted(how.get("warmup"), how.get("window")).words(
        np.sort(result.arrival), len(result.arrival)
    )
    counted = f", {measured}" if measured else ""
    return f"{result.hardware.title}, {slots}, {lengths}{seed}{limits}{users}{counted}"


def _unserved(result: SimulationResult) -> str:
    """Return who was refused and why, and how many answers were cut."""
    short = (result.status == COMPLETED) & (result.emitted < result.trace.output_tokens)
    return describe_unserved(result.refusal, int(short.sum()), result.trace.id, result.config)


def _slots(result: SimulationResult) -> str:
    """Return the slots, of each replica where there are several; some may be idle."""
    total = result.config.max_num_seqs
    each = result.works[0].config.max_num_seqs
    if each == total:
        return f"{total:,} slots"
    return f"{total // each} replicas of {each:,} slots"


def _bound(row: Summary) -> str:
    return f"lower bound {row['lower_bound_s']:,.3f} s, gap {row['gap_percent']:.2f} %"


def _percent(share: float) -> str:
    return "–" if math.isnan(share) else f"{100 * share:.2f} %"


def _kv(row: Summary) -> str:
    if math.isnan(row["kv_peak"]):
        return "no limit on KV blocks"
    return f"blocks: {100 * row['kv_peak']:.1f} % at peak, {100 * row['kv_mean']:.1f} % mean"


def _milliseconds(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:,.1f}"
