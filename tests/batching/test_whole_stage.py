"""When a prefill is inserted: the whole stage against holding.

A round takes one second, a stage one and another for each prompt of one token.
"""

from __future__ import annotations

import pytest

from llmsched.batching.whole_stage import WholeStage
from llmsched.errors import InputError
from llmsched.hardware import HardwareProfile
from llmsched.hardware.stages import Stages
from tests.hand import outputs, replay, steps

DEAR = HardwareProfile("dear", Stages(decode_round=1.0, per_stage=1.0, per_token=1.0))


@pytest.mark.parametrize(("m", "rounds"), [(0.0, 0), (0.5, 2), (1.0, 4)])
def test_a_prefill_waits_exactly_until_holding_reaches_the_whole_stage(
    m: float, rounds: int
) -> None:
    # Request 2 ends at 4 + 1 s. One slot idles, request 3 waits, two requests decode, so a stage
    # of its prompt costs 2 * 2 slot-seconds and a round of waiting one.
    result = replay(f"whole_stage:m={m}", outputs(9, 9, 2, 9), 3, DEAR)
    assert result.finish[2] == 5.0
    assert result.admitted[3] == 5.0 + rounds


def test_the_stage_is_priced_for_all_the_slots_that_it_would_fill() -> None:
    # 6 s: two of four slots idle, two requests wait, two decode: a stage of 1 + 2 s costs
    # 2 * 3 slot-seconds, a round of waiting two.
    result = replay("whole_stage", outputs(20, 20, 2, 2, 5, 5), 4, DEAR)
    assert steps(result)[:4] == [
        (0.0, 1, 4, 4, 0),
        (5.0, 1, 0, 0, 4),
        (6.0, 3, 0, 0, 2),
        (9.0, 1, 2, 2, 0),
    ]


def test_prompts_count_by_their_mean_over_those_that_have_arrived() -> None:
    # Prompts of 1, 3 and 5 tokens: 1 + 3 s for the one that waits, against one decode.
    rows = [(0.0, 1, 30), (0.0, 3, 2), (0.0, 5, 2)]
    short = replay("whole_stage", rows, 2, DEAR)
    assert short.admitted[2] == 5.0 + 1 + 4
    later = replay("whole_stage", [*rows, (90.0, 1000, 2)], 2, DEAR)
    assert later.admitted[2] == short.admitted[2]


def test_a_stage_holds_no_more_than_the_token_budget() -> None:
    # 5 s: two slots idle, two decode. 6 s: two slot-seconds held, three idle, one decodes. Three
    # prompts of 19 / 7 tokens would take 1 + 8 s, but a stage holds 4: 1 + 4 s, one more round.
    rows = [(0.0, 1, 40), *[(0.0, 3, 2)] * 6]
    result = replay("whole_stage", rows, 4, DEAR, max_num_batched_tokens=4)
    assert steps(result)[:4] == [
        (0.0, 1, 4, 2, 0),
        (5.0, 1, 0, 0, 2),
        (6.0, 1, 0, 0, 1),
        (7.0, 1, 3, 1, 0),
    ]


def test_no_waiting_at_all_is_immediate_prefill() -> None:
    rows = [(0.0, 1, 5), (0.0, 2, 2), (0.5, 1, 4), (1.5, 3, 1), (2.0, 1, 6), (9.0, 1, 2)]
    for order in ("fcfs", "ljf"):
        zero = replay(f"{order}+whole_stage:m=0", rows, 2)
        assert steps(zero) == steps(replay(f"{order}+prefill_first", rows, 2))


def test_nothing_is_held_back_while_nothing_decodes() -> None:
    assert replay("whole_stage:m=1000", outputs(1, 1, 1), 1, DEAR).makespan == 6.0


@pytest.mark.parametrize("m", [-0.1, float("nan"), float("inf")])
def test_bad_parameters_are_refused(m: float) -> None:
    with pytest.raises(InputError) as error:
        WholeStage(m)
    assert str(error.value) == f"m: expected a number in 0..1e6, got {m}"
