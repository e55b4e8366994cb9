"""Shortest input first."""

from __future__ import annotations

import pytest

from llmsched.catalog import find
from llmsched.errors import InputError
from tests.hand import Row, admissions, replay

PROMPTS: list[Row] = [(0.0, tokens, 1) for tokens in (3, 2, 4, 2)]


def test_the_shortest_prompt_is_first_and_ties_go_by_position() -> None:
    assert admissions(replay("sif", PROMPTS, 1)) == [1, 3, 0, 2]


def test_outputs_do_not_matter() -> None:
    rows = [(0.0, 2, 1), (0.0, 1, 9), (0.0, 3, 2)]
    assert admissions(replay("sif", rows, 1, predicted=[1, 99, 50])) == [1, 0, 2]


def test_a_preempted_request_has_the_place_of_its_prompt_again() -> None:
    # Two grow to 3 blocks of 2 tokens each and there are 5: the later one is preempted. The prompt
    # of 4 tokens, which would find room beside the other, waits behind its 3.
    rows = [(0.0, 3, 4), (0.0, 4, 1), (0.0, 3, 4)]
    result = replay("sif", rows, 2, num_gpu_blocks=6, block_size=2)
    assert result.preemptions.tolist() == [0, 0, 1]
    assert result.admitted[1] == result.finish[0]


def test_who_has_waited_long_enough_goes_before_a_shorter_prompt() -> None:
    # The slot is taken until 3.75 s. Without ageing the prompt of 1 token that comes at 3 s goes
    # before the one of 8 that came at 1 s; 2 s are worth 7 tokens at 3.5 tokens a second.
    rows = [(0.0, 1, 4), (1.0, 8, 1), (3.0, 1, 1)]
    assert admissions(replay("sif", rows, 1)) == [0, 2, 1]
    assert admissions(replay("sif:ageing=3.4", rows, 1)) == [0, 2, 1]
    assert admissions(replay("sif:ageing=3.6", rows, 1)) == [0, 1, 2]


@pytest.mark.parametrize("ageing", ["-1", "inf", "nan"])
def test_ageing_is_a_number_that_keys_can_hold(ageing: str) -> None:
    with pytest.raises(InputError, match="ageing: expected"):
        find(f"sif:ageing={ageing}")
