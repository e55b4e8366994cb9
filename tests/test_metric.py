"""Metrics: every number of a row is known, with its unit and its better side."""

from __future__ import annotations

import pytest

from llmsched.errors import InputError
from llmsched.metric import (
    HIGHER,
    LOWER,
    METRICS,
    NEITHER,
    SLO_METRICS,
    find_metric,
    judged_metrics,
)
from llmsched.metrics import summarize
from tests.hand import replay


def test_every_number_of_a_row_is_a_metric_and_every_metric_is_in_a_row() -> None:
    assert METRICS.keys() == summarize(replay("fcfs", [(0.0, 1, 2)], 1)).keys()


def test_units_follow_the_names() -> None:
    for name, metric in METRICS.items():
        assert metric.name == name
        assert name.endswith("_ms") == (metric.unit == "ms")
        assert name.endswith("_s") == (metric.unit == "s")
        assert name.endswith("_percent") == (metric.unit == "%")


@pytest.mark.parametrize(
    ("name", "better", "worsening"),
    [("makespan_s", LOWER, 3.0), ("efficiency", HIGHER, -3.0), ("steps", NEITHER, 3.0)],
)
def test_a_change_is_positive_where_it_is_worse(name: str, better: str, worsening: float) -> None:
    metric = find_metric(name)
    assert metric.better == better
    assert metric.worsening(3.0) == worsening


def test_utilization_alone_has_no_direction_where_steps_may_be_mixed() -> None:
    exclusive, mixed = (
        {metric.name for metric in judged_metrics(mixed)} for mixed in (False, True)
    )
    assert exclusive - mixed == {"utilization"}
    assert mixed < exclusive == {m.name for m in METRICS.values() if m.better != NEITHER}
    assert find_metric("efficiency").direction(mixed=True) == HIGHER


def test_an_objective_limits_what_has_a_mean() -> None:
    assert all(f"mean_{name}" in METRICS for name in SLO_METRICS)


def test_an_unknown_name_is_refused_with_the_closest_one() -> None:
    with pytest.raises(InputError, match=r"^expected one of makespan_s, .*; got 'speed'$"):
        find_metric("speed")
    with pytest.raises(InputError, match=r"^expected a metric, got 'p99_ttft' \(did you mean p99"):
        find_metric("p99_ttft")
