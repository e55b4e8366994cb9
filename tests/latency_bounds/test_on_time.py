"""The largest set that is on time, against all sets."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from llmsched.latency_bounds.on_time import most_on_time


@st.composite
def windows(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rows = draw(
        st.lists(
            st.tuples(st.integers(0, 20), st.integers(0, 9), st.integers(0, 12)),
            min_size=1,
            max_size=8,
        )
    )
    release, work, window = np.array(sorted(rows), dtype=float).T
    return release - 7, work, np.maximum.accumulate(release - 7 + window)


def brute(release: np.ndarray, work: np.ndarray, due: np.ndarray) -> int:
    def on_time(chosen: tuple[int, ...]) -> bool:
        end = -np.inf
        for i in chosen:
            end = max(end, release[i]) + work[i]
            if end > due[i]:
                return False
        return True

    n = len(release)
    return max(many for many in range(n + 1) if any(map(on_time, combinations(range(n), many))))


@settings(max_examples=500)
@given(windows())
def test_no_set_is_larger(jobs: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    most = brute(*jobs)
    assert most_on_time(*jobs) == most
    assert most_on_time(*jobs, enough=most) == most
    assert most_on_time(*jobs, enough=most + 1) == most


def test_the_one_that_is_dropped_need_not_be_the_longest() -> None:
    # Without the first the others end at 4 + 3 + 3, without one of them sooner: at 5 + 3.
    release, due = np.array([0.0, 4.0, 4.0]), np.array([8.0, 9.0, 9.0])
    assert most_on_time(release, np.array([5.0, 3.0, 3.0]), due) == 2
