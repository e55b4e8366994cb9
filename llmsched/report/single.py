"""One replay, for a terminal and as JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

import orjson

from llmsched.engine.limits import describe_output_limits
from llmsched.engine.result import SimulationResult
from llmsched.lengths import in_words
from llmsched.metric import HIGHER, METRICS
from llmsched.metrics import Summary
from llmsched.records import finite, record_inputs
from llmsched.report.console import PLAIN_WIDTH, Grid, Part, page
from llmsched.report.layout import wrapped

SCHEMA_VERSION = 1

_LATENCIES = (
    ("queueing", "queue"),
    ("time to first token", "ttft"),
    ("time per output token", "tpot"),
    ("inter-token latency", "itl"),
    ("end-to-end latency", "e2el"),
)
_STATISTICS = ("mean", "median", "p90", "p95", "p99")

Fact: TypeAlias = tuple[str, str, str]


def render_single(
    result: SimulationResult,
    row: Summary,
    how: Mapping[str, Any],
    proven: Mapping[str, Any] = MappingProxyType({}),
    *,
    width: int = PLAIN_WIDTH,
    color: bool = False,
) -> str:
    """Return the row of one replay as a page of `width` columns; the rest as in `render_json`."""
    trace = result.trace
    parts: list[Part] = [
        *wrapped("  " + _conditions(result, how), width, "  "),
        *(wrapped("  " + result.detail, width, "  ") if result.policy == "hybrid" else []),
        "",
        Grid([*_facts(row), *_objective(row, how, proven)], text=True),
        "",
        _latencies(row, proven),
        *(["", *wrapped(_scopes(proven), width)] if proven else []),
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
        ("KV cache at peak", f"{row['kv_peak_tokens']:,} tok", _kv(row)),
    ]


def _objective(row: Summary, how: Mapping[str, Any], proven: Mapping[str, Any]) -> list[Fact]:
    if not how["slo"]:
        return []
    limits = ", ".join(f"{name} <= {limit:g}" for name, limit in how["slo"].items())
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


def _scopes(proven: Mapping[str, Any]) -> str:
    """Say of which schedules the bounds hold, and what is proven of those that preempt little."""
    said = [f"Bounds hold for {next(iter(proven.values()))['scope']}."]
    for name, bound in proven.items():
        if limited := bound.get("limited"):
            metric = METRICS[name]
            value = f"{limited['value']:,.1f} ms"
            if metric.unit != "ms":
                value = f"{100 * limited['value']:.2f} %"
            side = "at most" if metric.better == HIGHER else "at least"
            said.append(f"For {limited['scope']}: {name} {side} {value}.")
    return " ".join(said)


def render_json(
    result: SimulationResult,
    row: Summary,
    how: Mapping[str, Any],
    proven: Mapping[str, Any] = MappingProxyType({}),
) -> str:
    """Return the row with everything it was computed from.

    Parameters
    ----------
    how : mapping
        Lengths mode, seed, closed-loop concurrency and SLO of the run.
    proven : mapping
        Bounds on latency by metric; see `latency_bounds.bounds_record`.
    """
    document = {
        "schema_version": SCHEMA_VERSION,
        **record_inputs(result.trace, result.hardware, result.config),
        **how,
        "policy_detail": result.detail,
        "results": [{"policy": result.policy, **finite(row)}],
        **({"bounds": dict(proven)} if proven else {}),
    }
    return orjson.dumps(document, option=orjson.OPT_INDENT_2).decode() + "\n"


def _conditions(result: SimulationResult, how: Mapping[str, Any]) -> str:
    seed = f" (seed {how['seed']})" if how["lengths"].startswith("noisy") else ""
    users = "" if how["concurrency"] is None else f", closed loop of {how['concurrency']:,} users"
    slots = _slots(result)
    words = describe_output_limits(result.trace, result.config)
    limits = f", {words}" if words else ""
    lengths = in_words(how["lengths"])
    return f"{result.hardware.title}, {slots}, {lengths}{seed}{limits}{users}"


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
