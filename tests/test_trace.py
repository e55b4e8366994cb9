"""Trace: columns are validated, sorted, frozen; times lie on a grid that conversions keep."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmsched.errors import InputError
from llmsched.trace import MAX_TOKENS, Trace, nanoseconds, seconds


def urgencies(trace: Trace) -> list[int] | None:
    return None if trace.priority is None else trace.priority.tolist()


def test_rows_are_sorted_stably_by_arrival() -> None:
    trace = Trace.from_columns(
        [2, 0, 2, 0], [1, 2, 3, 4], [5, 6, 7, 8], job_class=["a", "b", "c", "d"]
    )
    assert trace.id.tolist() == ["1", "3", "0", "2"]
    assert trace.input_tokens.tolist() == [2, 4, 1, 3]
    assert trace.job_class is not None
    assert trace.job_class.tolist() == ["b", "d", "a", "c"]


@pytest.mark.parametrize("column", ["arrival", "input_tokens", "output_tokens", "id"])
def test_columns_cannot_be_written(column: str) -> None:
    trace = Trace.from_columns([0], [1], [2])
    with pytest.raises((ValueError, TypeError), match=r"read-only|not support item assignment"):
        getattr(trace, column)[0] = 3


@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        (([], [], []), "the trace has no requests"),
        (([0, 1], [1], [1, 1]), r"input_length: expected 2 values, got shape \(1,\)"),
        (([0], [[1]], [1]), r"input_length: expected 1 values, got shape \(1, 1\)"),
        (([0, np.nan], [1, 1], [1, 1]), "row 1: timestamp: expected a finite time >= 0, got nan"),
        (([-1], [1], [1]), "row 0: timestamp: expected a finite time >= 0, got -1.0"),
        (([0], [0], [1]), f"row 0: input_length: expected an integer in 1..{MAX_TOKENS}, got 0"),
        (([0, 1], [1, 5.5], [1, 1]), "row 1: input_length: expected an integer .* got 5.5"),
        (([0], [1], [True]), "row 0: output_length: expected an integer .* got True"),
        (([0], [1], ["a"]), "row 0: output_length: expected an integer .* got a"),
        (([0], [1], [10**30]), "row 0: output_length: expected an integer"),
        ((0, [1], [1]), r"timestamp: expected one dimension, got shape \(\)"),
        (([0], [1], [MAX_TOKENS + 1]), f"row 0: output_length: .* got {MAX_TOKENS + 1}"),
    ],
)
def test_bad_columns_are_refused(columns: tuple[list[float], ...], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        Trace.from_columns(*columns)


def test_bad_optional_columns_are_refused() -> None:
    with pytest.raises(InputError, match="id: 'a' is used twice"):
        Trace.from_columns([0, 0], [1, 1], [1, 1], id=["a", "a"])
    with pytest.raises(InputError, match="class: expected 2 values"):
        Trace.from_columns([0, 0], [1, 1], [1, 1], job_class=["a"])
    with pytest.raises(InputError, match="hash_ids: expected 2 values, got 1"):
        Trace.from_columns([0, 0], [1, 1], [1, 1], hash_ids=((1,),))
    with pytest.raises(InputError, match=r"row 1: predicted_output_length: .* got 0"):
        Trace.from_columns([0, 0], [1, 1], [1, 1], predicted_output_tokens=[1, 0])
    with pytest.raises(
        InputError, match=r"row 0: max_output_tokens: .* in 0\.\.1073741824, got -1"
    ):
        Trace.from_columns([0, 0], [1, 1], [1, 1], max_output_tokens=[-1, 0])
    with pytest.raises(InputError, match="max_output_tokens: expected 2 values"):
        Trace.from_columns([0, 0], [1, 1], [1, 1], max_output_tokens=[1])


def test_limits_that_nobody_declares_are_no_column() -> None:
    assert Trace.from_columns([0], [1], [1], max_output_tokens=[0]).max_output_tokens is None


def test_a_part_knows_the_longest_output_of_the_whole() -> None:
    whole = Trace.from_columns([0, 0, 0], [1, 1, 1], [9, 4, 2])
    part = whole.take([1, 2]).take([1])
    assert (whole.longest_output, part.longest_output) == (9, 9)
    assert part.sha256 != Trace.from_columns([0], [1], [2], id=["2"]).sha256


def test_take_keeps_every_column_of_the_rows_in_order() -> None:
    trace = Trace.from_columns(
        *([0, 1, 2], [1, 2, 3], [4, 5, 6]),
        job_class=["a", "b", "c"],
        predicted_output_tokens=[7, 8, 9],
        max_output_tokens=[4, 0, 60],
        hash_ids=((1,), (2,), (3,)),
    )
    part = trace.take([2, 0], name="part")
    assert (part.name, part.id.tolist(), part.arrival.tolist()) == ("part", ["0", "2"], [0, 2])
    assert part.job_class is not None
    assert part.predicted_output_tokens is not None
    assert part.max_output_tokens is not None
    assert part.max_output_tokens.tolist() == [4, 60]
    assert part.job_class.tolist() == ["a", "c"]
    assert part.predicted_output_tokens.tolist() == [7, 9]
    assert part.hash_ids == ((1,), (3,))


def test_the_hash_depends_on_what_a_simulation_sees() -> None:
    def sha256(**changes: object) -> str:
        columns: dict[str, Any] = {"arrival": [0.0], "input_tokens": [5], "output_tokens": [6]}
        return Trace.from_columns(**{**columns, **changes}).sha256

    assert sha256() == sha256(name="other", note="other", job_class=["a"], hash_ids=((1,),))
    different: list[dict[str, object]] = [
        {"arrival": [1.0]},
        {"input_tokens": [6]},
        {"output_tokens": [7]},
        {"id": ["a"]},
        {"predicted_output_tokens": [6]},
        {"max_output_tokens": [6]},
    ]
    assert len({sha256(), *(sha256(**change) for change in different)}) == 7


@given(st.integers(0, 2**33 * 10**9))
def test_a_time_on_the_grid_is_kept(ns: int) -> None:
    once = seconds(np.array([ns]))
    np.testing.assert_array_equal(seconds(nanoseconds(once)), once)
    assert abs(int(nanoseconds(once)[0]) - ns) <= (0 if ns < 2**50 else 500_000)


@given(st.floats(0, 2**33))
def test_any_time_is_rounded_to_a_step_of_the_grid(time: float) -> None:
    rounded = seconds(nanoseconds(np.array([time])))[0]
    step = 1e-9 if time < 2**50 / 1e9 else 1e-6 if time < 2**50 / 1e6 else 1e-3
    assert rounded == pytest.approx(time, abs=step)


def test_the_documents_say_how_many_tokens_a_request_may_have() -> None:
    text = (Path(__file__).parents[1] / "docs" / "traces.md").read_text(encoding="utf-8")
    assert f"integers in 1..2^{MAX_TOKENS.bit_length() - 1} (" in text
    assert MAX_TOKENS.bit_count() == 1


def test_priorities_go_with_their_requests_through_every_cut_and_clock() -> None:
    trace = Trace.from_columns([3, 1, 2], [1, 1, 1], [1, 1, 1], priority=[5, 0, -7])
    assert urgencies(trace) == [0, -7, 5]
    assert urgencies(trace.retimed(speed=2, offline=True)) == [0, -7, 5]
    assert urgencies(trace.take([2, 1])) == [-7, 5]
    assert trace.take([0]).priority is None
    plain = Trace.from_columns([9], [1], [1])
    assert urgencies(Trace.joined([trace, plain])) == [0, -7, 5, 0]
    assert Trace.joined([plain, plain]).priority is None


def test_traces_that_are_joined_keep_their_ids_where_all_name_blocks_of_one_size() -> None:
    named = Trace.from_columns([0], [20], [1], hash_ids=((1, 2),), hash_block_size=16)
    other = Trace.from_columns([0], [20], [1], hash_ids=((1,),), hash_block_size=64)
    plain = Trace.from_columns([1], [1], [1])
    assert Trace.joined([named, plain]).hash_ids == ((1, 2), ())
    assert Trace.joined([named, plain]).hash_block_size == 16
    assert Trace.joined([named, other]).hash_ids is None
    assert Trace.joined([plain, plain]).hash_ids is None


@pytest.mark.parametrize("bad", [[0.5], [2.0**31], ["a"], [float("nan")]])
def test_priorities_that_are_none_are_refused(bad: list[Any]) -> None:
    with pytest.raises(InputError, match=r"priority: expected integers in -2147483647\.\."):
        Trace.from_columns([0], [1], [1], priority=bad)
