"""Mixed steps. A step of T prompt tokens beside n decodes takes 1 + T / 4 + n / 8 seconds."""

from __future__ import annotations

import pytest

from llmsched.batching.chunked import Chunked
from llmsched.errors import InputError
from tests.hand import MIXED, replay, steps


def test_decodes_come_first_in_the_budget_and_prompts_are_cut_to_fill_it() -> None:
    rows = [(0.0, 2, 4), (0.0, 6, 2)]
    result = replay("vllm", rows, 2, MIXED, max_num_batched_tokens=4)
    assert steps(result) == [
        (0.0, 1, 4, 2, 0),  # 2 tokens of the first prompt and 2 of the second: 2 s
        (2.0, 1, 3, 1, 1),  # one decode leaves 3 tokens: 1.875 s
        (3.875, 1, 1, 1, 1),  # the prompt's last token: 1.375 s
        (5.25, 1, 0, 0, 2),  # 1.25 s
    ]
    assert result.first_token.tolist() == [2.0, 5.25]
    assert result.finish.tolist() == [6.5, 6.5]


def test_a_prompt_begun_goes_before_a_new_one() -> None:
    rows = [(0.0, 6, 1), (0.0, 2, 1)]
    result = replay("sjf+chunked", rows, 2, MIXED, max_num_batched_tokens=4, predicted=[1, 2])
    assert steps(result) == [(0.0, 1, 4, 1, 0), (2.0, 1, 4, 2, 0)]
    assert result.admitted.tolist() == [0.0, 2.0]


def test_a_prompt_longer_than_the_budget_takes_several_steps() -> None:
    result = replay("vllm", [(0.0, 9, 1)], 2, MIXED, max_num_batched_tokens=4)
    assert steps(result) == [(0.0, 1, 4, 1, 0), (2.0, 1, 4, 1, 0), (4.0, 1, 1, 1, 0)]
    assert result.finish.tolist() == [5.25]


def test_a_budget_of_its_own_is_tighter_than_the_engines() -> None:
    rows = [(0.0, 2, 3), (0.0, 4, 1)]
    result = replay("chunked:token_budget=3", rows, 2, MIXED, max_num_batched_tokens=64)
    # 2 + 1 tokens, then a decode and 2, then a decode and the last one.
    assert steps(result) == [(0.0, 1, 3, 2, 0), (1.75, 1, 2, 1, 1), (3.375, 1, 1, 1, 1)]
    assert result.finish.tolist() == [4.75, 4.75]


def test_unsplit_prompts_wait_for_a_step_that_holds_them() -> None:
    rows = [(0.0, 2, 4), (0.0, 6, 2)]
    result = replay("orca", rows, 2, MIXED, max_num_batched_tokens=7)
    assert steps(result)[:3] == [
        (0.0, 1, 2, 1, 0),  # 6 more tokens exceed the 5 that are left: 1.5 s
        (1.5, 1, 6, 1, 1),  # a decode and the whole prompt fit exactly: 2.625 s
        (4.125, 1, 0, 0, 2),
    ]
    late = replay("orca", rows, 2, MIXED, max_num_batched_tokens=6)
    assert late.admitted[1] == late.finish[0]


def test_an_unsplit_prompt_longer_than_every_budget_is_cut_all_the_same() -> None:
    result = replay("orca", [(0.0, 9, 1)], 2, MIXED, max_num_batched_tokens=4)
    assert [row[2] for row in steps(result)] == [4, 4, 1]


def test_decodes_beyond_a_rules_own_budget_still_advance() -> None:
    rows = [(0.0, 1, 3)] * 3
    result = replay("chunked:token_budget=1", rows, 3, MIXED)
    # One token a step: prompts come one at a time, each after the requests before it.
    assert result.finish.tolist() == sorted(result.finish)
    assert [row[2] for row in steps(result)].count(1) == 3


def test_it_needs_a_profile_with_mixed_steps() -> None:
    with pytest.raises(InputError) as error:
        replay("vllm", [(0.0, 1, 1)], 2)
    message = "policy vllm: needs mixed steps, which profile stages cannot price"
    assert str(error.value) == message


@pytest.mark.parametrize("budget", [0, -3])
def test_a_budget_below_one_token_is_refused(budget: int) -> None:
    with pytest.raises(InputError) as error:
        Chunked(token_budget=budget)
    assert str(error.value) == f"token_budget: expected an integer >= 1, got {budget}"
