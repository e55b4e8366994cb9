"""The exact assignment to bins of different speeds."""

from __future__ import annotations

from itertools import chain

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmsched.errors import InputError
from llmsched.packing.assignment import Assignment, assign, solve
from llmsched.packing.flow import Budget
from tests.packing.exact import least_makespan

DURATIONS = st.lists(st.integers(0, 30), min_size=1, max_size=7)
SLOWNESS = st.lists(st.integers(1, 4), min_size=1, max_size=3)


@settings(max_examples=40)
@given(DURATIONS, SLOWNESS)
def test_bins_of_different_speed_agree_with_the_exact_search(
    durations: list[int], slowness: list[int]
) -> None:
    problem = Assignment(np.array(durations), tuple(slowness))
    best = least_makespan(durations, slowness)
    assert problem.lower_bound() <= best
    outcome = assign(problem)
    assert outcome.status == "optimal"
    assert outcome.members is not None
    assert sorted(chain(*outcome.members)) == list(range(len(durations)))
    assert max(problem.time(outcome.members)) == best


@settings(max_examples=25)
@given(DURATIONS, SLOWNESS)
def test_the_model_alone_agrees_with_the_exact_search(
    durations: list[int], slowness: list[int]
) -> None:
    problem = Assignment(np.array(durations), tuple(slowness))
    outcome = solve(problem, Budget(), 0)
    assert outcome.members is not None
    best = least_makespan(durations, slowness)
    assert (max(problem.time(outcome.members)), outcome.lower_bound) == (best, best)


def test_two_thousand_requests_on_three_speeds_meet_the_bound() -> None:
    durations = np.random.default_rng(0).integers(1, 700, 2000)
    problem = Assignment(durations, (2, 2, 2, 3, 3, 3, 4, 4))
    outcome = assign(problem)
    assert outcome.members is not None
    assert max(problem.time(outcome.members)) <= 1.0002 * problem.lower_bound()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"duration": np.array([], dtype=np.int64)}, "requests and bins, got 0 and 2"),
        ({"slowness": ()}, "requests and bins, got 2 and 0"),
        ({"duration": np.array([1, -1])}, "durations >= 0"),
        ({"slowness": (1, 0)}, "slowness >= 1"),
    ],
)
def test_a_problem_that_makes_no_sense_is_refused(
    arguments: dict[str, object], message: str
) -> None:
    sound: dict[str, object] = {"duration": np.array([1, 2]), "slowness": (1, 1)}
    with pytest.raises(InputError, match=message):
        Assignment(**{**sound, **arguments})  # type: ignore[arg-type]  # the point of the test
