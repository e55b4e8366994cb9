"""Which requests count."""

from __future__ import annotations

import numpy as np
import pytest

from llmsched.counted import EVERY, Counted, first_wave
from llmsched.errors import InputError

ARRIVAL = np.array([5.0, 5.0, 6.0, 8.0, 9.5])


@pytest.mark.parametrize(
    ("counted", "rows"),
    [
        (Counted(warmup=2), [2, 3, 4]),
        (Counted(warmup="3s"), [3, 4]),  # 3 s after the first arrival, itself included
        (Counted(window="1..4"), [2, 3]),
        (Counted(window="1000ms..3"), [2]),  # the end does not count
        (Counted(window="..1"), [0, 1]),
        (Counted(window="4.."), [4]),
    ],
)
def test_a_warm_up_and_a_window_count_from_the_first_arrival(
    counted: Counted, rows: list[int]
) -> None:
    found = counted.rows(ARRIVAL)
    assert found is not None
    assert found.tolist() == rows


def test_a_warm_up_leaves_out_those_that_arrive_first_whatever_their_place() -> None:
    found = Counted(warmup=2).rows(np.array([4.0, 1.0, 3.0, 2.0]))
    assert found is not None
    assert found.tolist() == [0, 2]


@pytest.mark.parametrize("counted", [EVERY, Counted(warmup=0), Counted(warmup="0s")])
def test_no_warm_up_is_none_and_is_not_recorded(counted: Counted) -> None:
    assert counted.rows(ARRIVAL) is None
    assert counted.given == {}
    assert counted.words(ARRIVAL, 5) == ""


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"warmup": 5},
            r"warmup: expected some of the requests .*\(5, the last after 4.5 s\)",
        ),
        ({"window": "5..6"}, r"window: expected some of the requests to count .*got 5\.\.6"),
        ({"warmup": 1, "window": "1..2"}, "warmup: expected without a window"),
        ({"warmup": -1}, "warmup: expected an integer >= 0"),
        ({"warmup": "soon"}, "warmup: expected seconds or a span"),
        ({"window": "5"}, r"window: expected A\.\.B"),
        ({"window": "5..5"}, "window: expected the earlier end first"),
        ({"window": "a..b"}, "window: expected seconds or a span"),
    ],
)
def test_what_leaves_no_request_or_says_nothing_is_refused(
    given: dict[str, int | str], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        Counted(**given).rows(ARRIVAL)  # type: ignore[arg-type]  # wrong on purpose


def test_a_title_names_the_requests_from_1_and_in_a_closed_loop_the_times() -> None:
    assert Counted(warmup=2).words(ARRIVAL, 5) == "metrics of requests 3..5"
    assert Counted(warmup=2).words(None, 5) == "metrics of requests 3..5"
    assert Counted(window="1..4").words(ARRIVAL, 5) == "metrics of requests 3..4"
    words = Counted(window="1m..").words(None, 5)
    assert words == "metrics of requests that arrive from 60 s"


@pytest.mark.parametrize(
    ("arrival", "wave"), [([1, 1, 1, 2], 3), ([1, 2, 2], 0), ([1, 1], 0), ([1], 0)]
)
def test_a_first_wave_is_some_that_arrive_together_at_the_very_start(
    arrival: list[int], wave: int
) -> None:
    assert first_wave(np.array(arrival, np.float64)) == wave
