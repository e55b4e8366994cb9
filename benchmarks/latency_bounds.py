"""Random replays against the bounds on latency.

    python -m benchmarks.latency_bounds --runs 20000 --seed 0

It draws small cases (all kinds of step times, falling tables too; few slots; KV blocks that run
out) and replays each under named policies and under rules that decide at random, let decodes
starve, trickle prompts, or preempt at will. It prints the first replay that is below a bound, and
stops. `benchmarks.ttft_orders` has how close policies come on real traces.
"""

from __future__ import annotations

import argparse
import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from llmsched.bounds import lower_bound
from llmsched.catalog import find, parts
from llmsched.config import EngineConfig
from llmsched.contract import Decide, Policy, Step, View
from llmsched.engine import SimulationResult
from llmsched.errors import InputError, LivelockError, PolicyError
from llmsched.hardware import HardwareProfile
from llmsched.hardware.affine import Affine
from llmsched.hardware.piecewise import Piecewise
from llmsched.hardware.roofline import Roofline
from llmsched.hardware.stages import Stages
from llmsched.hardware.step_time import StepTime
from llmsched.latency_bounds import LatencyBounds, latency_bounds
from llmsched.orders.fcfs import Fcfs
from llmsched.orders.ljf import Ljf
from llmsched.orders.random import Random
from llmsched.orders.sjf import Sjf
from llmsched.policies import NAMED
from llmsched.replay import simulate
from llmsched.trace import Trace

ROUNDING = 1e-8
"""Share by which sums of the same durations may differ, of the value and of the clock."""

_LIMITS = (0.5, 1.0, 1.5, 3.0)
"""Objectives, as multiples of what requests take on their own."""


@dataclass(frozen=True)
class Whim:
    """A rule that decides at random: mostly prompts, or mostly decodes, or a little of both.

    Attributes
    ----------
    prompts, beside : float
        How often it computes prompts when it can, and how often with decodes beside them.
    few : float
        How often it limits tokens and admissions.
    preempts : float
        How often it takes somebody's slot away.
    """

    seed: int
    prompts: float
    beside: float
    few: float
    preempts: float = 0.0
    mixed: bool = True

    def start(self, view: View) -> Decide:
        draw = random.Random(self.seed)

        def decide() -> Step:
            away: tuple[int, ...] = ()
            if view.decoding > 1 and draw.random() < self.preempts:
                away = (draw.choice([one.request for one in view.sequences() if one.decoding]),)
            if not view.can_prefill or (view.decoding and draw.random() > self.prompts):
                return Step(decode=True, rounds=draw.choice([1, 2, 9, None]), preempt=away)
            beside = self.mixed and draw.random() < self.beside
            few = draw.random() < self.few
            return Step(
                prefill=True,
                decode=beside,
                split=True,
                max_tokens=draw.choice([1, 2, 5]) + beside * view.decoding if few else None,
                max_new_seqs=draw.choice([None, 1, 2]) if few else None,
                preempt=away,
            )

        return decide


def policies(seed: int, mixed: bool) -> list[Policy]:
    """Return the policies that a case is replayed under."""
    orders = (Fcfs(), Sjf(), Ljf(), Random(seed), Random(seed + 1))
    rules = [
        Whim(seed, 0.7, 0.5, 0.5, mixed=mixed),
        Whim(seed, 1.0, 0.0, 0.0, mixed=mixed),  # decodes starve
        Whim(seed, 1.0, 1.0, 1.0, mixed=mixed),  # prompts trickle beside decodes
        Whim(seed, 0.9, 0.8, 0.3, preempts=0.2, mixed=mixed),
    ]
    found = [Policy("whim", order, rule) for rule in rules for order in orders]
    composed = (find("+".join((o, r))) for o in parts("orders") for r in parts("batching"))
    dice = random.Random(seed)
    others = [p for p in (*NAMED.values(), *composed) if mixed or not p.rule.mixed]
    return found + dice.sample(others, min(12, len(others)))


def cases(
    seed: int, *, cached: bool = False
) -> Iterator[tuple[Trace, HardwareProfile, EngineConfig]]:
    """Yield random cases without end; `cached`: whose prompts begin alike, and are found."""
    dice = random.Random(seed)
    while True:
        n = dice.choice([1, 2, 3, 5, 8, 12, 20])
        longest, most = dice.choice([2, 8, 60, 200]), dice.choice([1, 3, 12, 40])
        gap = dice.choice([0.0, 0.003, 0.02, 0.1])
        gaps = [dice.choice([0.0, gap, dice.expovariate(1) * gap]) for _ in range(n)]
        trace = Trace.from_columns(
            np.cumsum(gaps),
            [dice.randint(1, longest) for _ in range(n)],
            [dice.randint(1, most) for _ in range(n)],
        )
        hardware, knobs = HardwareProfile("random", step_time(dice)), config(dice, trace)
        if cached:
            trace, knobs = shared(dice, trace), with_cache(dice, knobs)
        yield trace, hardware, knobs


def shared(dice: random.Random, trace: Trace) -> Trace:
    """Return the requests with block ids: prompts, and some outputs, that begin like others."""
    size = dice.choice([1, 2, 3, 4, 16])
    prompt = trace.input_tokens
    if dice.random() < 0.4:  # they end with a block
        prompt = -(-prompt // size) * size
    names: dict[tuple[int, ...], int] = {}
    paths: list[list[int]] = []
    for tokens, output in zip(prompt.tolist(), trace.output_tokens.tolist(), strict=True):
        blocks = -(-(tokens + dice.choice([0, output])) // size)
        base = dice.choice(paths) if paths and dice.random() < 0.7 else []
        path = base[: dice.choice([blocks, dice.randint(0, blocks)])]
        while len(path) < blocks:
            path.append(dice.choice([0, 1, len(paths) + 2]))
        paths.append(path)
    ids = tuple(
        tuple(names.setdefault(tuple(path[: end + 1]), len(names)) for end in range(len(path)))
        for path in paths
    )
    return Trace.from_columns(
        trace.arrival, prompt, trace.output_tokens, hash_ids=ids, hash_block_size=size
    )


def with_cache(dice: random.Random, knobs: EngineConfig) -> EngineConfig:
    """Return the knobs of an engine that keeps blocks; prompts may be longer by a block."""
    blocks = knobs.num_gpu_blocks
    return replace(
        knobs,
        enable_prefix_caching=True,
        async_scheduling=dice.random() < 0.5,
        num_gpu_blocks=None if blocks is None else blocks + -(-15 // knobs.block_size),
        victim=dice.choice(["last_arrived", "longest_remaining", "least_urgent"]),
    )


def step_time(dice: random.Random) -> StepTime:
    """Return random step times of any kind."""
    kv, more = dice.choice([0.0, 1e-5, 1e-3]), dice.choice([0.0, 1e-5, 1e-3])
    attention: dict[str, Any] = {
        "per_kv_token_decode": kv,
        "per_kv_token_mixed": dice.choice([kv, more]),
        "per_prefill_token_sq": dice.choice([0.0, 1e-6, 2e-4]),
        "per_prefill_token_x_context": dice.choice([0.0, 1e-6, 3e-4]),
    }
    mixed = dice.random() < 0.75
    each = dice.choice([0.0, 1e-4, 2e-3])
    kind = dice.choice(["affine", "table", "falling", "roofline", "stages"])
    if kind == "stages":
        token, stage = dice.choice([0.0, 1e-3]), dice.choice([0.0, 5e-3, 0.05])
        return Stages(decode_round=0.01, per_stage=stage, per_token=token, per_decode_seq=each)
    if kind == "affine":
        step = dice.choice([0.0, 0.01]) if each or kv else 0.01  # a round takes some time
        token = dice.choice([1e-4, 1e-3, 1e-2])
        prices: dict[str, Any] = {
            "per_step": step,
            "per_prefill_token": token,
            "per_decode_seq": each,
        }
        return Affine(mixed=mixed, **prices, **attention)
    if kind == "roofline":
        return Roofline(
            fixed=dice.choice([0.0, 0.004]),
            read_weights=0.01,
            per_token_compute=dice.choice([1e-4, 2e-3]),
            per_token_move=dice.choice([0.0, 1e-4]),
            per_decode_seq=each,
            mixed=mixed,
            **attention,
        )
    knots = sorted(dice.sample(range(1, 60), dice.randint(2, 6)))
    seconds = [dice.uniform(0.004, 0.03) for _ in knots]
    if kind == "table" or dice.random() < 0.5:
        seconds.sort()
    if kind == "falling":  # somewhere; most of them go on with a slope that does not fall
        i = dice.randrange(len(seconds))
        seconds[i] = max(seconds) * dice.uniform(1.0, 3.0)
    return Piecewise(
        tokens=tuple(knots),
        seconds=tuple(seconds),
        per_decode_seq=each,
        mixed=mixed,
        **attention,
    )


def config(dice: random.Random, trace: Trace) -> EngineConfig:
    """Return random knobs under which all requests of a trace fit."""
    slots = dice.choice([1, 2, 3, 4, 8, 30])
    size = dice.choice([1, 2, 16])
    need = int((-(-(trace.input_tokens + trace.output_tokens) // size)).max())
    return EngineConfig(
        max_num_seqs=slots,
        max_num_batched_tokens=dice.choice([None, slots, slots + 1, slots + 5, slots + 30, 64]),
        block_size=size,
        num_gpu_blocks=dice.choice([None, need + 1, need + 2, 2 * need + 2]),
        long_prefill_token_threshold=dice.choice([0, 0, 1, 4, 20]),
        admission=dice.choice(["full_prompt", "first_chunk"]),
    )


def violations(result: SimulationResult, bounds: LatencyBounds) -> list[str]:
    """Return which bounds a replay is below, each with both values."""
    arrival, preemptions = bounds.trace.arrival, int(result.preemptions.sum())
    first, last = result.first_token - arrival, result.finish - arrival
    rounds = bounds.trace.output_tokens - 1
    few = bounds.at_most(preemptions)
    pairs = {
        "alone, first": (first, bounds.alone.first),
        "alone, further": (last - first, bounds.alone.further),
        "k-th first token": (np.sort(result.first_token), bounds.first_tokens),
        "k-th last token": (np.sort(result.finish), bounds.last_tokens),
        "k-th first token, few preempted": (
            np.sort(result.first_token),
            bounds.first_tokens_at_most(preemptions),
        ),
    }
    found = {
        name: (float(seen[i]), float(least[i]))
        for name, (seen, least) in pairs.items()
        for i in [int((seen - least).argmin())]
    }
    spans = {"ttft": first, "e2el": last, "tpot": (last - first)[rounds > 0] / rounds[rounds > 0]}
    for scope in (bounds.every, few):
        for name, bound in scope.items():
            statistic, span, _ = name.split("_")
            percent = {"median": 50.0}.get(statistic)
            if statistic.startswith("p"):
                percent = float(statistic[1:])
            values = spans[span]
            value = values.mean() if percent is None else np.percentile(values, percent)
            found[f"{name}, {bound.scope}"] = (1e3 * float(value), bound.value)
    for slo, share in _attained(spans, rounds, bounds):
        for most in (bounds.attainable(slo), bounds.attainable(slo, preemptions)):
            found[f"attained {slo}"] = (-share, -most)
    clock = float(result.finish.max())
    return [
        f"{name}: {seen!r} is below {least!r}"
        for name, (seen, least) in found.items()
        if seen < least - ROUNDING * max(abs(least), clock, 1e3 * clock * name.endswith("ms"))
    ]


def _attained(
    spans: dict[str, np.ndarray], rounds: np.ndarray, bounds: LatencyBounds
) -> Iterator[tuple[dict[str, float], float]]:
    """Yield objectives and the share of requests that keep each."""
    alone = bounds.alone
    tpot = np.zeros(len(rounds))
    tpot[rounds > 0] = spans["tpot"]
    least = float((alone.further / rounds.clip(1)).max())
    for ease in _LIMITS:
        ttft, whole = float(np.median(alone.first)), float(np.median(alone.whole))
        limits = {"ttft": ease * ttft, "tpot": ease * least, "e2el": ease * whole}
        for names in (("ttft",), ("e2el",), ("ttft", "tpot"), ("ttft", "e2el", "tpot")):
            kept = np.ones(len(rounds), np.bool_)
            for name in names:
                values = tpot if name == "tpot" else spans[name]
                kept &= values * 1e3 <= limits[name] * 1e3
            slo = {f"{name}_ms": 1e3 * limits[name] for name in names}
            yield slo, float(kept.mean())


def beaten(result: SimulationResult, knobs: EngineConfig) -> list[str]:
    """Return whether a replay ends before the bound on its total time.

    Nothing is claimed for tables that fall, and for rules that preempt where blocks suffice.
    """
    step_time, makespan = result.hardware.step_time, result.makespan
    may_preempt = knobs.num_gpu_blocks is not None and knobs.reserve == "none"
    falls = any(minorant.per_prefill_token < 0 for minorant in step_time.minorants())
    if falls or (result.preemptions.any() and not may_preempt):
        return []
    least = lower_bound(result.trace, result.hardware, knobs)
    return [f"total: {makespan!r} is below {least!r}"] * (makespan < least * (1 - ROUNDING))


def check(runs: int, seed: int, *, cached: bool = False) -> Counter[str]:
    """Replay random cases until there are so many replays; count what happened.

    Raises
    ------
    AssertionError
        A replay is below a bound; the message has all that is needed to see it again.
    """
    counts: Counter[str] = Counter()
    for number, (trace, hardware, knobs) in enumerate(cases(seed, cached=cached)):
        bounds = latency_bounds(trace, hardware, knobs)
        counts["cases"] += 1
        if bounds.reason:
            counts[f"no bound: {bounds.reason}"] += 1
            continue
        for policy in policies(seed + number, hardware.step_time.mixed):
            try:
                result = simulate(trace, hardware, policy, knobs, keep_steps=False)
            except (LivelockError, PolicyError, InputError) as error:
                counts[f"not replayed: {type(error).__name__}"] += 1
                continue
            below = violations(result, bounds) + beaten(result, knobs)
            assert not below, (
                "\n".join([*below, str(policy), *map(str, (hardware, knobs))])
                + str(
                    (
                        trace.arrival.tolist(),
                        trace.input_tokens.tolist(),
                        trace.output_tokens.tolist(),
                    )
                )
                + str((trace.hash_block_size, trace.hash_ids))
            )
            counts["runs"] += 1
            counts["runs with preemptions"] += bool(result.preemptions.any())
            counts["runs with tokens found"] += bool(result.cached_tokens.any())
            if counts["runs"] >= runs:
                return counts
    return counts


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description="Bounds on latency, held against replays.")
    parser.add_argument("--runs", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cached", action="store_true", help="with a prefix cache")
    options = parser.parse_args()
    begun = time.process_time()
    for name, count in sorted(check(options.runs, options.seed, cached=options.cached).items()):
        print(f"{count:>8,}  {name}")
    print(f"{time.process_time() - begun:.0f} CPU-s")


if __name__ == "__main__":
    main()
