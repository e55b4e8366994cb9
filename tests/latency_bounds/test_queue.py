"""One machine, shortest remaining work first."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmsched.latency_bounds.queue import completions, completions_on_credit

jobs = st.lists(st.tuples(st.integers(0, 12), st.integers(1, 9)), min_size=1, max_size=6).map(
    lambda rows: np.array(sorted(rows), dtype=float).T
)


def most_by(release: np.ndarray, work: np.ndarray, until: float, credit: float = 0.0) -> int:
    """The most requests that came by a time and that some schedule completes by then.

    A set can be completed if no part of it, from some release on, exceeds the time there is.
    """
    came = np.flatnonzero(release <= until)
    for many in range(len(came), 0, -1):
        for chosen in map(list, combinations(came, many)):
            r, w = release[chosen], work[chosen]
            if all(w[r >= a].sum() <= until - a + credit for a in r):
                return many
    return 0


@given(jobs)
def test_no_schedule_completes_more_by_any_time(rows: np.ndarray) -> None:
    release, work = rows
    ends = completions(release, work)
    assert (np.diff(ends) > 0).all()
    for k, end in enumerate(ends.tolist(), 1):
        assert most_by(release, work, end) >= k > most_by(release, work, end - 1e-6)


@given(jobs, st.integers(0, 15))
def test_on_credit_no_schedule_has_more_than_that_it_owes(rows: np.ndarray, credit: int) -> None:
    release, work = rows
    ends = completions_on_credit(release, work, float(credit), looks=100)
    for k, end in enumerate(ends.tolist(), 1):
        assert most_by(release, work, end - 1e-6, credit) < k


@given(jobs, st.integers(0, 15))
def test_fewer_looks_say_less_but_nothing_wrong(rows: np.ndarray, credit: int) -> None:
    release, work = rows
    fine = completions_on_credit(release, work, float(credit), looks=100)
    assert (completions_on_credit(release, work, float(credit), looks=2) <= fine).all()


def test_a_shorter_request_goes_first() -> None:
    ends = completions(np.array([0.0, 1.0, 1.0]), np.array([5.0, 1.0, 2.0]))
    assert ends.tolist() == [2.0, 4.0, 8.0]


def test_what_is_owed_counts_from_the_first_arrival_and_not_from_zero() -> None:
    # Two requests of 3 s at 0, of which 2 s may be owed: the first may be there after 1 s, both
    # after 4. A clock that begins at 0 with requests that came at -2 would say 3 and 6.
    ends = completions_on_credit(np.zeros(2), np.array([3.0, 3.0]), 2.0, looks=10)
    assert ends.tolist() == [1.0, 4.0]


def test_only_requests_that_have_come_are_ahead() -> None:
    # At 10 s another one comes, and may be served at once: not before, though 2 s could be owed.
    ends = completions_on_credit(np.array([0.0, 10.0]), np.array([3.0, 1.0]), 2.0, looks=10)
    assert ends.tolist() == [1.0, 10.0]


def test_long_queues_are_summed_up_as_far_as_the_credit_goes() -> None:
    n = 300
    ends = completions_on_credit(np.zeros(n), np.ones(n), 200.0, looks=n)
    assert ends == pytest.approx(np.maximum(0.0, np.arange(1, n + 1) - 200.0))
