"""LPT and the exact repartition of two bins."""

from __future__ import annotations

import random
from itertools import chain, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmsched.packing.repartition import Repartition, choose_subset, longest_first

VALUES = st.lists(st.integers(0, 40), min_size=1, max_size=8)


def test_longest_first_fills_the_least_loaded_bin() -> None:
    assert longest_first([5, 3, 3, 2, 4], 2) == [[0, 2], [4, 1, 3]]


@given(values=VALUES, low=st.integers(-20, 200), width=st.integers(0, 30), seed=st.integers(0, 9))
def test_the_chosen_subset_is_in_the_window_or_as_near_as_any(
    values: list[int], low: int, width: int, seed: int
) -> None:
    high = low + width
    subset, total = choose_subset(values, low, high, random.Random(seed))
    assert total == sum(v for k, v in enumerate(values) if subset >> k & 1)
    sums = [
        sum(v for v, taken in zip(values, mask, strict=True) if taken)
        for mask in product((0, 1), repeat=len(values))
    ]
    assert max(low - total, total - high, 0) == min(max(low - s, s - high, 0) for s in sums)


def test_every_subset_in_the_window_is_drawn() -> None:
    rng = random.Random(0)
    drawn = {choose_subset([1, 2, 3], 3, 3, rng)[0] for _ in range(50)}
    assert drawn == {0b100, 0b011}


@given(
    durations=st.lists(st.integers(0, 60), min_size=2, max_size=60),
    bins=st.integers(2, 5),
    seed=st.integers(0, 5),
)
def test_a_walk_keeps_every_request_and_never_adds_excess(
    durations: list[int], bins: int, seed: int
) -> None:
    start = longest_first(durations, bins)
    search = Repartition(durations, start, seed)
    target = -(-sum(durations) // bins)
    before = sum(max(load - target, 0) for load in search.load)
    reached = search.run([target] * bins, 30)
    assert sorted(chain(*search.members)) == list(range(len(durations)))
    assert search.load == [sum(durations[i] for i in some) for some in search.members]
    assert sum(max(load - target, 0) for load in search.load) <= before
    assert reached == (search.makespan <= target)


def test_a_walk_leaves_the_members_it_started_from_alone() -> None:
    start = [[0, 1], [2, 3]]
    Repartition([9, 8, 1, 2], start, 0).run([10, 10], 100)
    assert start == [[0, 1], [2, 3]]


def test_bins_may_have_targets_of_their_own() -> None:
    search = Repartition([1] * 9, [list(range(9)), []], 0)
    assert search.run([3, 6], 200)
    assert search.load == [3, 6]


@pytest.mark.parametrize("target", [0, 100])
def test_one_bin_has_nothing_to_repartition(target: int) -> None:
    search = Repartition([50], [[0]], 0)
    assert search.run([target], 10) == (target == 100)
