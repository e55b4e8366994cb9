"""Replays in a process of its own, whose kernel LLMSCHED_KERNEL chooses: CPU-seconds as JSON.

    python -m benchmarks.kernels INPUT [FILE]

A replay is `llmsched.engine.run` on admitted requests: reading, checking and metrics are excluded.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from heapq import heappop, heappush
from typing import ClassVar

import numpy as np

from llmsched import kernel
from llmsched.contract import (
    DECODE,
    MIXED,
    BatchingRule,
    Decide,
    Jobs,
    Order,
    Policy,
    Step,
    View,
    WaitingQueue,
)
from llmsched.engine import SimulationResult, admit, run
from llmsched.finding import find_trace
from llmsched.hardware import load_profile
from llmsched.importers import load
from llmsched.orders import RankQueue
from llmsched.policies import NAMED
from llmsched.trace import Trace

HARDWARE = "llama3-8b-a100"

ENOUGH = 0.5
"""CPU-seconds after which a replay is not tried again."""

TIGHT = 4_001
"""KV blocks of the input under pressure."""


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
class PythonRule:
    """The rule of vLLM, as a user writes it."""

    mixed: ClassVar[bool] = True

    def start(self, view: View) -> Decide:
        return lambda: MIXED if view.can_prefill else DECODE


@dataclass(frozen=True)
class ByFunction:
    """First come, first served, by a function that is asked for a key when a request arrives."""

    def queue(self, jobs: Jobs, view: View) -> RankQueue:
        return RankQueue(lambda request: request)


@dataclass(frozen=True)
class ByArray:
    """First come, first served, by an array of keys."""

    def queue(self, jobs: Jobs, view: View) -> RankQueue:
        return RankQueue(jobs.arrival)


class PythonQueue:
    """First come, first served, as an object of Python."""

    release: Callable[[int], None] | None = None

    def __init__(self) -> None:
        self._heap: list[int] = []

    def push(self, request: int) -> None:
        heappush(self._heap, request)

    def peek(self) -> int:
        return self._heap[0] if self._heap else -1

    def pop(self) -> int:
        return heappop(self._heap)


@dataclass(frozen=True)
class ByQueue:
    """First come, first served, by that queue."""

    def queue(self, jobs: Jobs, view: View) -> WaitingQueue:
        return PythonQueue()


def variants() -> dict[str, Policy]:
    """Return one schedule, said in different ways; by leaps, and round by round."""
    vllm = NAMED["vllm"]
    orders: dict[str, Order] = {
        "key function": ByFunction(),
        "key array": ByArray(),
        "queue object": ByQueue(),
    }
    rule = PythonRule()
    return {
        "vllm": vllm,
        "crawling": replace(vllm, rule=Crawl(vllm.rule)),
        "Python rule": replace(vllm, rule=rule),
        **{name: replace(vllm, order=order) for name, order in orders.items()},
        **{f"rule and {name}": Policy("", order, rule) for name, order in orders.items()},
    }


@dataclass(frozen=True)
class Input:
    """Requests, and the engine that they are replayed on."""

    trace: Trace
    num_gpu_blocks: int | None = None
    best: dict[str, float] = field(default_factory=dict)

    def measure(self) -> None:
        """Replay all variants, which must agree on the total time."""
        ends = {name: self._best(name, policy).makespan for name, policy in variants().items()}
        for name, end in ends.items():
            if abs(end / ends["vllm"] - 1) > 1e-9:
                raise SystemExit(f"{self.trace.name}: {end} s with {name}, {ends['vllm']} s else")
        together = replace(self.trace, arrival=np.zeros(len(self.trace)))
        replace(self, trace=together, best=self.best)._rehearse()

    def _rehearse(self) -> None:
        """Measure the hybrid policy's choice, and the replay of what it chose."""
        hybrid = NAMED["hybrid"]
        assert hybrid.offline is not None
        hardware = load_profile(HARDWARE)
        known = admit(self.trace, hardware, hybrid, hardware.engine).known()
        began = time.process_time()
        order, rule = hybrid.offline.choose(known)
        self.best["rehearsal"] = time.process_time() - began
        self._best("rehearsed", replace(hybrid, order=order, rule=rule, offline=None))

    def _best(self, name: str, policy: Policy) -> SimulationResult:
        """Replay until enough time is spent; keep the least CPU-seconds."""
        hardware = load_profile(HARDWARE)
        config = hardware.engine
        if self.num_gpu_blocks is not None:
            config = replace(config, num_gpu_blocks=self.num_gpu_blocks)
        intake = admit(self.trace, hardware, policy, config)
        spent: list[float] = []
        while sum(spent) < ENOUGH:
            began = time.process_time()
            result = run(intake, policy, keep_steps=False, stalls=False)
            spent.append(time.process_time() - began)
        self.best[name] = min(spent)
        return result


def find(name: str, file: str | None = None) -> Input:
    """Return the input of that name."""
    trace = load(find_trace(file or "azure-llm-2023-conv"))
    if name == "pressed":
        return Input(replace(trace, arrival=trace.arrival / 8), TIGHT)
    return Input(trace)


if __name__ == "__main__":
    chosen = find(*sys.argv[1:])
    chosen.measure()
    said = {"python": kernel.WHY_PYTHON, "requests": len(chosen.trace), "seconds": chosen.best}
    print(json.dumps(said))
