"""First come, first served."""

from __future__ import annotations

from tests.hand import admissions, replay


def test_requests_are_served_in_order_of_arrival_whatever_their_length() -> None:
    rows = [(0.0, 1, 5), (0.5, 9, 1), (0.5, 1, 7), (0.75, 1, 2)]
    result = replay("fcfs", rows, 1)
    assert admissions(result) == [0, 1, 2, 3]
    assert (result.admitted[1:] == result.finish[:-1]).all()


def test_predictions_do_not_matter() -> None:
    rows = [(0.0, 1, 5), (0.0, 1, 2), (0.0, 1, 7)]
    result = replay("fcfs", rows, 1, predicted=[1, 9, 2])
    assert admissions(result) == [0, 1, 2]
