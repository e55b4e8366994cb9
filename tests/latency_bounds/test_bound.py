"""Bounds on latency: by hand, refused where nothing is proven, and what naive ones miss."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pytest

from llmsched.config import EngineConfig
from llmsched.contract import DECODE, Decide, Policy, Step, View
from llmsched.engine import SimulationResult
from llmsched.hardware import HardwareProfile, load_profile
from llmsched.hardware.affine import Affine
from llmsched.hardware.piecewise import Piecewise
from llmsched.hardware.stages import Stages
from llmsched.latency_bounds import Bound, LatencyBounds, latency_bounds
from llmsched.latency_bounds.record import are_due
from llmsched.orders.fcfs import Fcfs
from llmsched.replay import simulate
from llmsched.trace import Trace
from tests.hand import MIXED, STAGES, Row, outputs, trace_of


@dataclass(frozen=True)
class Script:
    """A rule that proposes some steps one after the other, and then decodes."""

    steps: tuple[Step, ...]

    mixed: ClassVar[bool] = True

    def start(self, view: View) -> Decide:
        left = iter(self.steps)
        return lambda: next(left, DECODE if view.decoding else Step(prefill=True, split=True))


def bounds_of(
    rows: list[Row], hardware: HardwareProfile, slots: int, **knobs: int
) -> LatencyBounds:
    return latency_bounds(trace_of(rows), hardware, EngineConfig(slots, **knobs))  # type: ignore[arg-type]  # all are counts


def scripted(
    rows: list[Row], hardware: HardwareProfile, slots: int, *steps: Step, **knobs: int
) -> SimulationResult:
    policy = Policy("script", Fcfs(), Script(steps))
    return simulate(trace_of(rows), hardware, policy, EngineConfig(slots, **knobs))  # type: ignore[arg-type]  # all are counts


def test_a_request_on_its_own_takes_at_least_its_prompt_and_its_rounds() -> None:
    # 1 + 0.25 s, and two rounds of 1.125 s.
    bounds = bounds_of(outputs(3), MIXED, 1)
    assert bounds.every["mean_ttft_ms"] == Bound(1250.0)
    assert bounds.every["mean_e2el_ms"] == Bound(3500.0)
    assert bounds.every["p99_tpot_ms"] == Bound(1125.0)
    stages = bounds_of(outputs(3), STAGES, 1)
    assert stages.every["mean_e2el_ms"] == Bound(750.0 + 2 * 1000.0)


def test_requests_queue_for_the_work_of_their_prompts() -> None:
    # Stages of 0.5 s + 0.25 s a token, each of at most 4 of them: two prompts of 4 take 3 s, and
    # the first one 1.5 s.
    rows = [(0.0, 4, 1), (0.0, 4, 1)]
    bounds = bounds_of(rows, STAGES, 2, max_num_batched_tokens=4)
    assert bounds.first_tokens.tolist() == [1.5, 3.0]
    assert bounds.every["mean_ttft_ms"].value == 2250.0


def test_company_may_make_decoding_cheaper_than_it_is_alone() -> None:
    # A decode reads its context at 1 ms a token, beside a prefill for nothing: 10 + 5 ms, then
    # alone 10.1 + 50 and 10.1 + 51, with a token of another prompt beside it 10.2 twice.
    step_time = Affine(
        per_step=0.010,
        per_prefill_token=0.0001,
        per_decode_seq=0.0001,
        per_kv_token_decode=0.001,
    )
    hardware = HardwareProfile("cheap beside", step_time)
    rows = [(0.0, 50, 3), (0.0, 10, 1)]
    whole = Step(prefill=True, max_new_seqs=1)
    trickle = Step(prefill=True, decode=True, split=True, max_tokens=2)
    alone = scripted(rows[:1], hardware, 2, whole)
    helped = scripted(rows, hardware, 2, whole, trickle, trickle)
    assert float(alone.finish[0]) == pytest.approx(0.1362)
    assert float(helped.finish[0]) == pytest.approx(0.0354)
    assert bounds_of(rows, hardware, 2).alone.whole[0] == pytest.approx(0.0354)
    # Where nobody else can be in a step, 51 and 52 tokens may still be computed again.
    assert bounds_of(rows, hardware, 1).alone.whole[0] == pytest.approx(0.015 + 0.0151 + 0.0152)


FALLING = HardwareProfile("falling", Piecewise(tokens=(4, 5), seconds=(0.050, 0.020)))


def test_company_may_make_a_step_shorter_where_a_table_falls() -> None:
    rows = [(0.0, 4, 1), (0.0, 1, 1)]
    both = Step(prefill=True)
    assert scripted(rows[:1], FALLING, 2, both, max_num_batched_tokens=5).finish[0] == 0.05
    helped = scripted(rows, FALLING, 2, both, max_num_batched_tokens=5)
    assert helped.finish.tolist() == [0.02, 0.02]
    bounds = bounds_of(rows, FALLING, 2, max_num_batched_tokens=5)
    assert (bounds.alone.first <= 0.02).all()
    assert (bounds.first_tokens <= 0.02).all()


def test_a_table_below_zero_has_no_bound() -> None:
    # Without a token budget a step may have 6 tokens, and takes -10 ms.
    bounds = bounds_of([(0.0, 4, 1), (0.0, 4, 1)], FALLING, 2)
    assert bounds.reason == "a step takes less than no time"
    assert bounds.every == bounds.at_most(0) == {}


def test_a_recomputation_may_stand_for_a_decode() -> None:
    # A stage of one or two tokens takes 0.75 or 1 s, a round 5 s.
    slow = HardwareProfile("slow rounds", Stages(decode_round=5.0, per_stage=0.5, per_token=0.25))
    assert bounds_of(outputs(2), slow, 1).every["mean_e2el_ms"].value == 750.0 + 1000.0


def test_slots_count_for_schedules_that_preempt_little() -> None:
    # One slot: the second of two requests begins when the first has ended, after 3.5 s. What is
    # owed counts from 0: a queue that came before then and starts at 0 would put both too late.
    rows = outputs(3, 3)
    bounds = bounds_of(rows, MIXED, 1, max_num_batched_tokens=1)
    result = scripted(rows, MIXED, 1, max_num_batched_tokens=1)
    assert result.first_token.tolist() == [1.25, 4.75]
    assert bounds.first_tokens.tolist() == [1.25, 2.5]
    few = bounds.first_tokens_at_most(0)
    assert few.tolist() == [1.25, 4.75]
    assert bounds.at_most(0)["mean_ttft_ms"] == Bound(3000.0, 0)
    assert bounds.at_most(0)["median_ttft_ms"].preemptions is None
    # With one preemption both may begin at once.
    assert bounds.at_most(1)["mean_ttft_ms"] == bounds.every["mean_ttft_ms"]


def test_a_preempted_request_makes_room_for_a_first_token() -> None:
    rows = outputs(3, 3)
    preempting = Step(prefill=True, preempt=(0,), chunks=((1, 1),))
    result = scripted(rows, MIXED, 1, Step(prefill=True), preempting, max_num_batched_tokens=1)
    assert result.first_token.tolist() == [1.25, 2.5]
    assert result.preemptions.sum() == 1
    least = bounds_of(rows, MIXED, 1, max_num_batched_tokens=1).first_tokens_at_most(1)
    assert (np.sort(result.first_token) >= least).all()


def test_a_share_of_requests_keeps_its_limits_at_most() -> None:
    rows = [(0.0, 4, 1), (0.0, 4, 1), (9.0, 4, 1)]
    config = EngineConfig(2, max_num_batched_tokens=4)

    def attained(**slo: float) -> float:
        bounds = latency_bounds(trace_of(rows), STAGES, config, slo=slo)
        return bounds.every["slo_attainment"].value

    assert attained(ttft_ms=3000.0) == 1.0
    assert attained(ttft_ms=2999.0) == attained(e2el_ms=2999.0) == 2 / 3
    assert attained(ttft_ms=1499.0) == 0.0
    assert attained(tpot_ms=1.0) == 1.0  # a single token keeps any


def test_limits_on_decodes_alone_are_kept_by_who_can() -> None:
    rows = outputs(3, 1)
    bounds = latency_bounds(trace_of(rows), MIXED, EngineConfig(2), slo={"tpot_ms": 1124.0})
    assert bounds.every["slo_attainment"] == Bound(0.5)


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"concurrency": 4}, "in a closed loop arrivals depend on the schedule"),
        ({"replicas": 2}, "several engines share the requests"),
    ],
)
def test_where_nothing_is_proven_there_is_a_reason(more: dict[str, Any], reason: str) -> None:
    bounds = latency_bounds(trace_of(outputs(3)), MIXED, EngineConfig(2), **more)
    assert bounds.reason == reason
    assert not bounds.every


def test_of_sessions_nothing_is_proven_as_turns_come_when_others_end() -> None:
    trace = Trace.from_columns([0, 0], [1, 1], [3, 3], session=["a", "a"])
    bounds = latency_bounds(trace, MIXED, EngineConfig(2))
    said = "later turns of a session arrive when the schedule lets earlier ones end"
    assert (bounds.reason, bounds.every) == (said, {})
    assert not are_due(trace)


def test_a_bound_says_of_which_schedules_it_holds() -> None:
    scopes = [Bound(1.0, few).scope for few in (None, 0, 1200)]
    assert scopes == [
        "every schedule",
        "schedules without preemption",
        "schedules with at most 1,200 preemptions",
    ]


def test_percentiles_are_sought_beyond_single_requests_if_asked() -> None:
    rows = [(0.0, 1000, 1)] * 20
    bounds = latency_bounds(trace_of(rows), load_profile("llama3-8b-a100"))
    quick = replace(bounds, thorough=False)
    alone = 1e3 * float(bounds.alone.first[0])
    assert quick.every["p99_ttft_ms"].value == pytest.approx(alone)
    assert bounds.every["p99_ttft_ms"].value > 10 * alone
    assert quick.every["mean_ttft_ms"] == bounds.every["mean_ttft_ms"]
