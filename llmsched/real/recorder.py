"""Record what the installed vLLM's scheduler does with requests, step by step.

The loop is that of vLLM's `EngineCore`: one step after another, or with asynchronous scheduling two
batches in flight, of which the next is scheduled before the tokens of the one before are known. A
step lasts as long as its prices say; a batch without tokens does not run, takes no time and leaves
no row.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from llmsched.kernel.waiting import TOLERANCE_S
from llmsched.real.installed import installed_version
from llmsched.real.scheduler import RealScheduler, Scheduled

COLUMNS = (
    "prefill_tokens",
    "decode_seqs",
    "decode_kv_tokens",
    "running_after",
    "waiting_after",
    "cached_tokens_admitted",
)
"""Columns of a recording's steps; the last one only where prefixes are cached."""


def record(
    config: Mapping[str, Any],
    step_time: Mapping[str, float],
    requests: Sequence[Sequence[float]],
    *,
    name: str = "",
    note: str = "",
    priorities: Sequence[int] | None = None,
    block_ids: Sequence[Sequence[int]] | None = None,
    scheduler_cls: type | None = None,
    names: Sequence[str] | None = None,
    additional_config: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return a recording: a document as in ``tests/recorded/vllm-golden``.

    Parameters
    ----------
    config : mapping
        Knobs by vLLM's names: `max_num_seqs`, `max_num_batched_tokens`, `num_gpu_blocks` and
        `block_size`, and any other field of its `SchedulerConfig`, and `enable_prefix_caching`.
    step_time : mapping
        `base_ms`, `per_prefill_token_ms`, `per_decode_seq_ms` and `per_kv_token_ms`.
    requests : sequence of (arrival, input tokens, output tokens)
        Seconds first.
    priorities : sequence of int, optional
        The least is the most urgent.
    block_ids : sequence of sequences of int, optional
        What each full block of a request's tokens holds: equal numbers, equal tokens from the very
        beginning on. Left out, no two blocks are equal.
    scheduler_cls : type, optional
        Another scheduler than the one that vLLM takes.
    names : sequence of str, optional
        Request ids; left out, each request's place.
    additional_config : mapping, optional
        What that scheduler is told: vLLM's ``--additional-config``.

    Raises
    ------
    InputError
        vLLM is not installed, or refuses the knobs.
    """
    longest = max(int(row[1] + row[2]) for row in requests)
    engine = RealScheduler(config, longest, scheduler_cls, additional_config)
    recorder = _Recorder(engine, config, step_time, requests, priorities, block_ids, names)
    return recorder.run({"name": name, "note": note})


def rerecord(document: Mapping[str, Any]) -> dict[str, Any]:
    """Record anew what a recording's requests and knobs lead to."""
    return record(
        document["config"],
        document["step_time"],
        document["requests"],
        name=document.get("name", ""),
        note=document.get("note", ""),
        priorities=document.get("priorities"),
        block_ids=document.get("block_ids"),
    )


class _Recorder:
    def __init__(
        self,
        engine: RealScheduler,
        config: Mapping[str, Any],
        step_time: Mapping[str, float],
        requests: Sequence[Sequence[float]],
        priorities: Sequence[int] | None,
        block_ids: Sequence[Sequence[int]] | None,
        names: Sequence[str] | None,
    ) -> None:
        self.config, self.step_time, self.requests = config, step_time, requests
        self.priorities, self.block_ids, self.names = priorities, block_ids, names
        self.engine = engine
        self.contents = _Contents(int(config["block_size"]))
        n = len(requests)
        self.first_token, self.finish, self.cached = [0.0] * n, [0.0] * n, [-1] * n
        self.rows: list[list[int]] = []

    def run(self, labels: Mapping[str, Any]) -> dict[str, Any]:
        engine, now, busy_until = self.engine, 0.0, 0.0
        numbers = sorted(range(len(self.requests)), key=lambda number: self.requests[number][0])
        coming = deque(numbers)
        in_flight: deque[tuple[float, Scheduled]] = deque()
        while coming or engine.has_requests or in_flight:
            if not engine.has_requests and not in_flight:
                now = max(now, self.requests[coming[0]][0])
            while coming and self.requests[coming[0]][0] <= now + TOLERANCE_S:
                self._arrive(coming.popleft())
            if engine.has_requests:
                step = engine.schedule()
                end = now
                if step.tokens:
                    busy_until = end = max(now, busy_until) + self._seconds(*step.counts)
                    self._write(step)
                in_flight.append((end, step))
                if len(in_flight) < engine.batches and (step.tokens or engine.has_requests):
                    continue
            end, step = in_flight.popleft()
            now = max(now, end)
            self._deliver(step, now)
        return self._document(labels, now)

    def _arrive(self, number: int) -> None:
        arrival, prompt, output = self.requests[number]
        known = None if self.block_ids is None else self.block_ids[number]
        fields: dict[str, Any] = {}
        if self.priorities is not None:
            fields["priority"] = self.priorities[number]
        if self.names is not None:
            fields["request_id"] = self.names[number]
        tokens = self.contents.tokens(int(prompt + output), known)
        self.engine.add(number, float(arrival), tokens, int(prompt), **fields)

    def _write(self, step: Scheduled) -> None:
        found = {number: step.computed[number] for number in step.admitted}
        for number, tokens in found.items():
            if self.cached[number] < 0:
                self.cached[number] = tokens
        self.rows.append([*step.counts, *self.engine.counts, sum(found.values())])

    def _deliver(self, step: Scheduled, now: float) -> None:
        got, finished = self.engine.deliver(step)
        for number in got:
            self.first_token[number] = self.first_token[number] or now
        for number in finished:
            self.finish[number] = now

    def _seconds(self, prefill: int, seqs: int, kv: int) -> float:
        price = self.step_time
        milliseconds = price["base_ms"] + price["per_prefill_token_ms"] * prefill
        milliseconds += price["per_decode_seq_ms"] * seqs + price["per_kv_token_ms"] * kv
        return milliseconds / 1e3

    def _document(self, labels: Mapping[str, Any], now: float) -> dict[str, Any]:
        caching = bool(self.config.get("enable_prefix_caching"))
        usable = int(self.config["num_gpu_blocks"]) - 1
        numbers = range(len(self.requests))
        document: dict[str, Any] = {
            **labels,
            "source": f"vLLM {installed_version()} scheduler, driven without a GPU",
            "config": {**self.config, "usable_blocks": usable},
            "step_time": dict(self.step_time),
            "requests": [list(request) for request in self.requests],
            "first_token_s": self.first_token,
            "finish_s": self.finish,
            "preemptions": [self.engine.preemptions(number) for number in numbers],
            "steps_columns": list(COLUMNS if caching else COLUMNS[:-1]),
            "steps": self.rows if caching else [row[:-1] for row in self.rows],
            "makespan_s": now,
        }
        if self.priorities is not None:
            document["priorities"] = list(self.priorities)
        if caching:
            document["cached_tokens_at_first_admission"] = self.cached
        if self.block_ids is not None:
            document["block_ids"] = [list(ids) for ids in self.block_ids]
        return document


class _Contents:
    """Tokens that are equal where blocks are said to be, and nowhere else."""

    def __init__(self, block_size: int) -> None:
        self._size = block_size
        self._token: dict[int, int] = {}
        self._next = 1

    def tokens(self, count: int, ids: Sequence[int] | None) -> list[int]:
        """Return `count` tokens; the same one all through a block, as nobody reads them."""
        tokens: list[int] = []
        for name in ids or ():
            tokens += [self._of(name)] * self._size
        while len(tokens) < count:
            tokens += [self._new()] * min(self._size, count - len(tokens))
        return tokens

    def _of(self, name: int) -> int:
        if name not in self._token:
            self._token[name] = self._new()
        return self._token[name]

    def _new(self) -> int:
        self._next += 1
        return self._next
