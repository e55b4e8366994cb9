"""Bounds that need no search."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmsched.packing.packing import Packing, simple_bound
from tests.packing.exact import least_makespan


@pytest.mark.parametrize(
    ("durations", "bins", "bound", "by"),
    [
        ([3, 3, 3, 3], 2, 6, "average"),
        ([9, 1, 1], 2, 9, "longest"),
        ([7] * 9, 4, 21, "pigeonhole"),
        ([5, 4, 4], 2, 8, "pigeonhole"),
        ([0, 0], 3, 0, "average"),
    ],
)
def test_the_bound_is_the_best_of_average_longest_and_pigeonhole(
    durations: list[int], bins: int, bound: int, by: str
) -> None:
    assert simple_bound(np.array(durations), bins) == (bound, by)


@given(st.lists(st.integers(0, 50), min_size=1, max_size=9), st.integers(1, 4))
def test_no_simple_bound_is_above_the_optimum(durations: list[int], bins: int) -> None:
    bound, _ = simple_bound(np.array(durations), bins)
    assert bound <= least_makespan(durations, [1] * bins)


def test_a_packing_is_optimal_only_at_its_bound() -> None:
    def packing(bound: int) -> Packing:
        one = np.zeros(1, dtype=np.int32)
        return Packing(one, np.array([10, 7]), bound, "lpt", "average", 0.0)

    assert (packing(10).status, packing(10).gap_percent) == ("optimal", 0.0)
    assert (packing(8).status, packing(8).gap_percent) == ("feasible", 25.0)
    assert packing(0).gap_percent == 1000.0
