"""Columns read one entry at a time."""

from __future__ import annotations

import numpy as np

from llmsched.columns import floats, ints


def test_entries_are_plain_numbers() -> None:
    assert type(ints(np.array([1, 2]))[0]) is int
    assert type(floats(np.array([1.5]))[0]) is float


def test_a_view_shares_its_columns_memory() -> None:
    counts, times = np.zeros(2, dtype=np.int64), np.zeros(2)
    ints(counts)[1] = 7
    floats(times)[0] = 0.5
    assert counts.tolist() == [0, 7]
    assert times.tolist() == [0.5, 0.0]
