"""Replay a schedule that a real engine's scheduler recorded, and compare step by step.

A recorded schedule is a JSON document: the requests, the scheduler's knobs, the price of a step,
and for every step what was scheduled. The engine leaps over equal decode rounds, so its step table
is first written out, one line a round.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from llmsched.catalog import find
from llmsched.config import EngineConfig
from llmsched.engine import SimulationResult
from llmsched.errors import InputError
from llmsched.files import shipped
from llmsched.hardware import HardwareProfile
from llmsched.hardware.affine import Affine
from llmsched.kernel.waiting import TOLERANCE_S
from llmsched.reading import read_whole
from llmsched.real.recorder import COLUMNS
from llmsched.replay import simulate
from llmsched.trace import Trace

TOLERANCE = 1e-6
"""Relative difference in a time that counts as equal."""

_PRICES = ("base_ms", "per_prefill_token_ms", "per_decode_seq_ms", "per_kv_token_ms")
_LABELS = frozenset({"policy", "usable_blocks", "scheduler_reserve_full_isl"})
_POLICIES = {"fcfs": "vllm", "priority": "priority"}


@dataclass(frozen=True, eq=False)
class Golden:
    """A recorded schedule.

    Attributes
    ----------
    trace : Trace
        Ids are positions in the file, from 0.
    step_time : Affine
        Seconds.
    first_token, finish : float64, shape (n,)
        Seconds, in the order of `trace`.
    preemptions : int64, shape (n,)
        In the order of `trace`.
    steps : int64, shape (steps, 6)
        What each step computed and left behind; see :data:`COLUMNS`. Where no prefixes are cached
        the recording has no last column, and it is 0.
    policy : str
        The policy that follows the recorded scheduler's.
    """

    trace: Trace
    config: EngineConfig
    step_time: Affine
    first_token: NDArray[np.float64]
    finish: NDArray[np.float64]
    preemptions: NDArray[np.int64]
    steps: NDArray[np.int64]
    policy: str = "vllm"


@dataclass(frozen=True)
class Verdict:
    """How a replay compares; `difference` is empty when it is the same schedule."""

    requests: int
    steps: int
    preemptions: int
    difference: str

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return not self.difference


def recordings() -> list[Path]:
    """Return the schedules recorded from vLLM's own scheduler that are shipped."""
    folders = (shipped("tests/recorded", name) for name in ("vllm-golden", "vllm-features"))
    return sorted(path for folder in folders for path in folder.glob("*.json.gz"))


def check(path: str | Path) -> Verdict:
    """Replay the schedule recorded in `path` and compare.

    Raises
    ------
    InputError
        The file is not a recorded schedule that this engine can replay.
    """
    golden = read(path)
    try:
        result = replay(golden)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return Verdict(
        len(golden.trace),
        len(golden.steps),
        int(golden.preemptions.sum()),
        compare(golden, result),
    )


def replay(golden: Golden) -> SimulationResult:
    """Run the recorded policy over the requests of a recorded schedule."""
    hardware = HardwareProfile("recorded", golden.step_time)
    return simulate(golden.trace, hardware, find(golden.policy), golden.config)


def compare(golden: Golden, result: SimulationResult) -> str:
    """Return what differs first, with both sides' numbers; nothing if all is the same."""
    ours = written_out(result)
    shared = min(len(ours), len(golden.steps))
    wrong = (ours[:shared] != golden.steps[:shared]).any(axis=1)
    if wrong.any():
        step = int(wrong.argmax())
        return _both(f"step {step}", _step(golden.steps[step]), _step(ours[step]))
    if len(ours) != len(golden.steps):
        longer = golden.steps if len(golden.steps) > shared else ours
        last = f"the same up to step {shared - 1}, then {_step(longer[shared])} in the longer one"
        return _both("number of steps", f"{len(golden.steps)}", f"{len(ours)} ({last})")
    wrong = golden.preemptions != result.preemptions
    if wrong.any():
        row = int(wrong.argmax())
        recorded, simulated = golden.preemptions[row], result.preemptions[row]
        return _both(f"preemptions of request {golden.trace.id[row]}", recorded, simulated)
    for label, recorded, simulated in (
        ("first token", golden.first_token, result.first_token),
        ("finish", golden.finish, result.finish),
    ):
        wrong = np.abs(simulated - recorded) > TOLERANCE * np.abs(recorded)
        if wrong.any():
            row = int(wrong.argmax())
            what = f"{label} of request {golden.trace.id[row]}"
            return _both(what, f"{recorded[row]:.9f} s", f"{simulated[row]:.9f} s")
    return ""


def written_out(result: SimulationResult) -> NDArray[np.int64]:
    """Return one row a step, a leap of k decode rounds as k steps; columns as in :data:`COLUMNS`.

    Requests that arrive in the middle of a leap (every slot is taken, or they do not fit) join the
    waiting ones at the round that starts after them.
    """
    rounds = result.column("rounds").astype(np.int64)
    row = np.repeat(np.arange(len(rounds)), rounds)
    first = np.cumsum(rounds) - rounds
    ahead = np.arange(len(row)) - first[row]  # rounds of the same leap before this one

    def of(name: str) -> NDArray[np.int64]:
        return result.column(name).astype(np.int64)[row]

    seqs, kv = of("decode_seqs"), of("kv_tokens")
    price = result.hardware.step_time
    round_base = np.array([price.base(0, n) for n in range(int(seqs.max(initial=0)) + 1)])
    read = ahead * kv + seqs * (ahead * (ahead - 1) // 2)
    start = result.column("start_s")
    now = start[row] + ahead * round_base[seqs] + price.per_kv_token_decode * read
    if result.config.async_scheduling:  # a step is scheduled when the one before it starts
        now = np.concatenate((now[:1], now[:-1]))
    arrived = np.searchsorted(np.sort(result.arrival), now + TOLERANCE_S, side="right")
    waiting = of("waiting") + arrived - arrived[first][row]
    found = np.where(ahead == 0, of("cached_tokens"), 0)
    columns = [of("prefill_tokens"), seqs, kv + seqs * ahead, of("running"), waiting, found]
    return np.column_stack(columns)


def read(path: str | Path) -> Golden:
    """Read a recorded schedule, plain JSON or gzip.

    Raises
    ------
    InputError
        The file cannot be read, or a field is missing or not what it should be.
    """
    document = _Fields(str(path), _parse(path))
    requests = document.table("requests", 3)
    n = len(requests)
    config = _config(document.inner("config"))
    policy = document.inner("config").values.get("policy", "fcfs")
    prices = document.inner("step_time")
    base, prefill, decode, kv = (prices.number(name) / 1e3 for name in _PRICES)
    width = len(COLUMNS) if config.enable_prefix_caching else len(COLUMNS) - 1
    if document.get("steps_columns") != list(COLUMNS[:width]):
        raise document.expected("steps_columns", ", ".join(COLUMNS[:width]))
    if (requests[:, 1:] != np.floor(requests[:, 1:])).any():
        raise document.expected("requests", "whole numbers of tokens")
    try:
        trace = Trace.from_columns(
            requests[:, 0],
            requests[:, 1].astype(np.int64),
            requests[:, 2].astype(np.int64),
            priority=document.column("priorities", n) if policy == "priority" else None,
            hash_ids=_block_ids(document, n) if config.enable_prefix_caching else None,
            hash_block_size=config.block_size,
            name=str(path),
        )
    except InputError as error:
        raise InputError(str(error).replace(f"{path}: ", f"{path}: requests: ", 1)) from error
    order = np.array([int(name) for name in trace.id])
    steps = document.table("steps", width)
    return Golden(
        trace,
        config,
        Affine(
            per_step=base,
            per_prefill_token=prefill,
            per_decode_seq=decode,
            per_kv_token_decode=kv,
            per_kv_token_mixed=kv,
        ),
        document.column("first_token_s", n)[order],
        document.column("finish_s", n)[order],
        document.column("preemptions", n)[order].astype(np.int64),
        np.pad(steps, ((0, 0), (0, len(COLUMNS) - width))).astype(np.int64),
        _POLICIES[policy],
    )


def _block_ids(document: _Fields, n: int) -> tuple[tuple[int, ...], ...]:
    """Return the ids of each request's full blocks, and one of its own for what is after them."""
    ids = document.get("block_ids")
    whole = isinstance(ids, list) and len(ids) == n and all(isinstance(row, list) for row in ids)
    if not whole or not all(type(each) is int for row in ids for each in row):
        raise document.expected("block_ids", f"{n} lists of integers")
    own = max((each for row in ids for each in row), default=0) + 1
    return tuple((*row, own + number) for number, row in enumerate(ids))


def _config(section: _Fields) -> EngineConfig:
    """Return the recorded knobs; an unknown one is an error, for the replay would ignore it."""
    known = {field.name for field in fields(EngineConfig)} | _LABELS
    for name in section.values:
        if name not in known:
            raise InputError(f"{section.where(name)}: expected one of {', '.join(sorted(known))}")
    if section.values.get("policy", "fcfs") not in _POLICIES:
        raise section.expected("policy", " or ".join(_POLICIES))
    knobs = {name: value for name, value in section.values.items() if name not in _LABELS}
    if not section.values.get("scheduler_reserve_full_isl", True):
        knobs["admission"] = "first_chunk"
    for name in ("max_num_seqs", "max_num_batched_tokens", "num_gpu_blocks", "block_size"):
        section.get(name)
    try:
        config = EngineConfig(**knobs)
    except InputError as error:
        raise InputError(f"{section.where('')}{error}") from error
    if section.values.get("usable_blocks", config.usable_blocks) != config.usable_blocks:
        raise section.expected("usable_blocks", f"{config.usable_blocks} (one block is reserved)")
    return config


def _parse(path: str | Path) -> object:
    try:
        return orjson.loads(read_whole(path))
    except orjson.JSONDecodeError as error:
        raise InputError(f"{path}:{error.lineno}: expected JSON: {error.msg}") from error


class _Fields:
    """An object of the document, with messages that say where a field stands."""

    def __init__(self, path: str, values: object, prefix: str = "") -> None:
        self._path, self._prefix = path, prefix
        if not isinstance(values, Mapping):
            raise InputError(f"{path}: {prefix or 'document'}: expected a JSON object")
        self.values: Mapping[str, Any] = values

    def where(self, name: str) -> str:
        return f"{self._path}: {self._prefix}{name}"

    def expected(self, name: str, what: str) -> InputError:
        got = repr(self.values[name]) if name in self.values else "nothing"
        got = got if len(got) <= 60 else got[:57] + "..."
        return InputError(f"{self.where(name)}: expected {what}, got {got}")

    def get(self, name: str) -> Any:
        if name not in self.values:
            raise self.expected(name, "a value")
        return self.values[name]

    def inner(self, name: str) -> _Fields:
        return _Fields(self._path, self.get(name), f"{name}.")

    def number(self, name: str) -> float:
        value = self.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            raise self.expected(name, "a number >= 0")
        return float(value)

    def column(self, name: str, n: int) -> NDArray[np.float64]:
        return self._array(name, (n,))

    def table(self, name: str, width: int) -> NDArray[np.float64]:
        rows = self.get(name)
        return self._array(name, (len(rows) if isinstance(rows, Sequence) else 0, width))

    def _array(self, name: str, shape: tuple[int, ...]) -> NDArray[np.float64]:
        what, value = f"{' x '.join(map(str, shape))} numbers", self.get(name)
        try:
            array = np.array(value, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise self.expected(name, what) from error
        if array.shape != shape or not math.prod(shape) or not np.isfinite(array).all():
            raise self.expected(name, what)
        return array


def _step(row: NDArray[np.int64]) -> str:
    return " ".join(f"{name} {value}" for name, value in zip(COLUMNS, row, strict=True))


def _both(what: str, recorded: object, simulated: object) -> str:
    return f"{what}: recorded {recorded}; simulated {simulated}"
