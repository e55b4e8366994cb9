"""Random traces, profiles, knobs and policies, for the laws and for engine against engine."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from numpy.typing import NDArray

from llmsched.bounds import lower_bound
from llmsched.config import EngineConfig
from llmsched.contract import DECODE, Decide, Policy, Step, View
from llmsched.engine import SimulationResult
from llmsched.errors import LivelockError
from llmsched.hardware import HardwareProfile
from llmsched.hardware.affine import Affine
from llmsched.hardware.piecewise import Piecewise
from llmsched.hardware.stages import Stages
from llmsched.replay import simulate
from llmsched.trace import Trace

ROUND_S = 0.01
"""A round of this length and arrivals on its multiples make many ties."""


@dataclass(frozen=True)
class Case:
    """One replay's inputs."""

    trace: Trace
    hardware: HardwareProfile
    config: EngineConfig
    predicted: NDArray[np.int64]
    concurrency: int | None

    def replay(self, policy: Policy) -> SimulationResult:
        return simulate(
            self.trace,
            self.hardware,
            policy,
            self.config,
            predicted=self.predicted,
            concurrency=self.concurrency,
        )

    def bound(self) -> float:
        return lower_bound(self.trace, self.hardware, self.config, self.concurrency)


def finished(case: Case, policy: Policy) -> SimulationResult:
    """The replay; cases that are stopped for a livelock do not count."""
    try:
        return case.replay(policy)
    except LivelockError:
        assume(False)
        raise


@st.composite
def traces(draw: st.DrawFn, most: int = 24, sessions: bool | None = None) -> Trace:
    """Up to `most` requests: all at once, in bursts, one by one, some exactly at a step's end.

    `sessions` says whether some are turns of conversations; None: sometimes.
    """
    gap = st.sampled_from([0.0, 0.0, 0.0, ROUND_S, 0.0123, 5 * ROUND_S, 0.217, 3.0])
    largest = draw(st.sampled_from([3, 12, 50]))
    longest = draw(st.sampled_from([1, 4, 40]))
    rows = draw(
        st.lists(
            st.tuples(gap, st.integers(1, largest), st.integers(1, longest)),
            min_size=1,
            max_size=most,
        )
    )
    gaps, prompt, output = zip(*rows, strict=True)
    arrival, session, delay = np.cumsum(gaps), None, None
    if sessions is None:
        sessions = draw(st.integers(0, 2)) == 0
    if sessions:
        session, delay = draw(conversations(len(rows)))
        arrival = np.where(delay > 0, np.nan, arrival)
    return Trace.from_columns(
        arrival,
        prompt,
        output,
        max_output_tokens=draw(limits(output)),
        session=session,
        delay=delay,
    )


@st.composite
def conversations(draw: st.DrawFn, n: int) -> tuple[list[str], NDArray[np.float64]]:
    """Sessions of n requests, and delays of later turns: none, rounds, or a long time to think."""
    names = st.sampled_from(["", "a", "b", "c"])
    waits = st.sampled_from([0.0, 0.0, ROUND_S, 0.0123, 0.5])
    session = draw(st.lists(names, min_size=n, max_size=n))
    seen: set[str] = set()
    delay = np.zeros(n)
    for row, name in enumerate(session):
        if name in seen:
            delay[row] = draw(waits)
        seen |= {name} if name else set()
    return session, delay


@st.composite
def limits(draw: st.DrawFn, output: Sequence[int]) -> list[int] | None:
    """Output limits that clients declare: none, some, or all of them."""
    if draw(st.integers(0, 2)):
        return None
    spare = draw(st.lists(st.sampled_from([None, 0, 0, 1, 30]), min_size=1, max_size=5))
    more = itertools.cycle(spare)
    return [
        0 if extra is None else tokens + extra for tokens, extra in zip(output, more, strict=False)
    ]


def _prices(*values: float) -> st.SearchStrategy[float]:
    return st.sampled_from([0.0, *values])


stages = st.builds(
    Stages,
    decode_round=st.sampled_from([ROUND_S, 0.0689]),
    per_stage=_prices(ROUND_S, 0.06),
    per_token=_prices(0.001, 0.00026),
    per_decode_seq=_prices(0.001, 0.0001),
)
_attention = {
    "per_kv_token_decode": _prices(1e-5, 3e-4),
    "per_kv_token_mixed": _prices(1e-5, 2e-4),
    "per_prefill_token_sq": _prices(1e-6, 1e-4),
    "per_prefill_token_x_context": _prices(1e-6, 2e-4),
}


def affine(mixed: bool) -> st.SearchStrategy[Affine]:
    """Affine step times."""
    return st.builds(
        Affine,
        per_step=st.sampled_from([ROUND_S, 0.008]),
        per_prefill_token=_prices(0.001, 0.00008),
        per_decode_seq=_prices(0.001, 0.00005),
        per_step_prefill=st.sampled_from([None, None, ROUND_S, 0.03]),
        mixed=st.just(mixed),
        **_attention,
    )


def piecewise(mixed: bool) -> st.SearchStrategy[Piecewise]:
    """Tables with a jump."""
    return st.builds(
        Piecewise,
        tokens=st.just((1, 8, 9, 64)),
        seconds=st.just((0.005, 0.006, 0.009, 0.03)),
        per_step=_prices(0.001),
        per_decode_seq=_prices(0.0001),
        per_step_prefill=st.sampled_from([None, None, 0.001, 0.02]),
        mixed=st.just(mixed),
        **_attention,
    )


def profiles(mixed: bool | None = None) -> st.SearchStrategy[HardwareProfile]:
    """Profiles that price mixed steps, that do not, or either."""
    exclusive = st.one_of(stages, affine(False), piecewise(False))
    both = st.one_of(affine(True), piecewise(True))
    kinds = {None: st.one_of(exclusive, both), True: both, False: exclusive}[mixed]
    return st.builds(HardwareProfile, st.just("random"), kinds)


@st.composite
def configs(draw: st.DrawFn, trace: Trace, kv: bool | None = None) -> EngineConfig:
    """Knobs under which every request of `trace` is served; `kv`: whether blocks are limited."""
    slots = draw(st.sampled_from([1, 2, 3, 5, 8, 40]))
    size = draw(st.sampled_from([1, 2, 4, 16]))
    watermark = draw(st.sampled_from([0.0, 0.0, 0.1, 0.34]))
    declared = 0 if trace.max_output_tokens is None else trace.max_output_tokens
    longest = int((trace.input_tokens + np.maximum(trace.output_tokens, declared)).max())
    knob = draw(st.sampled_from([None, None, None, int(trace.output_tokens.max()), 60]))
    blocks = None
    if draw(st.booleans()) if kv is None else kv:
        spare = st.sampled_from([0, 0, 1, 3, 9, 40])
        blocks = _enough_blocks(trace, knob, size, watermark) + draw(spare)
    shares, threshold = draw(st.sampled_from([1, 1, 2, 4])), draw(st.sampled_from([0, 0, 1, 5, 20]))
    length = draw(st.sampled_from([None, None, None, longest, longest + 20]))
    if shares > 1:
        threshold = min(threshold or 2, length or threshold or 2)
    return EngineConfig(
        max_num_seqs=slots,
        max_num_batched_tokens=draw(st.sampled_from([None, slots, slots + 3, slots + 17, 64])),
        block_size=size,
        num_gpu_blocks=blocks,
        watermark=watermark,
        long_prefill_token_threshold=threshold,
        max_num_partial_prefills=shares,
        max_long_partial_prefills=draw(st.integers(1, shares)),
        admission=draw(st.sampled_from(["full_prompt", "first_chunk"])),
        reserve=draw(st.sampled_from(["none", "none", "max_output", "ratio:0.3", "ratio:0.7"])),
        victim=draw(st.sampled_from(["last_arrived", "longest_remaining"])),
        max_output_tokens=knob,
        max_model_len=length,
    )


def _enough_blocks(trace: Trace, knob: int | None, size: int, watermark: float) -> int:
    """The fewest blocks, with the reserved one, that every request fits into, limits included."""
    most = np.maximum(trace.output_tokens, knob or 0)
    if trace.max_output_tokens is not None:
        most = np.maximum(most, trace.max_output_tokens)
    need = int((-(-(trace.input_tokens + most - 1) // size)).max())
    usable = need
    while usable - int(watermark * usable) < need:
        usable += 1
    return usable + 1


@st.composite
def cases(
    draw: st.DrawFn,
    mixed: bool | None = None,
    kv: bool | None = None,
    sessions: bool | None = None,
) -> Case:
    """Everything a replay needs; predictions are often wrong."""
    trace = draw(traces(sessions=sessions))
    n = len(trace)
    predicted = trace.output_tokens
    if draw(st.booleans()):
        guesses = draw(st.lists(st.integers(1, 40), min_size=n, max_size=n))
        predicted = np.array(guesses, dtype=np.int64)
    return Case(
        trace,
        draw(profiles(mixed)),
        draw(configs(trace, kv)),
        predicted,
        draw(st.sampled_from([None, None, None, 1, 4])),
    )


@dataclass(frozen=True)
class AnyStep:
    """A rule that proposes some useful step or other: all that a rule could ever ask for."""

    seed: int = 0
    mixed: bool = True

    def start(self, view: View) -> Decide:
        draw = random.Random(self.seed)

        def decide() -> Step:
            if not view.can_prefill or (view.decoding and draw.random() < 0.4):
                return draw.choice([DECODE, Step(decode=True, rounds=draw.choice([1, 2, 9]))])
            split = draw.random() < 0.5
            return Step(
                prefill=True,
                decode=self.mixed and draw.random() < 0.5,
                split=split,
                shortest_first=split and draw.random() < 0.3,
                max_tokens=draw.choice([None, 1, 7, 40]),
                max_new_seqs=draw.choice([None, 1, 2]),
            )

        return decide
