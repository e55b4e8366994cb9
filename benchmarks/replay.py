"""How fast replays are: simulated requests a CPU-second, loading excluded.

    python benchmarks/replay.py [--skip-million]

Each input is also replayed round by round by the same engine (its rule asks to be asked again after
every round), which must give the same total time and shows what leaping saves. Inputs are the
shipped Azure conversation trace, and a schedule recorded under KV pressure.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import time
from dataclasses import dataclass, replace

import numpy as np

from llmsched import kernel
from llmsched.config import EngineConfig
from llmsched.contract import BatchingRule, Decide, Policy, Step, View
from llmsched.engine import SimulationResult
from llmsched.finding import find_trace
from llmsched.hardware import HardwareProfile, load_profile
from llmsched.hardware.affine import Affine
from llmsched.importers import load
from llmsched.policies import NAMED
from llmsched.replay import simulate
from llmsched.trace import Trace
from llmsched.verify import golden

MIXED = HardwareProfile(
    "recorded",
    Affine(
        per_step=8e-3,
        per_prefill_token=8e-5,
        per_decode_seq=5e-5,
        per_kv_token_decode=3e-8,
        per_kv_token_mixed=3e-8,
    ),
)
"""The prices that the recorded schedules were made with."""

CHUNKED = EngineConfig(max_num_seqs=128, max_num_batched_tokens=2048)


@dataclass(frozen=True)
class Crawl:
    """A rule that is asked before every round."""

    rule: BatchingRule

    @property
    def mixed(self) -> bool:
        return self.rule.mixed

    def start(self, view: View) -> Decide:
        inner = self.rule.start(view)

        def decide() -> Step:
            step = inner()
            return step if step.prefill else replace(step, rounds=1)

        return decide


@dataclass(frozen=True)
class Input:
    """One line of the table."""

    name: str
    trace: Trace
    policy: Policy
    hardware: HardwareProfile
    config: EngineConfig

    def run(self, policy: Policy) -> tuple[float, SimulationResult]:
        """Return CPU-seconds and the result."""
        began = time.process_time()
        result = simulate(self.trace, self.hardware, policy, self.config)
        return time.process_time() - began, result

    def line(self) -> str:
        """Replay by leaps (the best of three) and round by round."""
        leaps, result = min((self.run(self.policy) for _ in range(3)), key=lambda run: run[0])
        crawl, same = self.run(replace(self.policy, rule=Crawl(self.policy.rule)))
        if abs(same.makespan / result.makespan - 1) > 1e-9:
            raise SystemExit(
                f"{self.name}: {same.makespan} s by rounds, {result.makespan} s by leaps"
            )
        n = len(self.trace)
        return (
            f"{self.name:<44} {n:>7,} {int(result.column('rounds').sum()):>9,} "
            f"{len(result.step_rows):>8,} {n / leaps:>9,.0f} {n / crawl:>9,.0f}"
        )


def inputs() -> list[Input]:
    """Return the lines of the table."""
    chat = conversation()
    ample = replace(CHUNKED, num_gpu_blocks=100_000)
    tight = replace(CHUNKED, num_gpu_blocks=4_001)
    paper = load_profile("llama65b-8gpu-paper")
    return [
        Input(f"fcfs, {chat.name}", chat, NAMED["fcfs"], paper, EngineConfig(max_num_seqs=128)),
        Input(f"vllm, {chat.name}", chat, NAMED["vllm"], MIXED, CHUNKED),
        Input("vllm, the same in 100,000 blocks", chat, NAMED["vllm"], MIXED, ample),
        Input("vllm, KV pressure: 4,001 blocks", pressed(), NAMED["vllm"], MIXED, tight),
    ]


def conversation() -> Trace:
    """Return the Azure conversation trace."""
    return load(find_trace("azure-llm-2023-conv"))


def pressed() -> Trace:
    """Return 20,000 requests that arrive faster than 4,001 blocks can serve them."""
    (path,) = (path for path in golden.recordings() if "kv_pressure" in path.name)
    return repeated(golden.read(path).trace, 20_000)


def repeated(trace: Trace, requests: int) -> Trace:
    """Return the trace again and again, each time after its last arrival."""
    times = -(-requests // len(trace))
    span = trace.arrival[-1] * (1 + 1 / len(trace))
    arrival = (np.arange(times)[:, None] * span + trace.arrival).ravel()[:requests]
    prompt, output = (
        np.tile(column, times)[:requests] for column in (trace.input_tokens, trace.output_tokens)
    )
    return Trace.from_columns(arrival, prompt, output, name=trace.name)


def million(policy: str) -> tuple[float, float]:
    """Replay a million requests; return CPU-seconds and the peak memory of this process in MB."""
    trace = repeated(conversation(), 1_000_000)
    hardware = MIXED if policy == "vllm" else load_profile("llama65b-8gpu-paper")
    began = time.process_time()
    simulate(trace, hardware, NAMED[policy], CHUNKED)
    cpu = time.process_time() - began
    return cpu, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description="Simulated requests a CPU-second.")
    parser.add_argument("--skip-million", action="store_true", help="Leave out the large trace.")
    skip = parser.parse_args().skip_million
    print(kernel.which())
    print(f"{'requests a CPU-second':>92}")
    print(
        f"{'policy, input':<44} {'reqs':>7} {'steps':>9} {'rows':>8} {'leaping':>9} {'crawling':>9}"
    )
    for line in inputs():
        print(line.line(), flush=True)
    if skip:
        return
    spawn = multiprocessing.get_context("spawn")
    with spawn.Pool(1, maxtasksperchild=1) as pool:
        for policy in ("fcfs", "vllm"):
            cpu, memory = pool.apply(million, (policy,))
            print(
                f"{policy}, 1,000,000 requests: {1e6 / cpu:,.0f} a CPU-second, "
                f"{memory:,.0f} MB at most"
            )


if __name__ == "__main__":
    main()
