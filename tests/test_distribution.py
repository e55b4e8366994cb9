"""Percentiles and means of ramps: to the last bit those of the values written out."""

from __future__ import annotations

from math import isnan

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from llmsched.distribution import Distribution, Ramps, _float, _ordinal, told_apart

SECONDS = st.floats(0, 1e6) | st.sampled_from([-1e-13, 0.0, 1e-300, 0.125])
SAMPLES = st.lists(st.tuples(SECONDS | st.just(float("nan")), st.integers(0, 5)), max_size=6)
RAMPS = st.lists(
    st.tuples(st.floats(0, 1e3), st.floats(1e-9, 10), st.integers(1, 300), st.integers(1, 9)),
    max_size=5,
)


def ramps_of(rows: list[tuple[float, float, int, int]], scale: float) -> Ramps:
    first, step = (np.array([row[k] for row in rows], np.float64) for k in (0, 1))
    length, weight = (np.array([row[k] for row in rows], np.int64) for k in (2, 3))
    apart = told_apart(first, step, length)
    return Ramps(first[apart], step[apart], length[apart], weight[apart], scale)


@given(SAMPLES, RAMPS, st.sampled_from([1.0, 1e3]))
@example([(0.0, 0)], [], 1.0)
@example([(-1e-13, 3)], [(0.0, 1e-9, 300, 9)], 1e3)
@example([], [(0.5, 0.25, 2, 1), (1.0, 0.25, 1, 1)], 1.0)
def test_percentiles_are_those_of_the_values_written_out(
    samples: list[tuple[float, int]], rows: list[tuple[float, float, int, int]], scale: float
) -> None:
    ramps = ramps_of(rows, scale)
    values = np.array([value for value, _ in samples], np.float64)
    counts = np.array([count for _, count in samples], np.int64)
    written = [np.repeat(values, counts)[~np.isnan(np.repeat(values, counts))]]
    for f, s, n, w in zip(ramps.first, ramps.step, ramps.length, ramps.weight, strict=True):
        written.append(np.repeat((f + s * np.arange(1, n + 1)) * scale, w))
    every = np.sort(np.concatenate(written))
    spread = Distribution(values, counts, ramps)
    assert spread.count == len(every)
    if not len(every):
        assert isnan(spread.mean)
        assert isnan(spread.percentile(50))
        return
    assert spread.mean == pytest.approx(every.mean(), rel=1e-12, abs=1e-9)
    for percent in (0, 50, 90, 99, 100):
        position = percent / 100 * (len(every) - 1)
        low, high = every[int(np.floor(position))], every[int(np.ceil(position))]
        assert spread.percentile(percent) == low + (high - low) * (position - np.floor(position))


def test_a_ramp_by_hand() -> None:
    # 2, 3, 4, 5 twice each, beside a sample of 3 that occurs three times.
    spread = Distribution(np.array([3.0]), np.array([3]), ramps_of([(1.0, 1.0, 4, 2)], 1.0))
    assert spread.count == 11
    assert spread.mean == (2 * (2 + 3 + 4 + 5) + 9) / 11
    assert [spread.percentile(p) for p in (0, 10, 20, 50, 65, 100)] == [2, 2, 3, 3, 3.5, 5]


def test_a_step_that_rounding_swallows_is_told() -> None:
    first, step, length = np.array([1.0, 1.0]), np.array([1e-16, 1e-9]), np.array([9, 9])
    assert told_apart(first, step, length).tolist() == [False, True]


@given(st.floats(allow_nan=False), st.floats(allow_nan=False))
@example(0.0, -1.0)
@example(-0.0, 5e-324)
@example(5e-324, 1.0)
def test_floats_and_their_ordinals_have_one_order(a: float, b: float) -> None:
    assert _float(_ordinal(a)) == a
    assert (_ordinal(a) < _ordinal(b)) == (a < b)
