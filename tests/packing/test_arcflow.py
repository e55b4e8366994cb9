"""Packing at a fixed makespan: the network, its refutation, and flows turned back into bins."""

from __future__ import annotations

from itertools import chain

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmsched.packing import arcflow
from llmsched.packing.flow import Budget, decide_by_cpsat, find_by_highs
from llmsched.packing.packing import simple_bound
from tests.packing.exact import least_makespan

INSTANCES = st.tuples(st.lists(st.integers(0, 30), min_size=1, max_size=9), st.integers(1, 4))


def network(durations: list[int], bins: int, capacity: int) -> arcflow.Network:
    built = arcflow.build(np.array(durations), bins, capacity)
    assert built is not None
    return built


def test_arcs_that_would_waste_too_much_are_left_out() -> None:
    # Two bins of 5 hold 4 + 1 and 3 + 2 without waste: every bin ends at 5.
    built = network([4, 3, 2, 1], 2, 5)
    assert built.least_load == 5
    arcs = set(zip(built.tail.tolist(), built.size[built.item].tolist(), strict=True))
    assert {(0, 4), (0, 3), (3, 2), (4, 1)} <= arcs
    assert (0, 1) not in arcs  # nothing is left to place on top of the smallest


@settings(max_examples=60)
@given(INSTANCES)
def test_a_refuted_makespan_is_below_the_optimum(instance: tuple[list[int], int]) -> None:
    durations, bins = instance
    best = least_makespan(durations, [1] * bins)
    bound, _ = simple_bound(np.array(durations), bins)
    for capacity in range(bound, best + 3):
        if arcflow.is_refuted(network(durations, bins, capacity)):
            assert capacity < best


def test_columns_refute_what_simple_bounds_cannot() -> None:
    # Within 10, no 3 fits beside an 8, and the four 3s do not fit into the third bin.
    durations = [8, 8, 3, 3, 3, 3]
    assert simple_bound(np.array(durations), 3) == (10, "average")
    assert arcflow.is_refuted(network(durations, 3, 10))
    assert not arcflow.is_refuted(network(durations, 3, 11))
    assert least_makespan(durations, [1] * 3) == 11


@settings(max_examples=40)
@given(INSTANCES)
def test_both_solvers_agree_with_the_exact_search(instance: tuple[list[int], int]) -> None:
    durations, bins = instance
    best = least_makespan(durations, [1] * bins)
    bound, _ = simple_bound(np.array(durations), bins)
    at_best = network(durations, bins, best)
    for flow in (find_by_highs(at_best, Budget()), decide_by_cpsat(at_best, Budget())[1]):
        assert flow is not None
        members = arcflow.decompose(at_best, flow, np.array(durations))
        assert sorted(chain(*members)) == list(range(len(durations)))
        assert max(sum(durations[i] for i in some) for some in members) <= best
    if bound < best:
        below = network(durations, bins, best - 1)
        assert find_by_highs(below, Budget()) is None
        assert decide_by_cpsat(below, Budget()) == ("none", None)


@pytest.mark.parametrize(("n", "longest"), [(2000, 50_000), (500, 3000)])
def test_a_network_too_large_to_search_is_not_built(n: int, longest: int) -> None:
    durations = np.random.default_rng(0).integers(longest // 2, longest, n)
    assert arcflow.build(durations, n // 20, simple_bound(durations, n // 20)[0]) is None
