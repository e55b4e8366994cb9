"""Percentiles of what there is no room to sort: to the last bit those of the values written out."""

from __future__ import annotations

from math import isnan
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from llmsched import selection
from llmsched.distribution import Ramps, told_apart
from llmsched.selection import Piece, spread

PERCENTS = (0.0, 50.0, 90.0, 95.0, 99.0, 100.0)
SECONDS = st.floats(0, 1e6) | st.sampled_from([-1e-13, 0.0, 1e-300, 0.125, 0.125])
SAMPLES = st.lists(st.tuples(SECONDS, st.integers(1, 5)), max_size=30)
RAMPS = st.lists(
    st.tuples(st.floats(0, 1e3), st.floats(1e-9, 10), st.integers(1, 60), st.integers(1, 9)),
    max_size=8,
)


def piece(samples: list[tuple[float, int]], rows: list[tuple[float, float, int, int]]) -> Piece:
    first, step = (np.array([row[k] for row in rows], np.float64) for k in (0, 1))
    length, weight = (np.array([row[k] for row in rows], np.int64) for k in (2, 3))
    apart = told_apart(first, step, length)
    ramps = Ramps(first[apart], step[apart], length[apart], weight[apart], 1e3)
    values = np.array([value for value, _ in samples], np.float64)
    return Piece(values, np.array([count for _, count in samples], np.int64), ramps)


def written_out(pieces: list[Piece]) -> NDArray[np.float64]:
    every = [np.zeros(0)]
    for one in pieces:
        every.append(np.repeat(one.values, one.counts))
        ramps = one.ramps
        for f, s, n, w in zip(ramps.first, ramps.step, ramps.length, ramps.weight, strict=True):
            every.append(np.repeat((f + s * np.arange(1, n + 1)) * ramps.scale, w))
    return np.sort(np.concatenate(every))


def percentile(every: NDArray[np.float64], percent: float) -> float:
    position = percent / 100 * (len(every) - 1)
    low, high = every[int(np.floor(position))], every[int(np.ceil(position))]
    return float(low + (high - low) * (position - np.floor(position)))


@settings(max_examples=max(10, settings().max_examples // 3))
@given(
    st.lists(st.builds(piece, SAMPLES, RAMPS), max_size=4),
    st.sampled_from([1, 2, 7, 1000]),
    st.sampled_from([0.001, 1.5, 30.0]),
)
@example([piece([(0.0, 1)] * 9, [])], 2, 1.5)
@example([piece([(3.0, 2)], [])], 1, 1.5)
@example([piece([(7.0, 5)] * 30, [(0.0, 1.0, 60, 9)] * 8)], 7, 0.001)
@example([piece([(float(i % 2), 1) for i in range(30)], [])] * 2, 2, 0.001)  # every other one
def test_percentiles_are_those_of_the_values_written_out(
    pieces: list[Piece], most: int, near: float
) -> None:
    every = written_out(pieces)
    with patch.object(selection, "_NEAR", near):
        mean, found = spread(lambda: pieces, PERCENTS, most)
    if not len(every):
        assert isnan(mean)
        assert all(map(isnan, found))
        return
    assert mean == pytest.approx(every.mean(), rel=1e-12, abs=1e-9)
    assert found == [percentile(every, percent) for percent in PERCENTS]


@given(st.lists(st.tuples(SECONDS, st.integers(1, 5)), min_size=1), SECONDS, SECONDS)
def test_what_lies_near_is_kept_and_what_lies_below_is_counted(
    samples: list[tuple[float, int]], one: float, other: float
) -> None:
    low, high = sorted((one, other))
    whole = piece(samples, [])
    every = written_out([whole])
    below, inside = whole.near(low, high)
    assert below == (every < low).sum()
    assert written_out([inside]).tolist() == every[(every >= low) & (every <= high)].tolist()
    assert len(set(inside.values.tolist())) == len(inside)
