"""Shortest job first."""

from __future__ import annotations

from tests.hand import admissions, outputs, replay


def test_the_shortest_output_is_first_and_ties_go_by_position() -> None:
    assert admissions(replay("sjf", outputs(3, 2, 4, 2), 1)) == [1, 3, 0, 2]


def test_the_prediction_counts_not_the_truth() -> None:
    result = replay("sjf", outputs(3, 2, 4, 2), 1, predicted=[1, 9, 2, 5])
    assert admissions(result) == [0, 2, 3, 1]
