"""Exclusive steps, prefill first. A stage of T tokens takes 0.5 + T / 4 seconds, a round one."""

from __future__ import annotations

from tests.hand import outputs, replay, steps


def test_a_free_slot_is_refilled_at_once() -> None:
    result = replay("prefill_first", outputs(4, 2, 3), 2)
    assert steps(result) == [
        (0.0, 1, 2, 2, 0),  # both prompts in one stage of 1 s
        (1.0, 1, 0, 0, 2),
        (2.0, 1, 1, 1, 0),  # request 1 has ended: a stage of 0.75 s while request 0 waits
        (2.75, 2, 0, 0, 2),
    ]
    assert result.first_token.tolist() == [1.0, 1.0, 2.75]
    assert result.finish.tolist() == [4.75, 2.0, 4.75]


def test_whole_prompts_fill_the_token_budget() -> None:
    rows = [(0.0, 3, 1), (0.0, 3, 1), (0.0, 1, 1)]
    # 3 + 3 tokens exceed 4, and nobody overtakes: stages of 3 and of 3 + 1 tokens.
    result = replay("prefill_first", rows, 3, max_num_batched_tokens=4)
    assert steps(result) == [(0.0, 1, 3, 1, 0), (1.25, 1, 4, 2, 0)]


def test_a_prompt_longer_than_the_budget_is_cut() -> None:
    result = replay("prefill_first", [(0.0, 10, 2)], 2, max_num_batched_tokens=4)
    assert steps(result) == [
        (0.0, 1, 4, 1, 0),
        (1.5, 1, 4, 1, 0),
        (3.0, 1, 2, 1, 0),
        (4.0, 1, 0, 0, 1),
    ]
    assert result.admitted.tolist() == [0.0]
    assert result.first_token.tolist() == [4.0]


def test_an_arrival_interrupts_decoding_at_the_end_of_its_round() -> None:
    result = replay("prefill_first", [(0.0, 1, 9), (2.0, 1, 1)], 2)
    # 0.75 + 2 rounds = 2.75 is the first end of a round at or after 2.
    assert steps(result)[:3] == [(0.0, 1, 1, 1, 0), (0.75, 2, 0, 0, 1), (2.75, 1, 1, 1, 0)]
    assert result.finish.tolist() == [0.75 + 8 + 0.75, 3.5]


def test_the_engine_waits_for_the_next_arrival_when_nothing_is_left() -> None:
    result = replay("prefill_first", [(0.0, 1, 1), (5.0, 1, 1)], 2)
    assert steps(result) == [(0.0, 1, 1, 1, 0), (5.0, 1, 1, 1, 0)]
