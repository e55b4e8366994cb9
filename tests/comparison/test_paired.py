"""Paired differences: hand-worked values, intervals, wins and the worst case."""

from __future__ import annotations

import numpy as np
import pytest

from llmsched.comparison.paired import mean_row, paired_differences
from tests.comparison.results import row


def _rows(metric: str, values: list[float]) -> list[dict[str, float | int | str | None]]:
    return [{"policy": "p", metric: value} for value in values]


def test_a_case_by_hand() -> None:
    ours = _rows("makespan_s", [90.0, 95.0, 101.0, 100.0])
    theirs = _rows("makespan_s", [100.0, 100.0, 100.0, 100.0])
    (pair,) = paired_differences(ours, theirs, mixed=False)
    # differences -10, -5, 1, 0: mean -3.5, sd sqrt(77/3), t(3, 0.975) = 3.18245
    half = 3.182446305284263 * np.sqrt(77 / 3) / 2
    assert pair["mean"] == pytest.approx(-3.5)
    assert pair["ci_low"] == pytest.approx(-3.5 - half)
    assert pair["ci_high"] == pytest.approx(-3.5 + half)
    assert pair["mean_percent"] == pytest.approx(-3.5)
    assert (pair["better"], pair["equal"], pair["worse"]) == (2, 1, 1)
    assert (pair["worst"], pair["worst_case"]) == (1.0, 2)


def test_higher_is_better_turns_wins_and_worst_case() -> None:
    ours = _rows("utilization", [0.9, 0.7, 0.95])
    theirs = _rows("utilization", [0.8, 0.8, 0.8])
    (pair,) = paired_differences(ours, theirs, mixed=False)
    assert (pair["better"], pair["equal"], pair["worse"]) == (2, 0, 1)
    assert pair["worst"] == pytest.approx(-0.1)
    assert pair["worst_case"] == 1


def test_utilization_is_compared_only_where_steps_are_exclusive() -> None:
    ours = [row("p", utilization=0.9, efficiency=0.7)]
    theirs = [row("q", utilization=0.8, efficiency=0.8)]
    for mixed in (False, True):
        pairs = paired_differences(ours * 3, theirs * 3, mixed)
        worse = {pair["metric"]: pair["worse"] for pair in pairs}
        assert worse["efficiency"] == 3
        assert ("utilization" in worse) is not mixed


def test_the_interval_covers_the_true_difference_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(400):
        difference = rng.normal(2.0, 1.0, 10)
        ours = _rows("makespan_s", [*(100 + difference)])
        (pair,) = paired_differences(ours, _rows("makespan_s", [100.0] * 10), mixed=False)
        assert isinstance(pair["ci_low"], float)
        assert isinstance(pair["ci_high"], float)
        hits += pair["ci_low"] <= 2.0 <= pair["ci_high"]
    assert 0.92 <= hits / 400 <= 0.98


def test_a_metric_without_a_value_in_some_case_is_left_out() -> None:
    ours = [row("p", p99_tpot_ms=1.0), row("p", p99_tpot_ms=None)]
    theirs = [row("q", p99_tpot_ms=1.0), row("q", p99_tpot_ms=1.0)]
    assert "p99_tpot_ms" not in [
        pair["metric"] for pair in paired_differences(ours, theirs, mixed=False)
    ]


def test_a_mean_row_is_the_mean_and_has_no_value_where_a_case_has_none() -> None:
    rows = [row("p", makespan_s=1.0, p99_tpot_ms=1.0), row("p", makespan_s=2.0, p99_tpot_ms=None)]
    mean = mean_row(rows)
    assert mean["policy"] == "p"
    assert mean["makespan_s"] == 1.5
    assert mean["p99_tpot_ms"] is None


def test_a_case_that_differs_by_noise_or_hardly_at_all_is_equal() -> None:
    theirs, ours = _rows("gap_percent", [0.0, 10.0, 10.0]), _rows("gap_percent", [2e-14, 10.009, 9])
    (found,) = paired_differences(ours, theirs, mixed=False)
    assert (found["better"], found["equal"], found["worse"]) == (1, 2, 0)
