"""vLLM's scheduling rules as one plain loop, which records what a real engine's recorder would.

Written from the rules that come with the recorded schedules, step by step and with nothing shared
with the engine, so that schedules nobody recorded (KV so tight that it thrashes, bursts, outputs of
one token) can be checked as well.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

STEP_TIME = {
    "base_ms": 8.0,
    "per_prefill_token_ms": 0.08,
    "per_decode_seq_ms": 0.05,
    "per_kv_token_ms": 3e-05,
}


@dataclass
class Seq:
    arrival: float
    prompt: int
    output: int
    generated: int = 0
    computed: int = 0
    blocks: int = 0
    preemptions: int = 0
    first_token: float = 0.0
    finish: float = 0.0

    @property
    def known(self) -> int:
        return self.prompt + self.generated


@dataclass
class PlainVllm:
    """One replay; `record` returns a document in the format of the recorded schedules."""

    requests: Sequence[tuple[float, int, int]]
    max_num_seqs: int
    max_num_batched_tokens: int
    num_gpu_blocks: int
    block_size: int = 16
    step_time: dict[str, float] = field(default_factory=lambda: dict(STEP_TIME))

    def record(self) -> dict[str, Any]:
        self.sequences = [Seq(*request) for request in self.requests]
        self.free = self.num_gpu_blocks - 1
        self.running: list[Seq] = []
        self.waiting: deque[Seq] = deque()
        coming = deque(self.sequences)
        now, steps = 0.0, []
        while coming or self.waiting or self.running:
            if not self.waiting and not self.running:
                now = max(now, coming[0].arrival)
            while coming and coming[0].arrival <= now + 1e-9:
                self.waiting.append(coming.popleft())
            scheduled = self._schedule()
            counts = self._count(scheduled)
            steps.append([*counts, len(self.running), len(self.waiting)])
            now += self._seconds(*counts)
            self._apply(scheduled, now)
        return self._document(steps, now)

    def _schedule(self) -> list[tuple[Seq, int]]:
        budget, scheduled = self.max_num_batched_tokens, []
        preempted, at = False, 0
        while at < len(self.running) and budget:
            sequence = self.running[at]
            tokens = min(sequence.known - sequence.computed, budget)
            while not self._take(sequence, sequence.computed + tokens):
                preempted = True
                if self._preempt_last() is sequence:
                    break
            else:
                scheduled.append((sequence, tokens))
                budget -= tokens
                at += 1
                continue
            break
        while not preempted and self.waiting and budget and len(self.running) < self.max_num_seqs:
            sequence = self.waiting[0]
            if self._blocks(sequence.known) > self.free:
                break
            tokens = min(sequence.known, budget)
            assert self._take(sequence, tokens)
            self.running.append(self.waiting.popleft())
            scheduled.append((sequence, tokens))
            budget -= tokens
        return scheduled

    def _count(self, scheduled: list[tuple[Seq, int]]) -> tuple[int, int, int]:
        prefill = seqs = kv = 0
        for sequence, tokens in scheduled:
            if sequence.generated and sequence.known - sequence.computed == 1:
                seqs += 1
                kv += sequence.computed
            else:
                prefill += tokens
        return prefill, seqs, kv

    def _seconds(self, prefill: int, seqs: int, kv: int) -> float:
        price = self.step_time
        milliseconds = price["base_ms"] + price["per_prefill_token_ms"] * prefill
        milliseconds += price["per_decode_seq_ms"] * seqs + price["per_kv_token_ms"] * kv
        return milliseconds / 1e3

    def _apply(self, scheduled: list[tuple[Seq, int]], now: float) -> None:
        for sequence, tokens in scheduled:
            sequence.computed += tokens
            if sequence.computed < sequence.known:
                continue
            sequence.generated += 1
            if sequence.generated == 1:
                sequence.first_token = now
            if sequence.generated == sequence.output:
                sequence.finish = now
                self.free += sequence.blocks
                self.running.remove(sequence)

    def _preempt_last(self) -> Seq:
        victim = self.running.pop()
        self.free += victim.blocks
        victim.blocks = victim.computed = 0
        victim.preemptions += 1
        self.waiting.appendleft(victim)
        return victim

    def _take(self, sequence: Seq, tokens: int) -> bool:
        need = self._blocks(tokens) - sequence.blocks
        if need > self.free:
            return False
        self.free -= need
        sequence.blocks += need
        return True

    def _blocks(self, tokens: int) -> int:
        return -(-tokens // self.block_size)

    def _document(self, steps: list[list[int]], now: float) -> dict[str, Any]:
        return {
            "name": "plain",
            "config": {
                "max_num_seqs": self.max_num_seqs,
                "max_num_batched_tokens": self.max_num_batched_tokens,
                "num_gpu_blocks": self.num_gpu_blocks,
                "usable_blocks": self.num_gpu_blocks - 1,
                "block_size": self.block_size,
                "policy": "fcfs",
            },
            "step_time": self.step_time,
            "requests": [list(request) for request in self.requests],
            "first_token_s": [sequence.first_token for sequence in self.sequences],
            "finish_s": [sequence.finish for sequence in self.sequences],
            "preemptions": [sequence.preemptions for sequence in self.sequences],
            "steps_columns": [
                "prefill_tokens",
                "decode_seqs",
                "decode_kv_tokens",
                "running_after",
                "waiting_after",
            ],
            "steps": steps,
            "makespan_s": now,
        }
