"""Longest job first."""

from __future__ import annotations

from tests.hand import admissions, outputs, replay


def test_the_longest_output_is_first_and_ties_go_by_position() -> None:
    assert admissions(replay("ljf", outputs(3, 2, 4, 2), 1)) == [2, 0, 1, 3]


def test_the_prediction_counts_not_the_truth() -> None:
    result = replay("ljf", outputs(3, 2, 4, 2), 1, predicted=[1, 9, 2, 5])
    assert admissions(result) == [1, 3, 2, 0]


def test_a_request_that_has_not_arrived_does_not_count() -> None:
    # Request 0 takes 0.75 s + 2 rounds, until 2.75 s; request 2 comes just after that.
    rows = [(0.0, 1, 3), (1.0, 1, 2), (2.8, 1, 9)]
    result = replay("ljf", rows, 1)
    assert admissions(result) == [0, 1, 2]
    assert result.admitted.tolist() == [0.0, 2.75, 4.5]
