"""Percentiles out of the number of requests that can keep a limit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmsched.latency_bounds.percentile import order_statistics, percentiles, ranks


@given(st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=30), st.data())
def test_order_statistics_come_close_to_the_largest_limit_that_too_few_can_keep(
    values: list[float], data: st.DataObject
) -> None:
    latencies = np.sort(values)
    wanted = data.draw(st.lists(st.integers(1, len(values)), min_size=1, max_size=4))
    least = latencies * data.draw(st.floats(1e-3, 1.0))
    found = order_statistics(least, wanted, lambda limit, _: int((latencies <= limit).sum()))
    for k in wanted:
        assert latencies[k - 1] / 1.0101 <= found[k] <= latencies[k - 1]


def test_free_requests_take_no_time() -> None:
    assert order_statistics(np.zeros(3), [2], lambda limit, k: 0) == {2: 0.0}


@given(st.lists(st.floats(0, 1e3), min_size=1, max_size=30))
def test_percentiles_interpolate_as_numpy_does(values: list[float]) -> None:
    least, percents = np.sort(values), [50.0, 90.0, 99.0]
    found = {rank: float(least[rank - 1]) for rank in ranks(len(least), percents)}
    assert percentiles(least, percents, found) == pytest.approx(np.percentile(least, percents))
