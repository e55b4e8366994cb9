"""Static batching. A stage of T tokens takes 0.5 + T / 4 seconds, a round one."""

from __future__ import annotations

from tests.hand import outputs, replay, steps


def test_a_batch_runs_until_its_last_request_has_finished() -> None:
    result = replay("static", outputs(4, 2, 3), 2)
    assert steps(result) == [
        (0.0, 1, 2, 2, 0),
        (1.0, 1, 0, 0, 2),
        (2.0, 2, 0, 0, 1),  # request 1's slot stays idle
        (4.0, 1, 1, 1, 0),
        (4.75, 2, 0, 0, 1),
    ]
    assert result.finish.tolist() == [4.0, 2.0, 6.75]


def test_an_arrival_waits_for_the_whole_batch() -> None:
    result = replay("static", [(0.0, 1, 4), (1.0, 1, 1)], 2)
    assert result.admitted.tolist() == [0.0, 3.75]


def test_a_batch_is_filled_over_several_stages_before_it_decodes() -> None:
    rows = [(0.0, 3, 2), (0.0, 3, 2), (0.0, 3, 2)]
    result = replay("static", rows, 2, max_num_batched_tokens=4)
    assert steps(result)[:3] == [(0.0, 1, 3, 1, 0), (1.25, 1, 3, 1, 0), (2.5, 1, 0, 0, 2)]


def test_single_token_requests_leave_their_slots_to_the_same_batch() -> None:
    result = replay("static", outputs(1, 1, 1), 2)
    assert steps(result) == [(0.0, 1, 2, 2, 0), (1.0, 1, 1, 1, 0)]
