"""The closed forms against the naive sum, for every kind."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmsched.errors import InputError
from llmsched.hardware.affine import Affine
from llmsched.hardware.stages import Stages
from llmsched.hardware.step_time import StepTime

price = st.floats(0, 1e-2, allow_subnormal=False)
some_time = st.floats(1e-5, 1e-1)

stages = st.builds(Stages, decode_round=some_time, per_stage=price, per_token=price)
affine = st.builds(
    Affine,
    per_step=some_time,
    per_prefill_token=price,
    per_decode_seq=price,
    per_kv_token_decode=st.floats(0, 1e-6),
    per_kv_token_mixed=st.floats(0, 1e-6),
    per_prefill_token_sq=st.floats(0, 1e-8),
    per_prefill_token_x_context=st.floats(0, 1e-8),
)
any_kind = st.one_of(stages, affine)
seqs = st.integers(1, 512)
context = st.integers(0, 200_000)


@given(any_kind, seqs, context, st.integers(1, 300))
def test_the_time_of_k_rounds_is_the_sum_of_k_steps(
    step_time: StepTime, n: int, kv: int, k: int
) -> None:
    naive = math.fsum(step_time.step(0, 0, 0, n, kv + n * j) for j in range(k))
    assert step_time.rounds(n, kv, k) == pytest.approx(naive, rel=1e-12)


@given(any_kind, seqs, context, st.floats(0, 1e4))
def test_rounds_until_is_the_smallest_k_that_reaches_the_time(
    step_time: StepTime, n: int, kv: int, seconds: float
) -> None:
    k = step_time.rounds_until(n, kv, seconds)
    assert k >= 1
    assert step_time.rounds(n, kv, k) >= seconds
    assert k == 1 or step_time.rounds(n, kv, k - 1) < seconds


@given(any_kind, seqs, context, st.integers(1, 5000))
def test_rounds_until_inverts_rounds(step_time: StepTime, n: int, kv: int, k: int) -> None:
    assert step_time.rounds_until(n, kv, step_time.rounds(n, kv, k)) == k


@given(any_kind, st.integers(1, 10_000), seqs)
def test_a_minorant_never_exceeds_the_base(step_time: StepTime, tokens: int, n: int) -> None:
    decodes = n if step_time.mixed else 0
    for line in step_time.minorants():
        prefill = (
            line.per_step_prefill + line.per_prefill_token * tokens + line.per_decode_seq * decodes
        )
        assert prefill <= step_time.base(tokens, decodes) * (1 + 1e-12)
        decode = line.per_round + line.per_decode_seq * n
        assert decode <= step_time.base(0, n) * (1 + 1e-12)


def test_an_affine_step_adds_its_seven_prices() -> None:
    step_time = Affine(
        per_step=1.0,
        per_prefill_token=10.0,
        per_decode_seq=100.0,
        per_kv_token_decode=3.0,
        per_kv_token_mixed=7.0,
        per_prefill_token_sq=1000.0,
        per_prefill_token_x_context=10000.0,
    )
    assert step_time.step(0, 0, 0, 2, 5) == 1 + 2 * 100 + 5 * 3
    # chunks of 2 and 3 tokens, the second after 4 computed ones, beside 2 decodes over 5 tokens
    assert step_time.step(5, 13, 12, 2, 5) == 1 + 50 + 200 + 13000 + 120000 + 35
    assert step_time.prefill_setup == 1.0


def test_stages_have_a_constant_round_and_no_mixed_step() -> None:
    step_time = Stages(decode_round=2.0, per_stage=1.0, per_token=0.5)
    assert step_time.rounds(200, 10_000, 7) == 14.0
    assert step_time.step(10, 100, 0, 0, 0) == 6.0
    assert not step_time.mixed
    with pytest.raises(InputError, match="no price for prefill beside decodes"):
        step_time.base(10, 1)
