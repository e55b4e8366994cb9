"""A case: everything that one replay needs, drawn from a seed and an index alone."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.random import Generator
from numpy.typing import NDArray

from benchmarks.sweep import policies, profiles, traces
from llmsched import exporters, lengths
from llmsched.config import EngineConfig
from llmsched.contract import Policy
from llmsched.engine.limits import OnError
from llmsched.errors import LlmschedError
from llmsched.hardware import HardwareProfile
from llmsched.replay import simulate
from llmsched.trace import MAX_TOKENS, Trace
from llmsched.verify.lengths import TAKEN, answers, never_taken

MOST_STEPS = 20_000
"""No knob is drawn that cuts the prompts of a trace into more chunks than that, and no rule."""
PLANNED = 60
"""Requests up to which a trace may be planned for replicas, which takes long."""


@dataclass(frozen=True, eq=False)
class Case:
    """One replay's inputs.

    Attributes
    ----------
    words : tuple of str
        How the command line reads the trace; empty if it is in no file.
    shipped : str
        Name of the profile if it is a shipped one.
    replicas : int or None
        Plan for so many replicas and replay the plan; None is one engine.
    on_error : {"fail", "skip"}
        What a request that never fits is.
    """

    seed: int
    index: int
    kind: str
    trace: Trace
    words: tuple[str, ...]
    hardware: HardwareProfile
    shipped: str
    config: EngineConfig
    lengths: str
    policy: Policy
    concurrency: int | None
    replicas: int | None
    on_error: OnError = "fail"

    @property
    def name(self) -> str:
        """What `--case` takes."""
        return f"{self.seed}:{self.index}"

    @property
    def effective(self) -> EngineConfig:
        """The engine's knobs as the policy changes them."""
        return replace(self.config, **dict(self.policy.knobs))

    def predicted(self) -> NDArray[np.int64]:
        """Return the output lengths as the policy sees them."""
        return lengths.predict(self.trace, self.lengths, self.index)

    @cached_property
    def rows(self) -> NDArray[np.int64]:
        """The requests that an engine takes, as the independent checker works it out."""
        return np.flatnonzero(never_taken(self.trace, self.effective) == TAKEN)

    @cached_property
    def served(self) -> Trace:
        """Those requests, with the outputs that they get; `Trace` keeps the longest of all."""
        emitted = answers(self.trace, self.effective)[self.rows]
        return replace(self.trace.take(self.rows), output_tokens=emitted)

    def seen(self) -> NDArray[np.int64]:
        """Return the output lengths of those as the policy sees them; an oracle sees the cuts."""
        predicted = self.predicted()
        if predicted is self.trace.output_tokens:
            return self.served.output_tokens
        return predicted[self.rows]

    def command(self, folder: Path | None = None) -> str | None:
        """Return a `llmsched simulate` that does the same, from the root of the repository.

        Trace and profile are written to `folder` if they are in no file; without one there may be
        no such command. Nor is there one for replicas: their plan comes first.
        """
        if self.replicas or (folder is None and not (self.words and self.shipped)):
            return None
        trace, profile = list(self.words), self.shipped
        if folder is not None and not trace:
            exporters.write(self.trace, folder / "trace.jsonl")
            trace = [str(folder / "trace.jsonl")]
        if folder is not None and not profile:
            profile = str(folder / "profile.yaml")
            Path(profile).write_text(yaml.safe_dump(dict(self.hardware.document)))
        command = ["llmsched", "simulate", *trace, "--hardware", profile]
        command += ["--policy", self.policy.name, "--lengths", self.lengths]
        command += ["--seed", str(self.index), *_options(self.config)]
        command += ["--on-error", "skip"] if self.on_error == "skip" else []
        if self.concurrency is not None:
            command += ["--concurrency", str(self.concurrency)]
        return shlex.join(command)


def _options(config: EngineConfig) -> Iterable[str]:
    """Yield the options that give these knobs, whatever those of the profile are."""
    for knob in fields(config):
        value = getattr(config, knob.name)
        yield from ("--engine", f"{knob.name}={'none' if value is None else value}")


def draw(seed: int, index: int) -> Case:
    """Draw a case; the same numbers give the same case."""
    rng = np.random.default_rng((seed, index))
    drawn = traces.draw(rng)
    hardware, shipped = profiles.draw(rng)
    trace, words = drawn.trace, drawn.words
    if rng.random() < 0.15:
        trace, words = _declared(rng, trace), ()
    tokens = int((trace.input_tokens + trace.output_tokens).sum())
    policy = policies.draw(rng, hardware.step_time.mixed, tokens <= MOST_STEPS)
    config = _knobs(rng, trace, policy, hardware)
    closed = int(rng.choice([1, 2, 7, 64])) if rng.random() < 0.12 else None
    replicas = None
    if closed is None and 1 < len(trace) <= PLANNED and rng.random() < 0.12:
        replicas = int(rng.integers(1, min(len(trace), 5) + 1))
    mode = str(rng.choice(["oracle", "oracle", "mean", "noisy:0.3", "noisy:3"]))
    case = Case(
        *(seed, index, drawn.kind, trace, words, hardware, shipped),
        *(config, mode, policy, closed, replicas),
    )
    if len(trace) <= PLANNED and not words and rng.random() < 0.15:
        case = _at_step_ends(rng, case)
    case = _short_of(np.random.default_rng((seed, index, 1)), case)
    return _in_sessions(np.random.default_rng((seed, index, 2)), case)


def _in_sessions(rng: Generator, case: Case) -> Case:
    """Let some of the requests of a few cases be turns of sessions.

    Not where a plan is for all of them, or a closed loop would begin with a turn that is refused.
    """
    trace, n = case.trace, len(case.trace)
    planned = case.replicas is not None
    if rng.random() >= 0.2 or planned or (case.concurrency is not None and len(case.rows) < n):
        return case
    session = rng.integers(0, max(1, n // int(rng.choice([1, 2, 5]))), n)
    alone = rng.random(n) < 0.2
    names = np.where(alone, "", session.astype(str)).astype(object)
    later = np.array([bool(name) and name in names[:row] for row, name in enumerate(names)])
    waits = rng.choice([0.0, 0.0, 0.01, 0.068892343, 2.0, 30.0], n)
    chained = Trace.from_columns(
        *(trace.arrival, trace.input_tokens, trace.output_tokens),
        max_output_tokens=trace.max_output_tokens,
        session=names,
        delay=np.where(later, waits, 0.0),
        name=trace.name,
    )
    return replace(case, trace=chained, words=(), kind=f"{case.kind}, in sessions")


def _short_of(rng: Generator, case: Case) -> Case:
    """Let a few cases be short of length, output or blocks: some requests are refused, or cut."""
    trace, config = case.trace, case.config
    if rng.random() >= 0.15:
        return case
    what, share = rng.choice(["length", "output", "blocks"]), rng.choice([0.1, 0.5, 0.9])
    whole = trace.input_tokens + trace.output_tokens
    length = int(np.quantile(whole, share))
    if what == "length":
        config = replace(config, max_model_len=max(2, length))
    elif what == "output":
        config = replace(config, max_output_tokens=int(np.quantile(trace.output_tokens, share)))
    else:
        config = replace(config, num_gpu_blocks=2 + length // config.block_size)
    short = replace(case, config=config, on_error="skip")
    enough = len(short.rows) >= (case.replicas or 1)
    return short if enough else case


def _knobs(rng: Generator, trace: Trace, policy: Policy, hardware: HardwareProfile) -> EngineConfig:
    """Draw knobs under which every request fits, and which cut no prompt into dust."""
    tokens, n = int(trace.input_tokens.sum()), len(trace)
    slots = int(rng.choice([1, 2, 3, 4, 8, 32, 256, n, n + 1, max(1, n // 3)]))
    least = max(1, tokens // MOST_STEPS)
    budgets = (slots, slots, slots + 1, slots + 17, 64, 512, 2048, 8192)
    budget = int(rng.choice([max(slots, least, b) for b in budgets]))
    threshold = int(rng.choice([0, 0, 0, 0, 1, 7, 100, 512]))
    config = EngineConfig(
        max_num_seqs=slots,
        max_num_batched_tokens=budget if rng.random() < 0.8 else None,
        block_size=int(rng.choice([1, 2, 4, 16, 64])),
        watermark=float(rng.choice([0.0, 0.0, 0.0, 0.01, 0.1, 0.34])),
        long_prefill_token_threshold=max(threshold, least) if threshold else 0,
        admission=_one_of(rng, "full_prompt", "full_prompt", "first_chunk"),
        reserve=_one_of(rng, "none", "none", "none", "max_output"),
        victim=_one_of(rng, "last_arrived", "longest_remaining"),
        **_limits(rng, trace),
    )
    limited = rng.random()
    if limited < 0.35:
        return config
    if limited < 0.45:
        default = hardware.engine
        blocks, size = default.num_gpu_blocks, default.block_size
        roomy = replace(config, num_gpu_blocks=blocks, block_size=size)
        if blocks is not None and _starved(trace, policy, roomy) <= blocks:
            return roomy
    starved = _starved(trace, policy, config)
    spare = int(rng.choice([0, 0, 0, 1, 3, 40, starved // 10, starved, 4 * starved]))
    return replace(config, num_gpu_blocks=starved + spare)


def _one_of(rng: Generator, *choices: str) -> Any:
    return str(rng.choice(choices))


def _limits(rng: Generator, trace: Trace) -> dict[str, Any]:
    """Draw limits that every request keeps to."""
    knobs = {}
    if rng.random() < 0.15:
        spare = int(rng.choice([0, 1, 100]))
        knobs["max_output_tokens"] = int(trace.output_tokens.max()) + spare
    if rng.random() < 0.15:
        longest = int((trace.input_tokens + trace.output_tokens).max())
        knobs["max_model_len"] = longest + int(rng.choice([0, 1, 100]))
    return knobs


def _declared(rng: Generator, trace: Trace) -> Trace:
    """Let some of the requests declare limits."""
    declares = rng.random(len(trace)) < rng.choice([0.5, 1.0])
    limits = trace.output_tokens + rng.choice([0, 1, 5, 100], len(trace))
    limits = np.minimum(limits, MAX_TOKENS)
    columns = (trace.arrival, trace.input_tokens, trace.output_tokens)
    return Trace.from_columns(
        *columns,
        id=trace.id,
        max_output_tokens=np.where(declares, limits, 0),
        name=f"{trace.name}, with limits",
    )


def _starved(trace: Trace, policy: Policy, config: EngineConfig) -> int:
    """Return the fewest blocks, with the reserved one, that the longest request fits into."""
    watermark = float(dict(policy.knobs).get("watermark", config.watermark))
    output = np.maximum(trace.output_tokens, config.max_output_tokens or 0)
    if trace.max_output_tokens is not None:
        output = np.maximum(output, trace.max_output_tokens)
    longest = int((trace.input_tokens + output - 1).max())
    need = -(-longest // config.block_size)
    usable = need
    while usable - int(watermark * usable) < need:
        usable += max(1, need - (usable - int(watermark * usable)))
    return usable + 1


def _at_step_ends(rng: Generator, case: Case) -> Case:
    """Let some requests arrive at the very instants at which steps end."""
    trace = case.trace
    arrival = np.array(trace.arrival)
    for _ in range(3):
        try:
            result = simulate(
                _with_arrivals(trace, arrival), case.hardware, case.policy, case.config
            )
        except LlmschedError:
            break
        ends = result.column("start_s") + result.column("duration_s")
        arrival[rng.integers(len(arrival))] = abs(rng.choice(ends))
        arrival.sort()
    exact = _with_arrivals(trace, arrival)
    return replace(case, trace=exact, kind=f"{case.kind}, at step ends")


def _with_arrivals(trace: Trace, arrival: NDArray[np.float64]) -> Trace:
    return Trace.from_columns(
        *(arrival, trace.input_tokens, trace.output_tokens),
        max_output_tokens=trace.max_output_tokens,
        name=f"{trace.name}, at step ends",
    )
