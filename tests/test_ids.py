"""Ids: the texts that were given, however they are kept."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmsched.ids import Ids

_TEXT = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    st.integers(-(2**64), 2**64).map(str),
    st.sampled_from(["0", "1", "2", "01", "1e3", "-0", "1_0", " 1", "\0", "٣", "", "9" * 5000]),
)
_COUNTED = st.tuples(st.integers(0, 9), st.integers(0, 9)).map(
    lambda pair: [str(pair[0] + i) for i in range(pair[1])]
)
LISTS = st.one_of(_COUNTED, st.lists(_TEXT, max_size=8))


@given(LISTS)
def test_any_texts_come_back_as_they_were(texts: list[str]) -> None:
    ids = Ids.of(texts)
    assert ids.tolist() == texts
    assert [ids[row] for row in range(len(texts))] == texts
    assert ids[1:].tolist() == texts[1:]
    assert np.asarray(ids).tolist() == texts
    assert pickle.loads(pickle.dumps(ids)).tolist() == texts
    backwards = np.arange(len(texts))[::-1]
    assert ids.take(backwards).tolist() == texts[::-1]
    assert ids.counts_from_0 == (texts == [str(row) for row in range(len(texts))])


@given(st.lists(LISTS, max_size=4))
def test_parts_follow_one_another(parts: list[list[str]]) -> None:
    joined = Ids.joined([Ids.of(part) for part in parts])
    assert joined.tolist() == [text for part in parts for text in part]


@given(st.lists(st.sampled_from(["a", "b", "ü" * 20, "1", "2", "3"]), max_size=6))
def test_the_first_text_that_comes_again_is_found(texts: list[str]) -> None:
    again = [text for row, text in enumerate(texts) if text in texts[:row]]
    assert Ids.of(texts).repeated() == (again[0] if again else None)


def test_numbers_that_come_again_are_found() -> None:
    assert Ids.of(["7", "3", "7"]).repeated() == "7"


def test_ids_that_count_take_no_memory() -> None:
    parts = [Ids.of([str(row) for row in range(start, start + 9)]) for start in range(0, 90, 9)]
    counted = Ids.joined(parts)
    assert len(pickle.dumps(counted)) < 200
    assert counted.tolist() == [str(row) for row in range(90)]


def test_no_id_can_be_written_or_found_beyond_the_end() -> None:
    ids = Ids.of(["a", "b"])
    with pytest.raises(TypeError):
        ids[0] = "c"  # type: ignore[index]  # which is the point
    with pytest.raises(IndexError):
        ids[2]
