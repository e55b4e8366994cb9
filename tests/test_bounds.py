"""A bound that no policy can beat, and the published figures measured from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmsched.bounds import (
    _Demand,
    bounds,
    least_work,
    lower_bound,
    turns,
)
from llmsched.catalog import find
from llmsched.config import EngineConfig
from llmsched.contract import Policy
from llmsched.engine import SimulationResult
from llmsched.errors import Defect, PolicyError
from llmsched.files import shipped
from llmsched.gap import efficiency, gap_percent
from llmsched.hardware import HardwareProfile, load_profile
from llmsched.hardware.affine import Affine
from llmsched.hardware.stages import Stages
from llmsched.hardware.step_time import Minorant
from llmsched.importers import load
from llmsched.lengths import predict
from llmsched.metrics import utilization
from llmsched.orders.ljf import Ljf
from llmsched.policies import NAMED
from llmsched.replay import simulate
from llmsched.request_prices import not_undercut, own_rounds, request_prices
from llmsched.spared import spared_of
from llmsched.trace import Trace
from tests.cases import AnyStep, Case, cases
from tests.hand import MIXED, STAGES, Row, outputs, replay, trace_of


def bound(rows: list[Row], slots: int, hardware: HardwareProfile = STAGES, **knobs: int) -> float:
    config = EngineConfig(max_num_seqs=slots, **knobs)  # type: ignore[arg-type]  # all are counts
    return lower_bound(trace_of(rows), hardware, config)


@pytest.mark.parametrize(
    ("rows", "slots", "seconds"),
    [
        (outputs(3), 1, 0.75 + 2),
        (outputs(3, 3), 2, 1 + 2),
        (outputs(3, 3), 1, 2 * (0.75 + 2)),
        (outputs(1, 1, 1), 2, 1 + 0.75),
        ([(0.0, 1, 2), (10.0, 1, 4)], 2, 10 + 0.75 + 3),  # from the last arrival
        ([(7.0, 1, 3)], 1, 0.75 + 2),  # time counts from the first arrival
    ],
)
def test_where_nothing_can_be_shared_better_the_bound_is_reached(
    rows: list[Row], slots: int, seconds: float
) -> None:
    assert bound(rows, slots) == seconds
    assert replay("fcfs", rows, slots).makespan == seconds


def test_a_mixed_step_may_carry_a_prompt_beside_the_last_round() -> None:
    # Alone: 1 + 1/4 s and two rounds of 1 + 1/8 s.
    assert bound(outputs(3), 1, MIXED) == replay("vllm", outputs(3), 1, MIXED).makespan == 3.5
    # One slot: 2 + 1 steps of the first request and 1 of the second; 2 tokens, 2 decodes.
    rows = outputs(3, 1)
    assert bound(rows, 1, MIXED) == replay("vllm", rows, 1, MIXED).makespan == 4.75


@pytest.mark.parametrize(
    ("rows", "hardware", "seconds"),
    [
        ([(0.0, 1, 2), (10.0, 1, 4)], STAGES, 0.5 + 2 * 0.25 + 3),  # one stage, three rounds
        ([(0.0, 1, 2), (10.0, 1, 4), (20.0, 1, 3)], STAGES, 2 * 0.5 + 3 * 0.25 + 3),
        ([(0.0, 1, 3), (99.0, 1, 3)], MIXED, 3 + 2 * 0.25 + 4 * 0.125),
    ],
)
def test_the_least_work_is_that_of_all_requests_at_once(
    rows: list[Row], hardware: HardwareProfile, seconds: float
) -> None:
    trace, config = trace_of(rows), EngineConfig(max_num_seqs=2)
    assert least_work(trace, hardware, config) == seconds
    assert bound([(0.0, *row[1:]) for row in rows], 2, hardware) == seconds
    assert bound(rows, 2, hardware) > seconds


def test_users_of_a_closed_loop_and_replicas_share_the_work() -> None:
    trace, config = trace_of([(0.0, 1, 3), (9.0, 1, 3)]), EngineConfig(max_num_seqs=2)
    assert least_work(trace, STAGES, config, concurrency=1) == 2 * (0.75 + 2)
    assert least_work(trace, STAGES, config) == 1 + 2
    assert least_work(trace, STAGES, config, total_speed=2) == 0.75 + 2  # each at least one request


def test_efficiency_is_the_share_of_the_time_that_its_work_needs() -> None:
    assert efficiency("x", 8.0, 2.0) == 0.25
    assert efficiency("x", 2.0, 2.0 * (1 + 1e-12)) == 1.0  # rounding
    assert all(np.isnan(efficiency("x", *pair)) for pair in ((8.0, 0.0), (0.0, 0.0)))
    assert np.isnan(efficiency("x", 8.0, np.nan))
    with pytest.raises(Defect, match=r"x: 2\.0 s in all is below the proven bound of 2\.1 s"):
        efficiency("x", 2.0, 2.1)


def test_users_of_a_closed_loop_may_be_spread_over_engines() -> None:
    trace, config = trace_of([(0.0, 1, 3), (9.0, 1, 3)]), EngineConfig(max_num_seqs=2)
    spread = lower_bound(trace, STAGES, config, concurrency=2, total_speed=2)
    assert spread == 0.75 + 2  # either request, on an engine of its own


@pytest.mark.parametrize(
    ("rows", "hardware", "seconds"),
    [
        # 10 tokens at 4 a stage are three stages, not two and a half; two rounds.
        ([(0.0, 10, 3)], STAGES, 3 * 0.5 + 10 * 0.25 + 2),
        # A step of one prompt token and two rounds of one sequence.
        (outputs(3), MIXED, 1 + 0.25 + 2 * (1 + 0.125)),
    ],
)
def test_one_request_is_no_faster_on_two_engines(
    rows: list[Row], hardware: HardwareProfile, seconds: float
) -> None:
    trace, config = trace_of(rows), EngineConfig(max_num_seqs=2, max_num_batched_tokens=4)
    assert least_work(trace, hardware, config) == seconds
    assert least_work(trace, hardware, config, total_speed=2) == seconds


@pytest.mark.parametrize("early", [1, 9])
def test_late_requests_take_the_steps_of_the_longest_of_them(early: int) -> None:
    # From 10 s on: three steps of the longer one, two prompts, two decodes. Either of the prompts
    # alone, or the three sequence steps on two slots, would be less.
    rows = [(0.0, 1, early), (10.0, 1, 3), (10.0, 1, 1)]
    assert bound(rows, 2, MIXED) == 10 + 3 * 1 + 2 * 0.25 + 2 * 0.125


def test_a_decode_that_a_recomputation_undercuts_is_charged_at_its_price() -> None:
    # A decode costs 1 s a sequence, the prompt token of a recomputation 0.25 s.
    profile = HardwareProfile(
        "dear decodes", Affine(per_step=1.0, per_prefill_token=0.25, per_decode_seq=1.0)
    )
    assert bound(outputs(3), 1, profile) == 1 + 0.25 + 2 * (1 + 1)
    assert bound(outputs(3), 1, profile, num_gpu_blocks=100, block_size=1) == 3 + 0.25 + 2 * 0.25


def test_the_decodes_of_a_single_request_are_undercut_by_whole_stages_only() -> None:
    # A stage of one token instead of a round of one sequence: 0.75 of 2 s, for each of two rounds.
    profile = HardwareProfile(
        "dear decodes", Stages(decode_round=1.0, per_stage=0.5, per_token=0.25, per_decode_seq=1.0)
    )
    assert bound(outputs(3), 1, profile) == 0.75 + 2 * (1 + 1)
    assert bound(outputs(3), 1, profile, num_gpu_blocks=100, block_size=1) == 0.75 + 2 * 0.75


def test_where_a_step_with_prefill_is_the_cheaper_one_mixed_rounds_are_charged_as_such() -> None:
    # No kind of profile says so, but a minorant may: 0.5 s a step with prefill, 1 s without.
    minorant = Minorant(0.5, 0.25, 1.0, 0.125)
    trace, config = trace_of(outputs(3)), EngineConfig(1)
    demand = _Demand(trace, MIXED.step_time, config, 1, spared_of(trace, config))
    least = demand.bounds(minorant).lower
    assert least == 3 * 0.5 + 0.25 + 2 * 0.125


def prices(**more: Any) -> Affine:
    """Return exclusive steps of 1 s, 0.25 s a prompt token and 0.5 s a decode, but for `more`."""
    usual = {"mixed": False, "per_step": 1.0, "per_prefill_token": 0.25, "per_decode_seq": 0.5}
    return Affine(**{**usual, **more})


@pytest.mark.parametrize(
    ("more", "prefill", "decode"),
    [
        ({}, 1.5, 1.5),
        ({"per_prefill_token_sq": 1.0}, 1.5 + 6, 1.5),  # in chunks of one token
        ({"per_prefill_token_x_context": 2.0}, 1.5, 1.5),  # in one chunk
        ({"per_prefill_token_sq": 1.0, "per_prefill_token_x_context": 2.0}, 1.5 + 36, 1.5),
        # 6 squares of one token and 0 + 1 + 2 + 3 + 4 + 5 tokens of context
        ({"per_prefill_token_sq": 2.0, "per_prefill_token_x_context": 2.0}, 1.5 + 12 + 30, 1.5),
        # one square of 36
        ({"per_prefill_token_sq": 1.0, "per_prefill_token_x_context": 4.0}, 1.5 + 36, 1.5),
        # 6, 7 and 8 tokens read
        ({"per_kv_token_decode": 0.5, "per_kv_token_mixed": 0.25}, 1.5, 1.5 + 10.5),
        ({"per_kv_token_decode": 0.5, "per_kv_token_mixed": 0.25, "mixed": True}, 1.5, 1.5 + 5.25),
        ({"per_kv_token_decode": 0.5, "per_kv_token_mixed": 1.0, "mixed": True}, 1.5, 1.5 + 10.5),
    ],
)
def test_a_request_is_charged_for_tokens_and_attention_at_their_least(
    more: dict[str, Any], prefill: float, decode: float
) -> None:
    step_time = prices(**more)
    (minorant,) = step_time.minorants()
    price = request_prices(np.array([6]), np.array([3]), step_time, minorant)
    assert (price.prefill.tolist(), price.decode.tolist()) == ([prefill], [decode])


ROOMY = EngineConfig(4, block_size=1, num_gpu_blocks=65)


@pytest.mark.parametrize(
    ("step_time", "config", "slots", "share"),
    [
        # Two prompt tokens, 0.5 s, for one decode of 0.5 s and its share of a round of 1 s:
        (prices(), ROOMY, 4, 0.5 / 0.75),  # a quarter: one of four slots
        (prices(), ROOMY, 1, 0.5 / 1.5),  # all of it
        (prices(), replace(ROOMY, max_num_batched_tokens=2), 4, 0.5 / 1.0),  # one of two tokens
        (prices(), replace(ROOMY, max_num_batched_tokens=8), 4, 0.5 / 0.75),
        (prices(), replace(ROOMY, block_size=2, num_gpu_blocks=4), 4, 0.5 / 1.0),  # 3 of 6 tokens
        # and for reading three tokens:
        (prices(per_kv_token_decode=0.25), ROOMY, 4, 0.5 / 1.5),
        (prices(per_kv_token_decode=0.25, mixed=True), ROOMY, 4, 0.5 / 1.25),
        # A decode that costs less than the tokens, or nothing:
        (prices(per_prefill_token=2.0), ROOMY, 4, 1.0),
        (prices(per_decode_seq=0.0, mixed=True), ROOMY, 4, 1.0),
        # Nobody is ever preempted:
        (prices(), replace(ROOMY, num_gpu_blocks=None), 4, 1.0),
        (prices(), replace(ROOMY, reserve="max_output"), 4, 1.0),
    ],
)
def test_a_recomputation_undercuts_a_decode_by_what_its_tokens_cost_less(
    step_time: Affine, config: EngineConfig, slots: int, share: float
) -> None:
    (minorant,) = step_time.minorants()
    assert not_undercut(np.array([4, 2]), step_time, minorant, config, slots) == share


@pytest.mark.parametrize(
    ("step_time", "config", "shares"),
    [
        # Stages of 1.25 and 2 s instead of rounds of 1.5 s; with more context they are dearer.
        (prices(), ROOMY, [1.25 / 1.5, 1.0, 1.0]),
        # Rounds of 2 and 3.5 s; the first request's last one has 3 tokens of context: 1.75 of 3 s.
        (prices(per_kv_token_decode=0.5), ROOMY, [1.75 / 3, 2 / 3.5, 2 / 3.5]),
        # A stage of 0.625 s instead of a round of 0.75 s.
        (prices(per_step=0.5, per_prefill_token=0.125, per_decode_seq=0.25), ROOMY, [5 / 6, 1, 1]),
        (prices(per_kv_token_decode=0.5, mixed=True), ROOMY, [1.0, 1.0, 1.0]),
        (prices(per_kv_token_decode=0.5), replace(ROOMY, num_gpu_blocks=None), [1.0, 1.0, 1.0]),
        # Where all is free nothing is cheaper than anything.
        (prices(per_step=0.0, per_prefill_token=0.0, per_decode_seq=0.0), ROOMY, [1.0, 1.0, 1.0]),
    ],
)
def test_a_request_waits_for_its_rounds_or_for_stages_that_are_cheaper(
    step_time: Affine, config: EngineConfig, shares: list[float]
) -> None:
    (minorant,) = step_time.minorants()
    prompt, rounds = np.array([1, 4, 4]), np.array([3, 1, 0])
    assert own_rounds(prompt, rounds, step_time, minorant, config).tolist() == shares


def test_gap_and_efficiency_are_the_same_however_short_the_times_are() -> None:
    assert gap_percent("x", 0.75, 0.5) == 50.0
    assert gap_percent("x", 0.5, 0.5) == 0.0
    assert efficiency("x", 0.5, 0.25) == 0.5
    assert all(np.isnan(gap_percent("x", 0.5, none)) for none in (0.0, np.nan))
    assert np.isnan(efficiency("x", 0.0, 1e-10, clock=1.0))  # lost in the rounding of the clock


@pytest.mark.parametrize("measure", [gap_percent, efficiency])
def test_without_a_clock_rounding_is_a_billionth_of_the_bound_itself(
    measure: Callable[[str, float, float], float],
) -> None:
    # Of 0.5 s that is 0.5 ns: 0.4 ns less is rounding, 0.6 ns less is not.
    assert measure("x", 0.5 - 0.4e-9, 0.5) == (0.0 if measure is gap_percent else 1.0)
    with pytest.raises(Defect):
        measure("x", 0.5 - 0.6e-9, 0.5)


def test_three_equal_requests_cannot_share_two_slots_evenly() -> None:
    # 9 rounds on 2 slots need more than 4.5: two of the three share one, 6 rounds.
    rows = outputs(4, 4, 4)
    assert bound(rows, 2) == 6 + 2 * 0.5 + 3 * 0.25
    assert replay("plan", rows, 2).makespan == bound(rows, 2)


def test_the_token_budget_bounds_the_stages() -> None:
    # 12 prompt tokens at 4 a stage: 3 stages however many slots there are.
    rows = [(0.0, 4, 1)] * 3
    assert bound(rows, 8, max_num_batched_tokens=8) == 2 * 0.5 + 12 * 0.25
    assert bound(rows, 3, max_num_batched_tokens=4) == 3 * 0.5 + 12 * 0.25


def test_steps_that_hold_a_prefill_cost_what_such_steps_do() -> None:
    own = Affine(per_step=1.0, per_step_prefill=1.5, per_prefill_token=0.25, per_decode_seq=0.125)
    hardware = HardwareProfile("own", own)
    # Alone: a step with a prefill and two rounds.
    assert bound(outputs(3), 1, hardware) == 1.5 + 0.25 + 2 * 1.125
    # Four requests in two slots, six steps: two prefills at least, 4 tokens and 8 decodes.
    rows = outputs(3, 3, 3, 3)
    assert bound(rows, 2, hardware) == 2 * 1.5 + 4 * 1.0 + 4 * 0.25 + 8 * 0.125
    assert replay("vllm", rows, 2, hardware).makespan == bound(rows, 2, hardware)
    # Twelve prompt tokens at four a step.
    rows = [(0.0, 4, 1)] * 3
    assert bound(rows, 3, hardware, max_num_batched_tokens=4) == 3 * 1.5 + 12 * 0.25


def test_kv_capacity_bounds_the_rounds() -> None:
    # Each request holds 4, then 5 and 6 tokens in its 2 rounds; 8 blocks of 1 take one at a time.
    rows = [(0.0, 4, 3)] * 3
    free = bound(rows, 3)
    tight = bound(rows, 3, num_gpu_blocks=9, block_size=1)
    done = replay("fcfs", rows, 3, num_gpu_blocks=9, block_size=1).makespan
    assert free == 0.5 + 3.0 + 2
    assert free < tight <= done
    # 33 tokens for a round each are 5 rounds of 8, of which 4 are certain.
    assert tight == 0.5 + 3.0 + 4
    config = EngineConfig(3, num_gpu_blocks=9, block_size=1, reserve="max_output")
    assert lower_bound(trace_of(rows), STAGES, config) == 0.5 + 3.0 + 5


def test_kv_capacity_and_token_budget_bound_mixed_steps() -> None:
    # Work: 12 prompt tokens and 6 decodes. Each request has a slot for its prompt's last step and
    # two rounds, with 4, then 5 and 6 tokens: 45 tokens for a step each, 8 at a time, are 6 steps.
    rows, work = [(0.0, 4, 3)] * 3, 12 * 0.25 + 6 * 0.125
    assert bound(rows, 3, MIXED) == 3 + work
    assert bound(rows, 3, MIXED, num_gpu_blocks=9, block_size=1) == 6 + work
    # 12 prompt tokens and 6 decoded ones, 4 at a time.
    assert bound(rows, 3, MIXED, max_num_batched_tokens=4) == 5 + work


def test_attention_over_chunks_costs_at_least_the_cheaper_of_square_and_cross() -> None:
    # One prompt of 6 in one chunk: 36 squares. In chunks of 2: 3 * 4 squares and 2*2 + 2*4 cross.
    for square, cross in ((1.0, 0.0), (0.0, 1.0), (1.0, 1.0), (1.0, 3.0)):
        prices = Affine(
            per_step=1.0, per_prefill_token_sq=square, per_prefill_token_x_context=cross
        )
        hardware = HardwareProfile("attention", prices)
        whole = replay("fcfs", [(0.0, 6, 1)], 1, hardware).makespan
        cut = replay("fcfs", [(0.0, 6, 1)], 1, hardware, max_num_batched_tokens=2).makespan
        assert whole == 1 + 36 * square
        assert cut == 3 + 12 * square + 12 * cross
        assert bound([(0.0, 6, 1)], 1, hardware) <= whole
        assert bound([(0.0, 6, 1)], 1, hardware, max_num_batched_tokens=2) <= cut


def test_a_recomputation_may_yield_a_token_without_a_round() -> None:
    # Two blocks of one token: after the stage of both prompts nobody can decode, so request 1 is
    # preempted, request 0 takes its one round, and request 1's last token comes from recomputing
    # two tokens. With prefills for nothing that is one round in all, not the two that fit the KV
    # cache one after the other.
    free = HardwareProfile("free prefill", Stages(decode_round=1.0, per_stage=0.0, per_token=0.0))
    rows = outputs(2, 2)
    assert replay("fcfs", rows, 2, free, num_gpu_blocks=3, block_size=1).makespan == 1.0
    assert bound(rows, 2, free, num_gpu_blocks=3, block_size=1) <= 1.0
    # Where all blocks are reserved nothing is recomputed, and both rounds are due.
    config = EngineConfig(max_num_seqs=2, num_gpu_blocks=3, block_size=1, reserve="max_output")
    assert lower_bound(trace_of(rows), free, config) == 2.0


@given(st.one_of(cases(), cases(kv=True), cases(mixed=False, kv=True)), st.data())
def test_nothing_beats_the_bound(case: Case, data: st.DataObject) -> None:
    mixed = case.hardware.step_time.mixed
    able = [policy for policy in NAMED.values() if mixed or not policy.rule.mixed]
    anything = st.builds(AnyStep, st.integers(0, 2**32), st.just(mixed))
    policy = data.draw(
        st.one_of(st.sampled_from(able), anything.map(lambda rule: Policy("any", Ljf(), rule)))
    )
    try:
        result = case.replay(policy)
    except PolicyError:
        return
    least = case.bound()
    assert 0 <= least <= result.makespan * (1 + 1e-9) + 1e-9


@given(cases(kv=False))
def test_the_bound_is_at_least_any_request_on_its_own(case: Case) -> None:
    whole = lower_bound(case.trace, case.hardware, case.config)
    start = case.trace.arrival.min()
    for row in range(len(case.trace)):
        one = lower_bound(case.trace.take([row]), case.hardware, case.config)
        assert whole >= (one + case.trace.arrival[row] - start) * (1 - 1e-9)


PAPER = "gsm8k-llama65b.jsonl"
HARDWARE = "llama65b-8gpu-paper"


@cache
def paper() -> Trace:
    return load(shipped("traces", PAPER))


@cache
def paper_replay(name: str, set_up_ms: float | None = None) -> SimulationResult:
    return simulate(paper(), dearer(set_up_ms), find(name))


def dearer(set_up_ms: float | None) -> HardwareProfile:
    """Return the reconstructed hardware with that set-up of a prefill stage."""
    profile = load_profile(HARDWARE)
    assert isinstance(profile.step_time, Stages)
    if set_up_ms is None:
        return profile
    return replace(profile, step_time=replace(profile.step_time, per_stage=set_up_ms / 1e3))


def test_the_bound_of_exclusive_stages_is_rounds_stages_and_tokens() -> None:
    trace, price = paper(), dearer(None).step_time
    assert isinstance(price, Stages)
    rounds = -(-int((trace.output_tokens - 1).sum()) // 200)
    stages = -(-len(trace) // 200)
    tokens = int(trace.input_tokens.sum())
    formula = price.decode_round * rounds + price.per_stage * stages + price.per_token * tokens
    assert lower_bound(trace, dearer(None)) == pytest.approx(formula, rel=1e-12)
    assert formula == pytest.approx(180.00, abs=0.05)


def test_the_published_baseline_is_what_the_profile_was_fitted_to() -> None:
    result = paper_replay("fcfs")
    assert result.makespan == pytest.approx(201.00, abs=0.05)
    assert 100 * utilization(result) == pytest.approx(80.20, abs=0.05)
    assert (result.column("prefill_seqs") > 0).sum() == 715
    assert result.column("rounds")[result.column("decode_seqs") > 0].sum() == 2555


def test_the_hybrid_comes_close_to_the_bound() -> None:
    result = paper_replay("hybrid")
    assert result.makespan <= 180.8
    assert 100 * utilization(result) >= 95.0


@pytest.mark.parametrize(("set_up_ms", "most"), [(10.0, 182.36), (30.0, 184.61), (60.0, 185.65)])
def test_the_hybrid_is_as_good_as_the_best_of_its_parts(set_up_ms: float, most: float) -> None:
    hybrid = paper_replay("hybrid", set_up_ms).makespan
    parts = [paper_replay(name, set_up_ms).makespan for name in ("offline", "online", "ljf")]
    assert lower_bound(paper(), dearer(set_up_ms)) <= hybrid <= min(*parts, most)


@pytest.mark.parametrize(("cv", "most"), [(0.1, 183.5), (0.3, 189.0), (0.5, 201.0)])
def test_the_hybrid_stands_errors_in_the_lengths(cv: float, most: float) -> None:
    # README has 20 seeds; at 50 % the limit is what FCFS takes, which knows no lengths.
    times = [
        simulate(
            paper(), dearer(None), find("hybrid"), predicted=predict(paper(), f"noisy:{cv}", seed)
        ).makespan
        for seed in range(8)
    ]
    assert np.mean(times) <= most


def test_a_resumption_may_make_up_for_the_last_round_where_sequences_are_preempted() -> None:
    # 4 requests of 3 rounds on one slot: 12 rounds, of which 11 at a quarter each are certain (a
    # prefill of the prompt of one token, 0.25 s, may stand for a round of 1 s), and 4 stages.
    rows = outputs(4, 4, 4, 4)
    assert bound(rows, 1, num_gpu_blocks=100, block_size=1) == 4 * 0.75 + 0.25 * 11
    assert bound(rows, 1) == 4 * 0.75 + 12


def test_decodes_of_exclusive_steps_read_their_context_at_the_price_of_decodes() -> None:
    # A stage of 1 s, rounds of 1 s that read 1 and 2 tokens of context at 0.5 s each.
    profile = HardwareProfile(
        "dear", Affine(mixed=False, per_step=1, per_kv_token_decode=0.5, per_kv_token_mixed=0.25)
    )
    rows = [(0.0, 1, 3)]
    assert bound(rows, 1, profile) == 1 + 2 + 3 * 0.5 == replay("fcfs", rows, 1, profile).makespan


@given(cases(), st.integers(1, 4))
def test_bounds_are_the_same_however_many_requests_are_priced_at_once(
    case: Case, many: int
) -> None:
    asked = (case.trace, case.hardware, case.config, case.concurrency)
    whole = bounds(*asked)
    with patch("llmsched.bounds._AT_ONCE", many):
        assert bounds(*asked) == whole


def session_of(*rows: tuple[float, int], arrival: float = 0.0) -> Trace:
    """One session of two-token prompts: (delay, output tokens) of each turn."""
    delay, output = zip(*rows, strict=True)
    times = [arrival] + [np.nan] * (len(rows) - 1)
    n = len(rows)
    return Trace.from_columns(times, [2] * n, output, session=["a"] * n, delay=delay)


def test_turns_of_a_session_take_their_time_one_after_the_other() -> None:
    trace = session_of((0.0, 3), (2.0, 2))  # 1 s + 2 s, 2 s, 1 s + 1 s
    config = EngineConfig(8)
    assert lower_bound(trace, STAGES, config) == 7.0
    assert lower_bound(trace.take([0, 1]), STAGES, config, concurrency=3) == 7.0
    assert simulate(trace, STAGES, find("fcfs"), config).makespan == 7.0
    come, ends = turns(trace, STAGES, config)
    assert (come.tolist(), ends.tolist()) == ([0.0, 5.0], [3.0, 7.0])


def test_what_a_session_releases_late_counts_in_the_suffixes() -> None:
    """First turns of 2 s each; 4 s after 2 s at the earliest, second turns of 5 s share a slot."""
    trace = Trace.from_columns(
        [0, 0, np.nan, np.nan],
        [2] * 4,
        [2, 2, 5, 5],
        session=["a", "b", "a", "b"],
        delay=[0, 0, 4, 4],
    )
    config = EngineConfig(1)
    assert lower_bound(trace, STAGES, config) == 6 + 2 * 5
    assert simulate(trace, STAGES, find("fcfs"), config).makespan == 16.0


def test_users_of_a_closed_loop_share_what_all_sessions_take() -> None:
    one = session_of((0.0, 3), (2.0, 2))
    trace = Trace.joined([one, one, one])
    config = EngineConfig(8)
    assert lower_bound(trace, STAGES, config, concurrency=1) == 21.0
    assert simulate(trace, STAGES, find("fcfs"), config, concurrency=1).makespan == 21.0
    assert lower_bound(trace, STAGES, config, concurrency=2) == 10.5


def test_a_session_takes_no_more_work_than_its_requests_do() -> None:
    trace = session_of((0.0, 3), (2.0, 2))
    apart = Trace.from_columns([0, 2], [2, 2], [3, 2])
    config = EngineConfig(2)
    assert least_work(trace, STAGES, config) == least_work(apart, STAGES, config)
