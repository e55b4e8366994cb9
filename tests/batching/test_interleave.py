"""Decode rounds between chunks. A round takes 1 s, a stage 1/2 s and 1/4 s a token; see `hand`."""

from __future__ import annotations

from typing import Any

import pytest

from llmsched.batching.interleave import Interleave
from llmsched.errors import InputError
from tests.hand import MIXED, STAGES, replay, steps

STREAM_AND_PROMPT = [(0.0, 1, 9), (1.0, 4, 1)]
"""One streams; a prompt of two chunks of two tokens comes during its first round."""


def test_a_stream_gets_n_tokens_between_two_chunks_of_somebody_elses_prompt() -> None:
    result = replay("interleave:n=2", STREAM_AND_PROMPT, 2, max_num_batched_tokens=2)
    assert steps(result) == [
        (0.0, 1, 1, 1, 0),
        (0.75, 1, 0, 0, 1),  # cut short by the arrival: the second round is still owed
        (1.75, 1, 0, 0, 1),
        (2.75, 1, 2, 1, 0),
        (3.75, 2, 0, 0, 1),
        (5.75, 1, 2, 1, 0),
        (6.75, 4, 0, 0, 1),  # nothing to prefill: until the end
    ]
    assert result.first_token[1] == 6.75


def test_where_chunks_ride_beside_a_round_there_are_n_more_before_the_next() -> None:
    result = replay(
        "interleave:n=2:mixed=true", STREAM_AND_PROMPT, 2, MIXED, max_num_batched_tokens=3
    )
    # A step is 1 s, 1/4 s a prompt token and 1/8 s a sequence that decodes.
    assert steps(result) == [
        (0.0, 1, 1, 1, 0),
        (1.25, 2, 0, 0, 1),
        (3.5, 1, 2, 1, 1),
        (5.125, 2, 0, 0, 1),
        (7.375, 1, 2, 1, 1),
        (9.0, 2, 0, 0, 1),
    ]


def test_without_a_stream_chunks_follow_each_other() -> None:
    result = replay("interleave:n=7", [(0.0, 5, 2)], 1, max_num_batched_tokens=2)
    assert [row[2] for row in steps(result)] == [2, 2, 1, 0]


def test_a_stream_that_ends_owes_no_more_rounds() -> None:
    # After the first chunk one round is left to the stream, of four that the prompt would wait.
    rows = [(0.0, 1, 6), (0.5, 4, 1)]
    result = replay("interleave:n=4", rows, 2, max_num_batched_tokens=2)
    assert [row[1:] for row in steps(result)] == [
        (1, 1, 1, 0),
        (4, 0, 0, 1),
        (1, 2, 1, 0),
        (1, 0, 0, 1),
        (1, 2, 1, 0),
    ]


def test_a_chunk_is_as_large_as_the_rule_says_and_prompts_are_cut_to_fill_it() -> None:
    rows = [(0.0, 3, 1), (0.0, 3, 1)]
    result = replay("interleave:n=1:token_budget=4", rows, 2, STAGES)
    assert [row[2:] for row in steps(result)] == [(4, 2, 0), (2, 1, 0)]


def test_chunks_beside_decodes_need_a_price() -> None:
    with pytest.raises(InputError, match="needs mixed steps, which profile stages cannot price"):
        replay("interleave:mixed=true", [(0.0, 1, 1)], 1)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"n": 0}, "n: expected an integer >= 1, got 0"),
        ({"token_budget": -2}, "token_budget: expected an integer >= 1, got -2"),
    ],
)
def test_counts_below_one_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as error:
        Interleave(**given)
    assert str(error.value) == message
