"""vLLM's scheduling rules as one plain loop, which records what a real engine's recorder would.

Written from the rules that come with the recorded schedules, step by step and with nothing shared
with the engine, so that schedules nobody recorded (KV so tight that it thrashes, bursts, outputs of
one token) can be checked as well. Prefix caching, two batches in flight, priorities and each knob
are in it; left out, they are off.
"""

from __future__ import annotations

import gzip
import json
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from tests.verify.plain_blocks import Block, Blocks

STEP_TIME = {
    "base_ms": 8.0,
    "per_prefill_token_ms": 0.08,
    "per_decode_seq_ms": 0.05,
    "per_kv_token_ms": 3e-05,
}
COLUMNS = ["prefill_tokens", "decode_seqs", "decode_kv_tokens", "running_after", "waiting_after"]
KNOBS = (
    "enable_prefix_caching",
    "async_scheduling",
    "long_prefill_token_threshold",
    "long_prefill_token_threshold_adaptive",
    "scheduler_reserve_full_isl",
    "watermark",
    "max_num_active_seqs",
    "prefill_schedule_interval",
)
SAME_INSTANT_S = 5e-10  # two recorded arrivals lie a nanosecond apart


def read(path: Path) -> dict[str, Any]:
    """Return a recorded schedule."""
    document: dict[str, Any] = json.loads(gzip.decompress(path.read_bytes()))
    return document


def replayed(document: dict[str, Any]) -> dict[str, Any]:
    """Return what the plain loop records of the requests and knobs of a recorded schedule."""
    config = {name: value for name, value in document["config"].items() if name != "usable_blocks"}
    return PlainVllm(
        [tuple(request) for request in document["requests"]],
        step_time=document["step_time"],
        priorities=document.get("priorities"),
        block_ids=document.get("block_ids"),
        **config,
    ).record()


@dataclass(eq=False)
class Seq:
    """One request; `coming` counts its sampled tokens that steps in flight have not brought yet."""

    number: int
    arrival: float
    prompt: int
    output: int
    priority: int = 0
    names: Sequence[int] = ()
    generated: int = 0
    computed: int = 0
    coming: int = 0
    in_flight: int = 0
    """Its tokens in all steps whose output has not arrived."""
    stale: int = 0
    """Those of them that were computed before it was preempted."""
    in_prompt: bool = False
    """Whether its last step left known tokens uncomputed."""
    blocks: list[Block] = field(default_factory=list)
    called: int = 0
    """Its first blocks that have their names."""
    preemptions: int = 0
    cached: int | None = None
    first_token: float = 0.0
    finish: float = 0.0

    @property
    def known(self) -> int:
        return self.prompt + self.generated

    @property
    def rank(self) -> tuple[int, float, str]:
        return self.priority, self.arrival, str(self.number)


@dataclass
class Scheduled:
    """One step: who computes how many tokens, who gets a token by it, and when it ends."""

    tokens: dict[Seq, int]
    sampled: set[Seq]
    end: float = 0.0


@dataclass
class PlainVllm:
    """One replay; `record` returns a document in the format of the recorded schedules."""

    requests: Sequence[tuple[float, int, int]]
    max_num_seqs: int
    max_num_batched_tokens: int
    num_gpu_blocks: int
    block_size: int = 16
    step_time: dict[str, float] = field(default_factory=lambda: dict(STEP_TIME))
    policy: str = "fcfs"
    enable_prefix_caching: bool = False
    async_scheduling: bool = False
    long_prefill_token_threshold: int = 0
    long_prefill_token_threshold_adaptive: bool = False
    scheduler_reserve_full_isl: bool = True
    watermark: float = 0.0
    max_num_active_seqs: int | None = None
    prefill_schedule_interval: int = 1
    priorities: Sequence[int] | None = None
    block_ids: Sequence[Sequence[int]] | None = None

    def record(self) -> dict[str, Any]:
        self._begin()
        now = busy_until = 0.0
        in_flight: deque[Scheduled] = deque()
        coming = deque(sorted(self.sequences, key=lambda sequence: sequence.arrival))
        while coming or self.waiting or self.running or in_flight:
            if not self.waiting and not self.running and not in_flight:
                now = max(now, coming[0].arrival)
            while coming and coming[0].arrival <= now + SAME_INSTANT_S:
                self._wait(coming.popleft(), first=False)
            if self.waiting or self.running:
                step = self._step()
                if step.tokens:
                    busy_until = max(now, busy_until) + self._seconds(*self.rows[-1][:3])
                    step.end = busy_until
                in_flight.append(step)
                if self.async_scheduling and len(in_flight) < 2:
                    continue
            step = in_flight.popleft()
            now = max(now, step.end)
            self._deliver(step, now)
        return self._document(now)

    def _begin(self) -> None:
        self.sequences = [
            Seq(
                number,
                *request,
                priority=self.priorities[number] if self.priorities else 0,
                names=self.block_ids[number] if self.block_ids else (),
            )
            for number, request in enumerate(self.requests)
        ]
        self.pool = Blocks(self.num_gpu_blocks - 1)
        self.running: list[Seq] = []
        self.waiting: list[Seq] = []
        self.passed_over: set[Seq] = set()
        self.rows: list[list[int]] = []
        self.last_prefill, self.backed_up = -self.prefill_schedule_interval, False

    def _step(self) -> Scheduled:
        """Schedule one step; one without tokens takes no time and leaves no row."""
        self.budget, self.cached = self.max_num_batched_tokens, 0
        self.scheduled: dict[Seq, int] = {}
        self.preempted = self.prefilled = False
        self.cap = self._cap()
        self.held = (
            self.prefill_schedule_interval > 1
            and not self.backed_up
            and len(self.rows) + 1 - self.last_prefill < self.prefill_schedule_interval
            and any(not sequence.in_prompt for sequence in self.running)
        )
        self._go_on()
        if not self.preempted:
            self._admit()
        if self.scheduled:
            counts = self._count()
            self.rows.append([*counts, len(self.running), len(self.waiting), self.cached])
        if self.prefilled:
            self.last_prefill = len(self.rows)
        return Scheduled(self.scheduled, self._advance())

    def _cap(self) -> int:
        """Return the most tokens of one prompt in this step."""
        threshold, there = self.long_prefill_token_threshold, len(self.running) + len(self.waiting)
        if not threshold or there == 1:
            return self.max_num_batched_tokens
        if self.long_prefill_token_threshold_adaptive:
            return max(threshold, self.max_num_batched_tokens // there)
        return threshold

    def _go_on(self) -> None:
        """Schedule the running requests, in their order."""
        self.at = 0
        while self.at < len(self.running) and self.budget:
            sequence = self.running[self.at]
            tokens = sequence.known + sequence.coming - sequence.computed
            tokens = min(tokens, self.cap, self.budget)
            last_is_coming = (
                sequence.coming > 0
                and sequence.computed + 2 - sequence.coming >= sequence.prompt + sequence.output
            )
            if last_is_coming or not tokens or (self.held and sequence.in_prompt):
                self.at += 1
                continue
            if self._make_room(sequence, tokens):
                self._schedule(sequence, tokens)
                self.prefilled |= sequence.in_prompt
                self.at += 1
            elif self.policy == "fcfs":
                break

    def _make_room(self, sequence: Seq, tokens: int) -> bool:
        """Preempt until the tokens have blocks; False if the sequence itself had to go."""
        need = self._blocks(sequence.computed + tokens) - len(sequence.blocks)
        while need > len(self.pool.free):
            victim = self.running[-1]
            if self.policy == "priority":
                victim = max(self.running, key=lambda other: (other.priority, other.arrival))
            self._preempt(victim)
            if victim is sequence:
                return False
        return True

    def _preempt(self, victim: Seq) -> None:
        self.preempted = True
        place = self.running.index(victim)
        del self.running[place]
        self.at -= place < self.at
        self.budget += self.scheduled.pop(victim, 0)
        self._free(victim)
        victim.computed = victim.coming = 0
        victim.stale = victim.in_flight
        victim.preemptions += 1
        self._wait(victim, first=True)

    def _wait(self, sequence: Seq, first: bool) -> None:
        self.waiting.insert(0 if first else len(self.waiting), sequence)
        if self.policy == "priority":
            self.waiting.sort(key=lambda other: other.rank)

    def _admit(self) -> None:
        """Admit waiting requests, in queue order, until one does not fit."""
        skipped: list[Seq] = []
        most = self.max_num_active_seqs or self.max_num_seqs
        while self.waiting and self.budget and len(self.running) < most:
            sequence = self.waiting[0]
            if sequence.stale:
                skipped.append(self.waiting.pop(0))
                continue
            hits = self._hits(sequence)
            hit = len(hits) * self.block_size
            if self.held and hit < sequence.known - 1:
                break
            tokens = min(sequence.known - hit, self.cap, self.budget)
            if not self._fits(sequence, hits, tokens):
                break
            self.pool.share(hits)
            sequence.blocks, sequence.called = hits, len(hits)
            sequence.computed = hit
            if sequence.cached is None:
                sequence.cached = hit
            self.cached += hit
            self.prefilled |= hit < sequence.known - 1
            self.running.append(self.waiting.pop(0))
            self.passed_over.discard(sequence)
            self._schedule(sequence, tokens)
        self.waiting[:0] = skipped
        self.passed_over.update(skipped)
        if not self.held:
            self.backed_up = len(self.waiting) > len(self.passed_over)

    def _hits(self, sequence: Seq) -> list[Block]:
        if not self.enable_prefix_caching:
            return []
        return self.pool.hits(sequence.names[: (sequence.known - 1) // self.block_size])

    def _fits(self, sequence: Seq, hits: list[Block], tokens: int) -> bool:
        """Whether there are blocks for all known tokens, or for the first chunk where asked so."""
        until = len(hits) * self.block_size + tokens
        if self.scheduler_reserve_full_isl:
            until = sequence.known
        need = self._blocks(until) - len(hits) + sum(not block.holders for block in hits)
        if self.running:
            need += int(self.watermark * self.num_gpu_blocks)
        return need <= len(self.pool.free)

    def _schedule(self, sequence: Seq, tokens: int) -> None:
        until = sequence.computed + tokens
        sequence.blocks += self.pool.take(self._blocks(until) - len(sequence.blocks))
        self._call(sequence, min(until, sequence.known))
        self.scheduled[sequence] = tokens
        self.budget -= tokens

    def _call(self, sequence: Seq, until: int) -> None:
        """Name the blocks that are full up to this token."""
        if not self.enable_prefix_caching:
            return
        while (sequence.called + 1) * self.block_size <= until:
            self.pool.call(sequence.blocks[sequence.called], sequence.names[sequence.called])
            sequence.called += 1

    def _count(self) -> tuple[int, int, int]:
        prefill = seqs = kv = 0
        for sequence, tokens in self.scheduled.items():
            left = sequence.known + sequence.coming - sequence.computed
            if sequence.generated + sequence.coming and left == 1:
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

    def _advance(self) -> set[Seq]:
        """Count what was scheduled as computed, long before it is; return who gets a token."""
        sampled = set()
        for sequence, tokens in self.scheduled.items():
            sequence.computed += tokens
            sequence.in_flight += tokens
            sequence.in_prompt = sequence.computed < sequence.known + sequence.coming
            if not sequence.in_prompt:
                sequence.coming += 1
                sampled.add(sequence)
        return sampled

    def _deliver(self, step: Scheduled, now: float) -> None:
        """Apply the outputs of a step that has ended."""
        for sequence, tokens in step.tokens.items():
            sequence.in_flight -= tokens
            stale = sequence.stale > 0
            sequence.stale -= tokens if stale else 0
            if sequence not in step.sampled or sequence.generated == sequence.output:
                continue
            sequence.generated += 1
            if not stale:
                sequence.coming -= 1
                self._call(sequence, sequence.computed - sequence.in_flight)
            if sequence.generated == 1:
                sequence.first_token = now
            if sequence.generated == sequence.output:
                self._finish(sequence, now)

    def _finish(self, sequence: Seq, now: float) -> None:
        sequence.finish = now
        self._free(sequence)
        (self.running if sequence in self.running else self.waiting).remove(sequence)
        self.passed_over.discard(sequence)

    def _free(self, sequence: Seq) -> None:
        self.pool.give_back(sequence.blocks)
        sequence.blocks, sequence.called = [], 0

    def _blocks(self, tokens: int) -> int:
        return -(-tokens // self.block_size)

    def _document(self, now: float) -> dict[str, Any]:
        caching = self.enable_prefix_caching
        document: dict[str, Any] = {
            "name": "plain",
            "config": self._config(),
            "step_time": self.step_time,
            "requests": [list(request) for request in self.requests],
            "first_token_s": [sequence.first_token for sequence in self.sequences],
            "finish_s": [sequence.finish for sequence in self.sequences],
            "preemptions": [sequence.preemptions for sequence in self.sequences],
            "steps_columns": [*COLUMNS, "cached_tokens_admitted"] if caching else COLUMNS,
            "steps": self.rows if caching else [row[:-1] for row in self.rows],
            "makespan_s": now,
        }
        if self.priorities is not None:
            document["priorities"] = list(self.priorities)
        if caching:
            document["block_ids"] = [list(sequence.names) for sequence in self.sequences]
            cached = [sequence.cached for sequence in self.sequences]
            document["cached_tokens_at_first_admission"] = cached
        return document

    def _config(self) -> dict[str, Any]:
        """Return the knobs; of those with a default, the ones that differ from it."""
        config: dict[str, Any] = {
            "max_num_seqs": self.max_num_seqs,
            "max_num_batched_tokens": self.max_num_batched_tokens,
            "num_gpu_blocks": self.num_gpu_blocks,
            "usable_blocks": self.num_gpu_blocks - 1,
            "block_size": self.block_size,
            "policy": self.policy,
        }
        knobs = {knob.name: knob.default for knob in fields(self) if knob.name in KNOBS}
        for name, default in knobs.items():
            if getattr(self, name) != default:
                config[name] = getattr(self, name)
        return config
