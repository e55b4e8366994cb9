"""Roofline: what ranks send each other, by hand."""

from __future__ import annotations

import pytest

from llmsched.hardware.roofline import Datasheet, Efficiencies, Roofline, Shape

SHAPE = Shape(
    num_layers=2,
    num_attention_heads=4,
    num_key_value_heads=4,
    head_dim=8,
    hidden_size=32,
    intermediate_size=64,
)
SHARE = Efficiencies(
    mfu=1.0,
    weight_bw_efficiency=1.0,
    attention_mfu=1.0,
    kv_bw_efficiency=1.0,
    activation_traffic_factor=0.0,
    us_per_layer=3.0,
    us_per_allreduce=5.0,
    allreduce_bw_efficiency=0.5,
)


def on(ranks: int) -> Roofline:
    device = Datasheet(
        peak_flops_bf16=1e12,
        hbm_bandwidth=1e12,
        interconnect_bandwidth=1e9,
        tensor_parallel_size=ranks,
    )
    return Roofline.from_datasheet(SHAPE, device, SHARE)


def test_one_rank_reduces_nothing() -> None:
    assert on(1).per_token_move == 0
    assert on(1).fixed == pytest.approx(2 * 3e-6)


def test_a_prefill_may_have_an_overhead_of_its_own_beside_the_layers() -> None:
    device = Datasheet(peak_flops_bf16=1e12, hbm_bandwidth=1e12, tensor_parallel_size=1)
    own = Roofline.from_datasheet(SHAPE, device, SHARE, per_step=0.25, per_step_prefill=0.75)
    assert own.fixed == pytest.approx(0.25 + 2 * 3e-6)
    assert own.base(1, 0) - own.base(0, 1) == pytest.approx(0.5)


@pytest.mark.parametrize(("ranks", "share"), [(2, 1 / 2), (4, 3 / 4)])
def test_ranks_all_reduce_twice_a_layer_around_a_ring(ranks: int, share: float) -> None:
    # 64 bytes of bf16 a token: each rank sends 2 (r - 1) / r of them, twice a layer, at 0.5 GB/s.
    sent = 2 * 64 * share
    assert on(ranks).per_token_move == pytest.approx(2 * 2 * sent / 0.5e9)
    assert on(ranks).fixed == pytest.approx(2 * (3e-6 + 2 * 5e-6))
