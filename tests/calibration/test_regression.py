"""Robust relative least squares: exact on exact data, deaf to outliers, honest about ties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmsched.calibration.regression import fit_relative, indistinguishable


def _columns(n: int = 60) -> np.ndarray:
    rng = np.random.default_rng(1)
    return np.column_stack([np.ones(n), rng.uniform(1, 1000, n), rng.uniform(1, 1e6, n)])


@given(st.lists(st.floats(1e-6, 1e-1), min_size=3, max_size=3))
def test_an_exact_law_is_found_again(prices: list[float]) -> None:
    columns = _columns()
    found = fit_relative(columns, columns @ prices)
    assert columns @ found == pytest.approx(columns @ prices, rel=1e-6)


def test_outliers_hardly_move_the_fit() -> None:
    columns, prices = _columns(400), np.array([8e-3, 5e-5, 3e-8])
    seconds = columns @ prices * (1 + 0.02 * np.random.default_rng(2).standard_normal(400))
    seconds[::20] *= 5
    error = np.abs(columns @ fit_relative(columns, seconds) / (columns @ prices) - 1)
    plain, *_ = np.linalg.lstsq(columns, seconds, rcond=None)
    assert error.mean() < 0.01 < 0.1 < np.abs(columns @ plain / (columns @ prices) - 1).mean()


def test_no_price_is_negative() -> None:
    columns = _columns()
    assert (fit_relative(columns, columns @ [1e-2, -1e-6, 1e-6] + 1e-2) >= 0).all()


def test_columns_that_are_multiples_are_named() -> None:
    columns = _columns()
    tied = np.column_stack([columns, 512 * columns[:, 1]])
    seconds = columns @ [1e-2, 1e-5, 1e-8]
    assert indistinguishable(columns, seconds) == []
    assert indistinguishable(tied, seconds) == [1, 3]
    assert indistinguishable(np.column_stack([columns, np.zeros(60)]), seconds) == [3]
    assert indistinguishable(columns[:2], seconds[:2]) == [0, 1, 2]
