"""Turns of sessions as columns: their order, their earliest times, and what is passed on."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmsched.errors import InputError
from llmsched.sessions import ordered, passed_on, previous_turns, turn_numbers
from llmsched.trace import Trace
from tests.cases import traces

NAN = float("nan")


def chat(*delays: float, arrival: float = 0.0) -> Trace:
    """One session: a turn at `arrival`, and one after each delay; prompts of 1, 2, … tokens."""
    n = 1 + len(delays)
    return Trace.from_columns(
        [arrival] + [NAN] * (n - 1),
        np.arange(1, n + 1),
        [1] * n,
        session=["chat"] * n,
        delay=[0.0, *delays],
    )


def test_a_later_turn_comes_its_delays_after_the_first_as_if_answers_took_no_time() -> None:
    assert chat(2.0, 0.0, 0.5, arrival=1.0).arrival.tolist() == [1.0, 3.0, 3.0, 3.5]


def test_an_arrival_of_a_later_turn_is_replaced() -> None:
    trace = Trace.from_columns([0, 9], [1, 1], [1, 1], session=["a", "a"], delay=[0, 2])
    assert trace.arrival.tolist() == [0.0, 2.0]


def test_rows_are_in_order_of_time_and_turns_of_one_instant_keep_their_order() -> None:
    names = ["a", "", "a", "b", "a"]
    rows = ordered(
        "t", np.array([0, 1.0, NAN, 0.0, NAN]), names, [0, 0, 1.0, 0, 0], [1, 0, 3, 0, 2]
    )
    assert rows.rows.tolist() == [0, 3, 4, 1, 2]  # the second turn is written below the third
    assert rows.arrival.tolist() == [0.0, 0.0, 0.0, 1.0, 1.0]
    assert rows.session is not None
    assert rows.session.tolist() == ["a", "b", "a", "", "a"]
    assert rows.delay.tolist() == [0.0, 0.0, 0.0, 0.0, 1.0]


def test_without_numbers_a_turn_without_time_comes_after_the_row_of_its_session_above() -> None:
    rows = ordered("t", np.array([5.0, NAN, 2.0, NAN]), ["a"] * 4, [0, 3, 0, 4], None)
    assert rows.rows.tolist() == [2, 3, 0, 1]
    assert rows.arrival.tolist() == [2.0, 6.0, 6.0, 9.0]


def test_sessions_of_one_turn_alone_are_none() -> None:
    trace = Trace.from_columns([0, 1], [1, 1], [1, 1], session=["a", "b"])
    assert (trace.session, trace.delay) == (None, None)
    assert trace.sha256 == Trace.from_columns([0, 1], [1, 1], [1, 1]).sha256


def test_a_session_of_one_turn_beside_others_keeps_its_name() -> None:
    trace = Trace.from_columns([0, 1, 2], [1] * 3, [1] * 3, session=["a", "b", "a"])
    assert trace.session is not None
    assert sorted(trace.session.tolist()) == ["a", "a", "b"]


def test_previous_turns_and_their_numbers() -> None:
    previous = previous_turns(np.array(["a", "", "b", "a", "", "a"], dtype=object))
    assert previous.tolist() == [-1, -1, -1, 0, -1, 3]
    assert turn_numbers(previous).tolist() == [0, 0, 0, 1, 0, 2]


def test_a_turn_that_is_left_out_passes_its_delay_on() -> None:
    left = chat(1.0, 2.0, 4.0).take([0, 3])
    assert left.delay is not None
    assert left.delay.tolist() == [0.0, 7.0]
    assert left.arrival.tolist() == [0.0, 7.0]


def test_without_its_first_turn_a_session_begins_with_the_next_at_its_own_time() -> None:
    left = chat(1.0, 2.0, 4.0).take([1, 3])
    assert left.delay is not None
    assert left.arrival.tolist() == [1.0, 7.0]
    assert left.delay.tolist() == [0.0, 6.0]
    assert left.previous.tolist() == [-1, 0]


def test_of_a_session_with_one_turn_left_no_session_is_left() -> None:
    names, delay = passed_on(
        np.array(["a", "a", "b"], dtype=object), np.array([0, 1.0, 0]), np.array([1, 2])
    )
    assert names is None
    assert delay.tolist() == [0.0, 0.0]


@given(traces(sessions=True), st.data())
def test_what_is_taken_in_two_steps_is_what_is_taken_in_one(
    trace: Trace, data: st.DataObject
) -> None:
    rows = data.draw(st.lists(st.integers(0, len(trace) - 1), min_size=1, unique=True))
    once = trace.take(rows)
    more = np.union1d(rows, data.draw(st.lists(st.integers(0, len(trace) - 1))))
    twice = trace.take(more).take(np.searchsorted(more, np.sort(rows)))
    assert once.arrival.tobytes() == trace.arrival[np.sort(rows)].tobytes()
    assert twice.sha256 == once.sha256


@given(traces(sessions=True))
def test_columns_that_are_read_again_are_the_same_trace(trace: Trace) -> None:
    times = np.where(trace.previous < 0, trace.arrival, np.nan)
    again = Trace.from_columns(
        times,
        trace.input_tokens,
        trace.output_tokens,
        max_output_tokens=trace.max_output_tokens,
        session=trace.session,
        delay=trace.delay,
        turn=None if trace.session is None else turn_numbers(trace.previous),
    )
    renumbered = trace.take(np.arange(len(trace)))
    assert again.arrival.tobytes() == renumbered.arrival.tobytes()
    assert again.previous.tobytes() == renumbered.previous.tobytes()


@given(traces(sessions=True))
def test_arrivals_never_fall_and_a_turn_is_no_earlier_than_the_one_before(trace: Trace) -> None:
    later = np.flatnonzero(trace.previous >= 0)
    assert (np.diff(trace.arrival) >= 0).all()
    assert (trace.previous[later] < later).all()
    if trace.delay is not None:
        since = trace.arrival[later] - trace.arrival[trace.previous[later]]
        np.testing.assert_allclose(since, trace.delay[later], rtol=0, atol=1e-9)
        assert not trace.delay[trace.previous < 0].any()


def test_arrivals_and_delays_are_faster_alike_and_delays_stay_offline() -> None:
    trace = chat(2.0, 4.0, arrival=1.0)
    fast, at_once = trace.retimed(speed=2.0), trace.retimed(offline=True)
    assert fast.arrival.tolist() == [0.0, 1.0, 3.0]
    assert at_once.arrival.tolist() == [0.0, 2.0, 6.0]
    assert fast.delay is not None
    assert at_once.delay is not None
    assert fast.delay.tolist() == [0.0, 1.0, 2.0]
    assert at_once.delay.tolist() == [0.0, 2.0, 4.0]


def test_joined_sessions_of_one_name_stay_apart() -> None:
    joined = Trace.joined([chat(2.0), chat(3.0, arrival=1.0)])
    assert joined.session is not None
    assert joined.session.tolist() == ["0:chat", "1:chat", "0:chat", "1:chat"]
    assert joined.arrival.tolist() == [0.0, 1.0, 2.0, 4.0]
    assert joined.previous.tolist() == [-1, -1, 0, 1]


def test_the_hash_is_of_the_chain_and_not_of_its_name() -> None:
    named = Trace.from_columns([0, 0], [1, 2], [1, 1], session=["x", "x"], delay=[0, 2])
    assert named.sha256 == chat(2.0).sha256
    assert named.sha256 != chat(3.0).sha256
    assert named.sha256 != Trace.from_columns([0, 2], [1, 2], [1, 1]).sha256


@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        ({"delay": [0, -1]}, "row 1: delay_ms: expected a finite time >= 0, got -1000"),
        ({"delay": [0, np.inf]}, "row 1: delay_ms: expected a finite time >= 0, got inf"),
        (
            {"session": ["a", "b"], "arrival": [0, 0], "delay": [0, 2]},
            "row 1: delay_ms: expected none of a request that follows no turn, got 2000",
        ),
        (
            {"session": ["a", ""]},
            "row 1: timestamp: expected a finite time of a request without a session",
        ),
        ({"session": ["a", "b"]}, "row 1: timestamp: expected a finite time of a first turn"),
        ({"turn": [3, 3]}, "row 1: turn: expected 3 once in session 'a', got it twice"),
        ({"turn": [1, 2, 3]}, "turn: expected 2 values, got shape (3,)"),
        ({"session": ["a"]}, "session: expected 2 values, got shape (1,)"),
        ({"session": None, "delay": [0, 1]}, "session: expected a column beside delay_ms and turn"),
        ({"delay": [0, 2.0**33]}, "row 1: delay_ms: expected a session that ends within 272 years"),
    ],
)
def test_what_makes_no_session_is_refused(columns: dict[str, object], problem: str) -> None:
    given: dict[str, object] = {"session": ["a", "a"], "arrival": [0, NAN], **columns}
    if given["session"] is None:
        given["arrival"] = [0, 1]
    with pytest.raises(InputError) as error:
        Trace.from_columns(given.pop("arrival"), [1, 1], [1, 1], name="t", **given)  # type: ignore[arg-type]
    assert str(error.value) == f"t: {problem}"


def test_nobody_follows_a_last_turn_or_who_is_in_no_session() -> None:
    trace = Trace.from_columns(
        [0, NAN, 1, NAN], [1] * 4, [1] * 4, session=["a", "a", "", "a"], delay=[0, 2, 0, 3]
    )
    assert trace.previous.tolist() == [-1, -1, 0, 2]
    assert trace.is_last.tolist() == [False, True, False, True]
    assert Trace.from_columns([0, 1], [1, 1], [1, 1]).is_last.all()
