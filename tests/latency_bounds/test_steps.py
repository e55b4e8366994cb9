"""What steps cost at least, against all steps one by one."""

from __future__ import annotations

import random
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.latency_bounds import step_time
from llmsched.config import EngineConfig
from llmsched.hardware.affine import Affine
from llmsched.hardware.piecewise import Piecewise
from llmsched.hardware.step_time import StepTime
from llmsched.latency_bounds.steps import steps_of, why_not

LONGEST = 12


def every_step(prices: StepTime, config: EngineConfig) -> list[tuple[int, int, float]]:
    """All steps with a prefill that an engine can make: prompt tokens, decodes, seconds."""
    budget = config.max_num_batched_tokens or config.max_num_seqs * LONGEST
    most = config.max_num_seqs - 1 if prices.mixed else 0
    return [
        (p, n, prices.base(p, n))
        for p, n in product(range(1, budget + 1), range(most + 1))
        if p + n <= budget
    ]


@st.composite
def engines(draw: st.DrawFn) -> tuple[StepTime, EngineConfig]:
    prices = step_time(random.Random(draw(st.integers(0, 2**32))))
    slots = draw(st.integers(1, 6))
    budget = draw(st.sampled_from([None, slots, slots + 1, slots + 7, 70]))
    chunk = draw(st.sampled_from([0, 0, 3]))
    return prices, EngineConfig(slots, budget, long_prefill_token_threshold=chunk)


@given(engines(), st.floats(0, 1), st.floats(0, 0.01))
def test_the_least_step_with_a_chunk_is_the_least_of_all_that_can_hold_it(
    engine: tuple[StepTime, EngineConfig], share: float, delta: float
) -> None:
    prices, config = engine
    if why_not(prices, config, LONGEST):
        return
    steps, every = steps_of(prices, config, LONGEST), every_step(*engine)
    sigma = share * steps.shortest
    for chunk, least, ratio in zip(
        range(1, steps.chunk + 1),
        steps.with_chunk().tolist(),
        steps.per_token(sigma, delta).tolist(),
        strict=True,
    ):
        holds = [(p, n, seconds) for p, n, seconds in every if p >= chunk]
        assert least == pytest.approx(min(seconds for *_, seconds in holds), rel=1e-9, abs=1e-15)
        brute = min((seconds - sigma - delta * n) / p for p, n, seconds in holds)
        assert ratio == pytest.approx(brute, rel=1e-9, abs=1e-12)
    beside = [seconds for _, n, seconds in every if n]
    assert steps.beside_decode() == pytest.approx(min(beside, default=np.inf), rel=1e-9)


@given(engines(), st.floats(0, 1), st.floats(0, 1))
def test_a_decode_takes_the_most_that_leaves_prompt_tokens_and_rounds_their_own(
    engine: tuple[StepTime, EngineConfig], share: float, kept: float
) -> None:
    prices, config = engine
    if why_not(prices, config, LONGEST):
        return
    steps = steps_of(prices, config, LONGEST)
    sigma = share * steps.shortest
    least = kept * float(steps.per_token(sigma, 0.0).min())
    afforded = [(seconds - sigma - least * p) / n for p, n, seconds in every_step(*engine) if n]
    afforded += [(seconds - sigma) / n for n, seconds in enumerate(steps.rounds.tolist(), 1)]
    delta = steps.decode_share(sigma, least)
    assert delta == pytest.approx(max(0.0, min(afforded)), rel=1e-9, abs=1e-12)


FALLING = Piecewise(tokens=(4, 5), seconds=(0.05, 0.02))


def test_nothing_is_claimed_of_prices_that_fall_below_zero_or_are_not_known() -> None:
    # Beyond its last knot this table goes on falling: at 6 tokens time would run backwards.
    assert why_not(FALLING, EngineConfig(4), 4) == "a step takes less than no time"
    assert why_not(FALLING, EngineConfig(4, 5), 4) == ""
    assert why_not(Affine(per_step=-1.0), EngineConfig(4), 4) == "a step takes less than no time"
    assert why_not(Affine(per_kv_token_mixed=-1e-9), EngineConfig(4), 4) == "a price is below zero"
    assert why_not(Affine(per_decode_seq=-1e-9), EngineConfig(4), 4) == "a price is below zero"
    assert "slots" in why_not(Affine(per_step=1.0), EngineConfig(4, 3), 4)
    assert "1,048,576 tokens" in why_not(Affine(per_step=1.0), EngineConfig(4), 2**21)


class Odd(Affine):
    """Prices of somebody else's, that no bound can know."""

    def base(self, prefill_tokens: int, decode_seqs: int) -> float:
        return 1.0 / (1 + prefill_tokens + decode_seqs)


def test_nothing_is_claimed_of_a_kind_of_somebody_elses() -> None:
    assert why_not(Odd(per_step=1.0), EngineConfig(4), 4) == "the kind of step times is not known"
