"""The closed forms against the naive sum, for every kind."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmsched.errors import InputError
from llmsched.hardware.affine import Affine
from llmsched.hardware.piecewise import Piecewise
from llmsched.hardware.roofline import Datasheet, Efficiencies, Roofline, Shape
from llmsched.hardware.stages import Stages
from llmsched.hardware.step_time import StepTime

price = st.floats(0, 1e-2, allow_subnormal=False)
some_time = st.floats(1e-5, 1e-1)

stages = st.builds(
    Stages, decode_round=some_time, per_stage=price, per_token=price, per_decode_seq=price
)
dearer = st.one_of(st.none(), st.floats(0.1, 1.0))
affine = st.builds(
    Affine,
    per_step=some_time,
    per_step_prefill=dearer,
    per_prefill_token=price,
    per_decode_seq=price,
    per_kv_token_decode=st.floats(0, 1e-6),
    per_kv_token_mixed=st.floats(0, 1e-6),
    per_prefill_token_sq=st.floats(0, 1e-8),
    per_prefill_token_x_context=st.floats(0, 1e-8),
)


@st.composite
def piecewise(draw: st.DrawFn) -> Piecewise:
    tokens = sorted(draw(st.sets(st.integers(1, 4096), min_size=1, max_size=12)))
    steps = draw(st.lists(price, min_size=len(tokens), max_size=len(tokens)))
    seconds = list(accumulate(steps, initial=draw(some_time)))[1:]
    return Piecewise(
        tokens=tuple(tokens),
        seconds=tuple(seconds),
        per_step=draw(price),
        per_step_prefill=draw(dearer),
        per_decode_seq=draw(st.floats(0, 1e-4)),
        per_kv_token_decode=draw(st.floats(0, 1e-6)),
        per_kv_token_mixed=draw(st.floats(0, 1e-6)),
        per_prefill_token_sq=draw(st.floats(0, 1e-8)),
    )


roofline = st.builds(
    Roofline,
    fixed=some_time,
    fixed_prefill=dearer,
    read_weights=some_time,
    per_token_compute=st.floats(1e-6, 1e-3),
    per_token_move=st.floats(0, 1e-3),
    per_decode_seq=st.floats(0, 1e-4),
    per_kv_token_decode=st.floats(0, 1e-6),
)
any_kind = st.one_of(stages, affine, piecewise(), roofline)
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


def test_a_step_that_holds_a_prefill_may_have_a_price_of_its_own() -> None:
    own = Affine(per_step=1.0, per_step_prefill=1.5, per_prefill_token=0.25, per_decode_seq=0.125)
    assert own.step(4, 16, 0, 2, 0) == 1.5 + 4 * 0.25 + 2 * 0.125
    assert own.rounds(2, 0, 3) == 3 * (1 + 2 * 0.125)
    assert own.prefill_setup == own.minorants()[0].per_step_prefill == 1.5
    assert own.minorants()[0].per_round == 1.0
    table = Piecewise(tokens=(1, 9), seconds=(1.0, 2.0), per_step=0.25, per_step_prefill=0.75)
    assert table.base(4, 1) == 1.5 + 0.75
    assert table.base(0, 5) == 1.5 + 0.25
    assert table.prefill_setup == 1.75
    knee = Roofline(
        fixed=0.25, fixed_prefill=1.0, read_weights=3.0, per_token_compute=1.0, per_token_move=0.5
    )
    assert knee.base(3, 1) == 1.0 + 2.0 + 5.0  # root of 4^2 + 3^2
    assert knee.base(0, 4) == 0.25 + 2.0 + 5.0


def test_beyond_what_is_remembered_a_prefill_costs_its_own_price_too() -> None:
    table = Piecewise(tokens=(1,), seconds=(1.0,), per_step_prefill=0.5)
    assert table.base(2**20, 0) - table.base(0, 2**20) == 0.5


def test_stages_have_a_constant_round_unless_told_and_no_mixed_step() -> None:
    step_time = Stages(decode_round=2.0, per_stage=1.0, per_token=0.5)
    assert step_time.rounds(200, 10_000, 7) == 14.0
    assert step_time.step(10, 100, 0, 0, 0) == 6.0
    dearer = replace(step_time, per_decode_seq=0.25)
    assert dearer.rounds(200, 10_000, 7) == 7 * 52.0
    assert dearer.step(10, 100, 0, 0, 0) == 6.0
    assert not step_time.mixed
    with pytest.raises(InputError, match="no price for prefill beside decodes"):
        step_time.base(10, 1)


def test_a_table_is_linear_between_knots_and_jumps_between_neighbours() -> None:
    table = Piecewise(
        tokens=(1, 128, 129, 256), seconds=(1.0, 2.0, 3.0, 4.0), per_step=0.5, per_decode_seq=0.25
    )
    assert table.base(1, 0) == table.prefill_setup == 1.5
    assert table.base(128, 0) == 2.5
    assert table.base(129, 0) == 3.5
    assert table.base(100, 92) == pytest.approx(3 + 63 / 127 + 0.5 + 92 * 0.25)


def test_a_table_is_constant_below_its_first_knot() -> None:
    table = Piecewise(tokens=(32, 64), seconds=(1.0, 2.0))
    assert table.base(1, 0) == table.base(32, 0) == 1.0


def test_a_table_goes_on_with_the_slope_of_its_upper_half() -> None:
    # from 128 to 256 tokens time rises by one second, though the last segment is flat
    table = Piecewise(tokens=(1, 128, 192, 256), seconds=(1.0, 2.0, 3.0, 3.0))
    assert table.base(512, 0) == pytest.approx(3.0 + 256 / 128)
    assert Piecewise(tokens=(4,), seconds=(1.0,)).base(8, 0) == pytest.approx(2.0)


def test_the_best_minorant_of_a_table_touches_it_at_the_hull() -> None:
    table = Piecewise(tokens=(1, 10, 20), seconds=(1.0, 1.9, 12.0))
    lines = table.minorants()
    assert any(line.per_round + line.per_prefill_token * 10 == pytest.approx(1.9) for line in lines)
    assert all(line.per_round >= 0 for line in lines)


def test_a_roofline_follows_from_shape_and_datasheet() -> None:
    shape = Shape(
        num_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        hidden_size=32,
        intermediate_size=64,
    )
    # a layer: 32*(32+2*16) + 32*32 + 3*32*64 weights
    weights = 2 * (32 * 64 + 32 * 32 + 3 * 32 * 64)
    device = Datasheet(peak_flops_bf16=1e6, hbm_bandwidth=1e6, tensor_parallel_size=1)
    ideal = Efficiencies(
        mfu=1.0,
        weight_bw_efficiency=1.0,
        attention_mfu=1.0,
        kv_bw_efficiency=1.0,
        activation_traffic_factor=0.0,
        us_per_layer=0.0,
        us_per_allreduce=0.0,
        allreduce_bw_efficiency=1.0,
    )
    step_time = Roofline.from_datasheet(shape, device, ideal)
    read, compute = 2 * weights / 1e6, 2 * weights / 1e6
    assert step_time.base(0, 1) == pytest.approx(math.hypot(read, compute))
    assert step_time.base(1000, 0) == pytest.approx(math.hypot(read, 1000 * compute))
    assert step_time.per_kv_token_decode == pytest.approx(2 * 2 * 2 * 16 / 1e6)
    assert step_time.per_prefill_token_x_context == pytest.approx(2 * 4 * 32 / 1e6)
