"""Quality and speed of the planner, beside plain CP-SAT on the assignment model.

Run ``python -m benchmarks.planner`` (or ``make bench-planner``). Every row packs `seeds` instances
of one family under one wall-clock limit; a plan is proven when its makespan equals the bound. A
second table packs the instances of tests/recorded/public-cases/planner, whose optima are known.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.instances import instance
from llmsched.files import shipped
from llmsched.importers import load
from llmsched.packing import Packing, pack

Durations = NDArray[np.int64]
CASES = (
    Path(__file__).parents[1] / "tests" / "recorded" / "public-cases" / "planner" / "cases.jsonl"
)
ROUND_MS, STAGE_MS, TOKEN_MS = 68.892, 1.7343, 0.26302  # llama65b-8gpu-paper


def paper(_: int) -> Durations:
    """Decode rounds of the shipped GSM8K trace."""
    return load(shipped("traces", "gsm8k-llama65b.jsonl")).output_tokens - 1


def paper_ms(_: int) -> Durations:
    """The same trace in milliseconds of slot time."""
    trace = load(shipped("traces", "gsm8k-llama65b.jsonl"))
    return milliseconds(trace.output_tokens - 1, trace.input_tokens)


def milliseconds(rounds: Durations, prompt: Durations) -> Durations:
    """Slot time of each request under the profile llama65b-8gpu-paper."""
    return np.rint(rounds * ROUND_MS + STAGE_MS + prompt * TOKEN_MS).astype(np.int64)


def lognormal(n: int, mean: float = 345.0, std: float = 188.0) -> Callable[[int], Durations]:
    """Decode rounds of lognormal output lengths clipped to 1..1024."""

    def draw(seed: int) -> Durations:
        rng = np.random.default_rng(seed)
        variance = np.log1p((std / mean) ** 2)
        tokens = rng.lognormal(np.log(mean) - variance / 2, np.sqrt(variance), n)
        return np.clip(np.rint(tokens), 1, 1024).astype(np.int64) - 1

    return draw


def lognormal_ms(n: int) -> Callable[[int], Durations]:
    """The same, in milliseconds, with prompts of the GSM8K set's mean and spread."""

    def draw(seed: int) -> Durations:
        prompt = np.random.default_rng(seed + 1000).normal(68.4, 25.0, n)
        return milliseconds(lognormal(n)(seed), np.maximum(np.rint(prompt), 1).astype(np.int64))

    return draw


def uniform(low: int, high: int, n: int) -> Callable[[int], Durations]:
    """Uniform durations in `low`..`high`."""
    return lambda seed: np.random.default_rng(seed).integers(low, high + 1, n)


def normal(mean: float, std: float, n: int) -> Callable[[int], Durations]:
    """Normal durations, at least 1."""

    def draw(seed: int) -> Durations:
        values = np.random.default_rng(seed).normal(mean, std, n)
        return np.maximum(np.rint(values), 1).astype(np.int64)

    return draw


@dataclass(frozen=True)
class Family:
    """Instances drawn alike: one row of the table."""

    name: str
    draw: Callable[[int], Durations]
    bins: int
    seeds: int
    limit_s: float


def families(seeds: int, limit_s: float) -> list[Family]:
    """Return the rows: traffic first, then the hard families of the literature."""
    rows = [
        Family("gsm8k 1319x200 rounds", paper, 200, 1, 5),
        Family("gsm8k 1319x200 ms", paper_ms, 200, 1, 5),
        Family("lognormal 1319x200 rounds", lognormal(1319), 200, 3 * seeds, 0.5),
        Family("lognormal 1319x200 ms", lognormal_ms(1319), 200, 3 * seeds, 5),
        Family("lognormal 100000x1000", lognormal(100_000), 1000, 1, 2),
        Family("lognormal 1000000x1000", lognormal(1_000_000), 1000, 1, 15),
    ]
    for n, bins in ((100, 40), (220, 100), (500, 200)):
        hard = {
            "U[1,100]": uniform(1, 100, n),
            "U[20,100]": uniform(20, 100, n),
            "N(100,50)": normal(100, 50, n),
            "U[1,1000]": uniform(1, 1000, n),
            "U[n,4n]": uniform(n, 4 * n, n),
        }
        rows += [Family(f"{k} {n}x{bins}", draw, bins, seeds, limit_s) for k, draw in hard.items()]
    return rows


def measure(family: Family, seeds: int, solver: str) -> list[tuple[Packing, float]]:
    """Pack the family's first instances; return each packing with its wall-clock seconds."""
    results = []
    for seed in range(seeds):
        durations = family.draw(seed)
        started = time.perf_counter()
        packing = pack(durations, family.bins, solver=solver, time_limit_s=family.limit_s)
        results.append((packing, time.perf_counter() - started))
    return results


def describe(results: list[tuple[Packing, float]]) -> str:
    """Return proven/all, worst gap, mean and worst seconds."""
    if not results:
        return f"{'-':>7}{'-':>9}{'-':>8}{'-':>8}"
    proven = sum(packing.status == "optimal" for packing, _ in results)
    worst = max(packing.gap_percent for packing, _ in results)
    seconds = [s for _, s in results]
    share = f"{proven}/{len(results)}"
    return f"{share:>7}{worst:>8.3f}%{np.mean(seconds):>7.2f}s{max(seconds):>7.2f}s"


def two_lengths(seed: int) -> Durations:
    """A million requests of two lengths, all multiples of 17: so is the best makespan."""
    return np.random.default_rng(seed).choice(np.array([17, 901]), 1_000_000)


def known(limit_s: float, only: str) -> None:
    """Pack the instances whose optimum is known; a claim beyond it ends the benchmark."""
    cases = [json.loads(line) for line in CASES.read_text().splitlines()]
    rows = [(case["name"], np.array(instance(case)), case["m"], case["opt"]) for case in cases]
    million = two_lengths(7)
    rows.append(("two lengths 1000000x1000", million, 1000, 17 * -(-int(million.sum()) // 17_000)))
    rows = [row for row in rows if only in row[0]]
    proven = 0
    for name, sizes, bins, optimum in rows:
        started = time.process_time()
        packing = pack(sizes, bins, time_limit_s=limit_s)
        seconds = time.process_time() - started
        if packing.lower_bound > optimum or packing.makespan < optimum:
            raise SystemExit(f"{name}: {packing.lower_bound}..{packing.makespan}, not {optimum}")
        proven += packing.status == "optimal"
        line = f"{packing.lower_bound:>8}{optimum:>9}{packing.makespan:>10}{packing.status:>10}"
        print(f"{name:<27}{line}{seconds:>8.2f}", flush=True)
    print(f"{proven} of {len(rows)} proven within {limit_s:g} s each")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--limit", type=float, default=10.0, help="seconds, hard families")
    parser.add_argument("--plain-seeds", type=int, default=2, help="instances for plain CP-SAT")
    parser.add_argument("--only", default="", help="rows whose name contains this")
    arguments = parser.parse_args()
    head = f"{'proven':>7}{'worst gap':>9}{'mean':>8}{'worst':>8}"
    print(f"{'family':<27}{'limit':>6} |{head} | closed by{'':<28}|{head}  (plain CP-SAT)")
    for family in families(arguments.seeds, arguments.limit):
        if arguments.only not in family.name:
            continue
        ours = measure(family, family.seeds, "auto")
        small = len(family.draw(0)) * family.bins <= 300_000  # beyond this CP-SAT needs over 1 GB
        plain = measure(family, min(arguments.plain_seeds, family.seeds) if small else 0, "cp-sat")
        closed = Counter(packing.closed_by for packing, _ in ours if packing.status == "optimal")
        by = ", ".join(f"{name} {count}" for name, count in sorted(closed.items()))
        row = f"{family.name:<27}{family.limit_s:>5g}s |{describe(ours)} | {by:<36} |"
        print(row + describe(plain), flush=True)
    print(
        f"{'known optimum':<27}{'bound':>8}{'optimum':>9}{'makespan':>10}{'status':>10}{'CPU-s':>8}"
    )
    known(arguments.limit, arguments.only)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"peak memory {peak:.2f} GB; seconds are wall-clock, one CP-SAT worker")


if __name__ == "__main__":
    main()
