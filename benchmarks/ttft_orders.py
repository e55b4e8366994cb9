"""Mean TTFT of orders and rules beside its lower bound, and what the longest prompts pay for it.

    python -m benchmarks.ttft_orders [--loads 0.5 0.8] [--rows 5000]

Three traces on two profiles, whatever their models' lengths. Load is the span of the arrivals, at
the speed that gives it, against the time that `vllm` needs for all of them at once. Lengths are the
true ones, unless a row says otherwise. Bounds are for every schedule, and, after a stroke, for
those that preempt at most as often as the listed row of the least mean. The last table is that of
docs/bounds.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from llmsched.catalog import find
from llmsched.finding import find_trace
from llmsched.hardware import HardwareProfile
from llmsched.hardware.load import load_profile
from llmsched.importers import TraceOptions, load
from llmsched.latency_bounds import Bound, LatencyBounds, latency_bounds
from llmsched.lengths import predict
from llmsched.replay import simulate
from llmsched.trace import Trace

TRACES = {
    "conv": "traces/azure-llm-2023-conv.jsonl.gz",
    "code": "traces/azure-llm-2023-code.jsonl.gz",
    "mooncake": "traces/mooncake-fast25-conversation.jsonl.gz",
}
PROFILES = {"8b": "llama3-8b-a100", "70b": "llama2-70b-h100x8"}

SLO = {"ttft_ms": 2000.0}

FORMER = ("vllm", "sarathi", "fcfs", "sjf+chunked", "ljf+chunked")

NEW = (
    "sif+chunked",
    "lwf+chunked",
    "sif+chunked:token_budget=512",
    "lwf+chunked:token_budget=512",
    "sif+prefill_first",
    "lwf+prefill_first",
    "srpt",
    "lwf+shortest_remaining",
    "sif+shortest_remaining:token_budget=512",
    "sif+shortest_remaining:decode=false",
    "sif+shortest_remaining:token_budget=512:decode=false",
)
OTHERS = (
    "sif:ageing=10+chunked",
    "sif:ageing=100+chunked",
    "sif:ageing=10+shortest_remaining",
    "sif:ageing=100+shortest_remaining",
    "lwf:output_weight=4+chunked",
    "lwf:output_weight=16+chunked",
)
"""Variants of a new one, that are not counted among the best."""

NOISY = "lwf+chunked"
"""What is replayed with predictions of 30 % error too."""


@dataclass(frozen=True)
class Row:
    """What a policy came to, in seconds; NaN where a policy has no such thing."""

    policy: str
    mean: float
    p99: float
    most: float
    p99_long: float
    tpot: float
    e2el: float
    preemptions: int
    on_time: float


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description="Mean TTFT of policies beside its bound.")
    parser.add_argument("--loads", type=float, nargs="+", default=[0.5, 0.8])
    parser.add_argument("--rows", type=int, default=5000)
    options = parser.parse_args()
    lines = []
    for (name, file), (size, profile) in product(TRACES.items(), PROFILES.items()):
        trace = load(find_trace(file), TraceOptions(limit=options.rows))
        hardware = any_length(load_profile(profile))
        for at in options.loads:
            arrivals = at_load(trace, hardware, at)
            rows = list(measured(arrivals, hardware))
            listed = [row for row in rows if row.policy in FORMER + NEW]
            least = min(listed, key=lambda row: row.mean).preemptions
            bounds = latency_bounds(arrivals, hardware, slo=SLO)
            table(f"{name} {size}, load {at:g}", bounds.at_most(least), rows)
            lines.append(summary(f"{name} {size} {at:g}", bounds, least, listed))
    ends = ("bound", "five", "all (ratio)")
    titles = (f"{span} {end}" for span in ("TTFT", "E2EL") for end in ends)
    print(f"\n| pair, load | {' | '.join(titles)} | TTFT ≤ 2 s |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|")
    print("\n".join(lines))


def any_length(hardware: HardwareProfile) -> HardwareProfile:
    """Return the profile of a model without a greatest length: nobody is refused or cut.

    Nothing is cached, and no step is scheduled ahead: orders are compared, not engines.
    """
    engine = replace(hardware.engine, enable_prefix_caching=False, async_scheduling=False)
    return replace(hardware, engine=replace(engine, max_model_len=None))


def at_load(trace: Trace, hardware: HardwareProfile, load: float) -> Trace:
    """Return the trace at the speed at which its arrivals take 1 / `load` of what serving takes."""
    batch = replace(trace, arrival=np.zeros(len(trace)))
    needs = simulate(batch, hardware, find("vllm"), keep_steps=False).makespan
    arrival = trace.arrival - trace.arrival[0]
    return replace(trace, arrival=arrival * (needs / load / float(arrival[-1])))


def measured(trace: Trace, hardware: HardwareProfile) -> Iterator[Row]:
    """Replay the trace under each policy."""
    for policy in (*FORMER, *NEW, *OTHERS):
        yield _row(policy, policy, trace, hardware, predict(trace))
    noisy = predict(trace, "noisy:0.3")
    yield _row(f"{NOISY}, noisy:0.3", NOISY, trace, hardware, noisy)


def _row(
    title: str, policy: str, trace: Trace, hardware: HardwareProfile, seen: NDArray[np.int64]
) -> Row:
    result = simulate(trace, hardware, find(policy), predicted=seen, keep_steps=False)
    ttft = result.first_token - result.arrival
    long = trace.input_tokens >= np.percentile(trace.input_tokens, 90)
    several = trace.output_tokens > 1
    decoding = (result.finish - result.first_token)[several]
    return Row(
        title,
        float(ttft.mean()),
        float(np.percentile(ttft, 99)),
        float(ttft.max()),
        float(np.percentile(ttft[long], 99)),
        float((decoding / (trace.output_tokens[several] - 1)).mean()),
        float((result.finish - result.arrival).mean()),
        int(result.preemptions.sum()),
        float((ttft <= SLO["ttft_ms"] / 1e3).mean()),
    )


def summary(title: str, bounds: LatencyBounds, preemptions: int, rows: list[Row]) -> str:
    """Return one pair at one load as a line of Markdown: bounds, best of the five, best of all."""
    every, few = bounds.every, bounds.at_most(preemptions)
    five = [row for row in rows if row.policy in FORMER]
    cells = [title]
    for metric, field in (("mean_ttft_ms", "mean"), ("mean_e2el_ms", "e2el")):
        proven, limited = every[metric].value / 1e3, few[metric].value / 1e3
        former, best = (min(getattr(row, field) for row in some) for some in (five, rows))
        cells += [f"{proven:.4g} / {limited:.4g}", f"{former:.4g}"]
        cells += [f"{best:.4g} ({best / limited:.2f})"]
    most = (found["slo_attainment"].value for found in (every, few))
    on_time = max(row.on_time for row in rows)
    cells.append(f"{' / '.join(f'{share:.3f}' for share in most)}, {on_time:.3f}")
    return f"| {' | '.join(cells)} |"


def table(title: str, few: Mapping[str, Bound], rows: list[Row]) -> None:
    """Print one pair at one load beside the bound of schedules that preempt no more often."""
    bound = few["mean_ttft_ms"].value / 1e3
    print(f"\n{title}: bound {bound:.4g} s, for {few['mean_ttft_ms'].scope}")
    print(
        f"{'TTFT in seconds':<53}{'mean':>8}{'/ bound':>8}{'p99':>8}{'max':>8}"
        f"{'p99 of longest 10 %':>21}{'TPOT ms':>9}{'E2EL s':>8}{'preempted':>10}"
    )
    for row in rows:
        print(
            f"{row.policy:<53}{row.mean:>8.3f}{row.mean / bound:>8.3f}{row.p99:>8.2f}"
            f"{row.most:>8.2f}{row.p99_long:>21.2f}{1e3 * row.tpot:>9.1f}{row.e2el:>8.2f}"
            f"{row.preemptions:>10}"
        )


if __name__ == "__main__":
    main()
