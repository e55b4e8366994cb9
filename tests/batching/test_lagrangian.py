"""When a prefill is inserted: set-up against holding.

A round takes one second and a stage two, whatever its tokens, so that times count both.
"""

from __future__ import annotations

from typing import Any

import pytest

from llmsched.batching.lagrangian import Lagrangian
from llmsched.errors import InputError
from llmsched.hardware import HardwareProfile
from llmsched.hardware.affine import Affine
from llmsched.hardware.stages import Stages
from tests.hand import MIXED, outputs, replay, steps

DEAR = HardwareProfile("dear", Stages(decode_round=1.0, per_stage=2.0, per_token=0.0))


@pytest.mark.parametrize(("multiplier", "rounds"), [(0.0, 0), (0.5, 2), (1.0, 4)])
def test_a_prefill_waits_exactly_until_holding_reaches_the_set_up(
    multiplier: float, rounds: int
) -> None:
    # Request 2 ends at 3 s. One slot idles, request 3 waits, two requests decode, so a stage costs
    # 2 * 2 slot-seconds and a round of waiting one.
    rows = outputs(9, 9, 2, 9)
    result = replay(f"lagrangian:multiplier={multiplier}", rows, 3, DEAR)
    assert result.finish[2] == 3.0
    assert result.admitted[3] == 3.0 + rounds


def test_multiplier_zero_is_immediate_prefill() -> None:
    rows = [(0.0, 1, 5), (0.0, 2, 2), (0.5, 1, 4), (1.5, 3, 1), (2.0, 1, 6), (9.0, 1, 2)]
    for order in ("fcfs", "ljf"):
        zero = replay(f"{order}+lagrangian:multiplier=0", rows, 2)
        assert steps(zero) == steps(replay(f"{order}+prefill_first", rows, 2))


def test_holding_accumulates_over_slots_that_fall_idle_later() -> None:
    # 3 s: one slot idle, balance at 3 * 2. 5 s: 2 slot-seconds held, a second slot idle, balance
    # now 2 * 2, so one more round of two idle slots reaches it. Both prompts go in one stage.
    result = replay("lagrangian:multiplier=1", outputs(20, 20, 2, 4, 5, 5), 4, DEAR)
    assert steps(result)[:5] == [
        (0.0, 1, 4, 4, 0),
        (2.0, 1, 0, 0, 4),
        (3.0, 2, 0, 0, 3),
        (5.0, 1, 0, 0, 2),
        (6.0, 1, 2, 2, 0),
    ]


def test_idle_slots_that_nobody_waits_for_cost_nothing() -> None:
    # Three slots idle from 3 s on, but only one request waits: 4 rounds to the balance, not 2.
    rows = [*outputs(9, 9), (2.5, 1, 9)]
    result = replay("lagrangian:multiplier=1", rows, 5, DEAR)
    assert result.admitted[2] == 3.0 + 4


def test_nothing_is_held_back_while_nothing_decodes() -> None:
    result = replay("lagrangian:multiplier=1000", outputs(1, 1, 1), 1, DEAR)
    assert result.makespan == 6.0


def test_a_slot_with_slack_in_the_plan_waits_and_one_without_does_not() -> None:
    # Slots {9} and {4, 4}: the second has one round of slack, and spends it before its last
    # request. With loads {8} and {4, 4} there is none.
    loose = replay("plan:align=-1+lagrangian", outputs(10, 5, 5), 2, DEAR)
    assert loose.admitted.tolist() == [0.0, 0.0, 2.0 + 4 + 1]
    assert loose.makespan == 2 + 9 + 2
    tight = replay("plan:align=-1+lagrangian", outputs(9, 5, 5), 2, DEAR)
    assert tight.admitted.tolist() == [0.0, 0.0, 2.0 + 4]


@pytest.mark.parametrize("extra", [0, 1, 3])
def test_extra_rounds_are_slack_for_every_slot(extra: int) -> None:
    policy = f"plan:align=-1+lagrangian:extra_rounds={extra}"
    assert replay(policy, outputs(9, 5, 5), 2, DEAR).admitted[2] == 6.0 + extra


def test_slots_whose_work_is_unplanned_fall_back_to_equal_prices() -> None:
    rows = [(0.5, 1, 9), (0.5, 1, 9), (0.5, 1, 2), (0.5, 1, 8)]
    plan = replay("plan+lagrangian:multiplier=1", rows, 3, DEAR)
    list_ = replay("ljf+lagrangian:multiplier=1", rows, 3, DEAR)
    assert steps(plan) == steps(list_)


def test_a_prefill_goes_beside_the_decodes_where_that_costs_less() -> None:
    # Beside: 1 + 1/4 + 1/8 s. Apart: 1 + 1/4 and 1 + 1/8 s. Nothing is set up, nothing waits.
    result = replay("lagrangian:multiplier=1", outputs(4, 2, 3), 2, MIXED)
    assert steps(result)[:3] == [(0.0, 1, 2, 2, 0), (1.5, 1, 0, 0, 2), (2.75, 1, 1, 1, 1)]


def test_a_prefill_goes_alone_where_mixing_costs_more() -> None:
    prices: dict[str, Any] = {"per_step": 1.0, "per_prefill_token": 0.25, "per_decode_seq": 0.125}
    dear = HardwareProfile("dear mix", Affine(**prices, per_kv_token_mixed=8.0))
    result = replay("lagrangian:multiplier=0", outputs(4, 2, 3), 2, dear)
    assert steps(result)[:3] == [(0.0, 1, 2, 2, 0), (1.5, 1, 0, 0, 2), (2.75, 1, 1, 1, 0)]


def test_adapting_moves_the_multiplier_towards_what_was_paid() -> None:
    # One request decodes throughout, a stage costs it one second: 1024 rounds. A quarter of that
    # is waited first; it is less than half the set-up, so each stage raises the multiplier by the
    # most that one step may, 2 ** (1/8): 256, ceil(256 * 1.0905...) = 280, ceil(256 * 1.189...).
    fine = HardwareProfile("fine", Stages(decode_round=1 / 1024, per_stage=1.0, per_token=0.0))
    rows = outputs(3000, 2, 2, 2, 2)
    waits = [
        [row[1] for row in steps(replay(policy, rows, 2, fine)) if row[4] == 1][:3]
        for policy in ("lagrangian:multiplier=0.25:adapt=true", "lagrangian:multiplier=0.25")
    ]
    assert waits == [[256, 280, 305], [256, 256, 256]]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"multiplier": -0.1}, "multiplier: expected a number in 0..1e6, got -0.1"),
        ({"multiplier": float("nan")}, "multiplier: expected a number in 0..1e6, got nan"),
        ({"multiplier": float("inf")}, "multiplier: expected a number in 0..1e6, got inf"),
        ({"extra_rounds": -1}, "extra_rounds: expected an integer >= 0, got -1"),
    ],
)
def test_bad_parameters_are_refused(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as error:
        Lagrangian(**parameters)
    assert str(error.value) == message
