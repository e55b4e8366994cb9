"""Cutting prompts into chunks."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmsched.latency_bounds.partition import least_partition

costs = st.lists(st.floats(-1, 10), min_size=1, max_size=7).map(np.array)


def brute(cost: np.ndarray, tokens: int) -> float:
    if not tokens:
        return 0.0
    chunks = range(1, min(len(cost), tokens) + 1)
    return min(float(cost[c - 1]) + brute(cost, tokens - c) for c in chunks)


@given(costs)
def test_every_cut_is_tried(cost: np.ndarray) -> None:
    least = least_partition(cost, 8)
    assert least == pytest.approx([brute(cost, tokens) for tokens in range(9)])


@given(costs)
def test_the_line_beyond_what_is_tried_is_below_what_would_have_been_found(
    cost: np.ndarray,
) -> None:
    exact = least_partition(cost, 60)
    with patch("llmsched.latency_bounds.partition._EXACT", 5):
        rough = least_partition(cost, 60)
    assert rough[:6] == pytest.approx(exact[:6])
    assert (rough <= exact + 1e-9).all()


@given(costs)
def test_lines_stand_in_for_chunks_too_many_to_try(cost: np.ndarray) -> None:
    exact = least_partition(cost, 30)
    with patch("llmsched.latency_bounds.partition._TOO_MANY", 0):
        assert (least_partition(cost, 30) <= exact + 1e-9).all()


def test_lines_are_exact_for_a_set_up_and_a_price_a_token() -> None:
    cost = 2.0 + 0.5 * np.arange(1.0, 5.0, dtype=np.float64)
    with patch("llmsched.latency_bounds.partition._TOO_MANY", 0):
        assert least_partition(cost, 9)[9] == pytest.approx(3 * 2.0 + 9 * 0.5)
