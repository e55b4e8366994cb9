"""Prompts by what is left of them. A mixed step of T prompt tokens beside n decodes takes
1 + T / 4 + n / 8 seconds, a stage of T prompt tokens 0.5 + T / 4 seconds."""

from __future__ import annotations

import pytest

from llmsched.catalog import find
from llmsched.errors import InputError
from llmsched.hardware import HardwareProfile
from llmsched.hardware.affine import Affine
from tests.hand import MIXED, replay, steps


def test_a_new_short_prompt_goes_before_the_rest_of_a_long_one() -> None:
    rows = [(0.0, 8, 1), (0.5, 1, 1)]
    result = replay("srpt", rows, 2, MIXED, max_num_batched_tokens=4)
    assert steps(result) == [
        (0.0, 1, 4, 1, 0),
        (2.0, 1, 4, 2, 0),  # 1 token of the new one, 3 of the 4 that are left
        (4.0, 1, 1, 1, 0),
    ]
    assert result.first_token.tolist() == [5.25, 4.0]
    begun_first = replay("sif+chunked", rows, 2, MIXED, max_num_batched_tokens=4)
    assert begun_first.first_token.tolist() == [4.0, 5.25]


def test_what_has_less_left_than_a_new_one_needs_goes_first() -> None:
    rows = [(0.0, 6, 1), (0.5, 3, 1)]
    result = replay("srpt", rows, 2, MIXED, max_num_batched_tokens=4)
    assert result.first_token.tolist() == [4.0, 5.25]


def test_of_begun_prompts_the_one_with_least_left_goes_first_whoever_was_begun_first() -> None:
    # When the third has come, 8 tokens are left of the first one and 3 of the second.
    rows = [(0.0, 12, 1), (0.5, 7, 1), (2.5, 2, 1)]
    result = replay("srpt", rows, 3, MIXED, max_num_batched_tokens=4)
    assert result.first_token.argsort().tolist() == [2, 1, 0]


def test_a_prompt_joins_a_step_only_while_the_others_gain_more_than_its_members_lose() -> None:
    # A step more costs 1 s. Beside the first prompt, one of 4 tokens costs that 1 s and spares the
    # other, and who may yet come, 1 s each; one of 20 would cost it 5 s.
    short = replay("srpt", [(0.0, 2, 1), (0.0, 4, 1)], 2, MIXED)
    assert steps(short) == [(0.0, 1, 6, 2, 0)]
    long = replay("srpt", [(0.0, 2, 1), (0.0, 20, 1)], 2, MIXED)
    assert steps(long) == [(0.0, 1, 2, 1, 0), (1.5, 1, 20, 1, 0)]


def test_the_more_wait_the_more_are_computed_at_once() -> None:
    # Of k equal prompts of 8 tokens each loses 2 s to one more, and 1 s is spared the others:
    # 2 k <= n + 1 - k, so that of five three go together.
    result = replay("srpt", [(0.0, 8, 1)] * 5, 5, MIXED)
    assert [row[3] for row in steps(result)] == [3, 2]


def test_decodes_go_on_beside_prompts_or_wait_for_them() -> None:
    rows = [(0.0, 1, 9), (0.5, 8, 1)]
    beside = replay("srpt", rows, 2, MIXED, max_num_batched_tokens=5)
    assert [row[4] for row in steps(beside)][:3] == [0, 1, 1]
    alone = replay("sif+shortest_remaining:decode=false", rows, 2, MIXED, max_num_batched_tokens=5)
    assert steps(alone)[1:3] == [(1.25, 1, 5, 1, 0), (3.5, 1, 3, 1, 0)]
    assert alone.first_token[1] < beside.first_token[1]
    assert alone.finish[0] > beside.finish[0]


def test_without_decodes_beside_prompts_it_needs_no_mixed_steps() -> None:
    result = replay("sif+shortest_remaining:decode=false", [(0.0, 8, 1), (0.0, 1, 1)], 2)
    assert steps(result) == [(0.0, 1, 1, 1, 0), (0.75, 1, 8, 1, 0)]
    with pytest.raises(InputError, match="needs mixed steps"):
        replay("srpt", [(0.0, 1, 1)], 2)


def test_an_interrupted_prompt_keeps_its_blocks_and_computes_nothing_twice() -> None:
    rows = [(0.0, 12, 1), *[(0.5 + i, 1, 1) for i in range(6)]]
    result = replay("srpt", rows, 3, MIXED, max_num_batched_tokens=4, num_gpu_blocks=20)
    assert result.preemptions.sum() == 0
    assert sum(row[2] for row in steps(result)) == 12 + 6


def test_a_budget_of_its_own_is_tighter_than_the_engines() -> None:
    policy = "sif+shortest_remaining:token_budget=3"
    result = replay(policy, [(0.0, 7, 1)], 2, MIXED, max_num_batched_tokens=64)
    assert [row[2] for row in steps(result)] == [3, 3, 1]
    with pytest.raises(InputError) as error:
        find("sif+shortest_remaining:token_budget=0")
    assert str(error.value).endswith("token_budget: expected an integer >= 1, got 0")


def test_where_steps_have_no_set_up_nobody_waits_for_company() -> None:
    free = HardwareProfile("free", Affine(per_prefill_token=0.25))
    result = replay("srpt", [(0.0, 4, 1)] * 3, 3, free)
    assert result.first_token.tolist() == [1.0, 2.0, 3.0]
