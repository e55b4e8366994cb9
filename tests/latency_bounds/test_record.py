"""What results carry of the bounds, and that a replay below one is a defect."""

from __future__ import annotations

from typing import Any

import pytest

from llmsched.config import EngineConfig
from llmsched.errors import Defect
from llmsched.latency_bounds import LatencyBounds, are_due, bounds_record, latency_bounds
from llmsched.metric import METRICS
from llmsched.metrics import summarize
from tests.hand import MIXED, outputs, replay, trace_of

ROWS = [(0.0, 1, 3), (0.0, 1, 3), (9.0, 1, 2)]
SLO = {"ttft_ms": 3000.0}


def bounds() -> LatencyBounds:
    config = EngineConfig(1, max_num_batched_tokens=1)
    return latency_bounds(trace_of(ROWS), MIXED, config, slo=SLO)


def row(**more: Any) -> dict[str, Any]:
    result = replay("fcfs", ROWS, 1, MIXED, max_num_batched_tokens=1)
    return {"policy": "fcfs", **summarize(result, slo=SLO), **more}


def test_a_record_has_value_and_scope_of_every_bound() -> None:
    record = bounds_record(bounds(), [row()])
    bounded = {name for name, metric in METRICS.items() if metric.bounded}
    assert record.keys() == bounded
    assert record["median_tpot_ms"] == {"value": 1125.0, "scope": "every schedule"}
    # Two first tokens at 1.25 and 2.5 s, or at 4.75 s after all of another request.
    mean = record["mean_ttft_ms"]
    assert mean["value"] == pytest.approx(1e3 * (1.25 + 2.5 + 1.25) / 3)
    assert mean["limited"]["value"] == pytest.approx(1e3 * (1.25 + 4.75 + 1.25) / 3)
    assert mean["limited"]["scope"] == "schedules without preemption"
    assert record["slo_attainment"]["limited"]["value"] == pytest.approx(2 / 3)


def test_the_best_row_says_how_much_preempting_is_looked_at() -> None:
    rows = [row(preemptions=1), row(mean_ttft_ms=1e9, preemptions=0)]
    assert "limited" not in bounds_record(bounds(), rows)["mean_ttft_ms"]


@pytest.mark.parametrize(
    ("better", "words"),
    [
        ({"mean_ttft_ms": 1000.0}, "mean_ttft_ms 1000.0 is better than 2416.*without preemption"),
        ({"mean_ttft_ms": 1000.0, "preemptions": 99}, "than 1666.*proven for every schedule"),
        ({"p99_e2el_ms": 1.0}, "p99_e2el_ms"),
        ({"slo_attainment": 1.0}, "slo_attainment 1.0 is better than 0.66"),
    ],
)
def test_a_row_below_a_bound_is_a_defect(better: dict[str, float], words: str) -> None:
    with pytest.raises(Defect, match=words):
        bounds_record(bounds(), [row(**better)])


def test_rounding_and_metrics_without_samples_are_no_defect() -> None:
    least = bounds().at_most(0)["mean_ttft_ms"].value
    assert bounds_record(bounds(), [row(mean_ttft_ms=least - 1e-6, p99_tpot_ms=None)])


@pytest.mark.parametrize("lost", [{"completed": 2}, {"total_output_tokens": 7}])
def test_where_somebody_was_not_served_nothing_is_recorded(lost: dict[str, int]) -> None:
    assert bounds_record(bounds(), [row(**lost, mean_ttft_ms=0.0)]) == {}
    assert bounds_record(bounds(), [row(**lost, mean_ttft_ms=0.0), row()])


def test_bounds_are_there_where_arrivals_bind_or_if_asked() -> None:
    spread, batch = trace_of(ROWS), trace_of(outputs(1, 2))
    assert are_due(spread)
    assert not are_due(batch)
    assert are_due(batch, asked=True)
    assert not are_due(spread, concurrency=2)
    assert not are_due(spread, replicas=2)
    long = trace_of([(float(i), 1, 1) for i in range(20_001)])
    assert not are_due(long)
    assert are_due(long, asked=True)
