"""Least work first."""

from __future__ import annotations

import pytest

from llmsched.catalog import find
from llmsched.errors import InputError
from tests.hand import Row, admissions, replay

ROWS: list[Row] = [(0.0, 5, 1), (0.0, 1, 6), (0.0, 2, 2), (0.0, 3, 3)]


def test_prompt_and_output_count_together_and_ties_go_by_position() -> None:
    assert admissions(replay("lwf", ROWS, 1)) == [2, 0, 3, 1]  # 4, 6, 6 and 7 tokens


def test_the_prediction_counts_not_the_truth() -> None:
    assert admissions(replay("lwf", ROWS, 1, predicted=[1, 1, 9, 1])) == [1, 3, 0, 2]


def test_an_output_token_counts_as_many_prompt_tokens_as_it_is_told_to() -> None:
    assert admissions(replay("lwf:output_weight=0", ROWS, 1)) == [1, 2, 3, 0]
    assert admissions(replay("lwf:output_weight=3", ROWS, 1)) == [0, 2, 3, 1]  # 8, 8, 12 and 19


def test_who_has_waited_goes_first_in_the_end() -> None:
    rows = [(0.0, 1, 4), (1.0, 8, 1), (3.0, 1, 1)]
    assert admissions(replay("lwf", rows, 1)) == [0, 2, 1]
    assert admissions(replay("lwf:ageing=3.6", rows, 1)) == [0, 1, 2]


@pytest.mark.parametrize("parameter", ["output_weight", "ageing"])
def test_weights_are_not_negative(parameter: str) -> None:
    with pytest.raises(InputError) as error:
        find(f"lwf:{parameter}=-2")
    told = f"policy 'lwf:{parameter}=-2': {parameter}: expected a number in 0..1e9, got -2.0"
    assert str(error.value) == told
