"""How figures are written."""

from __future__ import annotations

import pytest

from llmsched.metric import COUNT, METRICS, Metric
from llmsched.report import render
from llmsched.report.layout import written
from llmsched.report.lead import form_of
from tests.comparison.results import cell, document, matrix, row

COUNTS = [metric for metric in METRICS.values() if metric.kind == COUNT]


@pytest.mark.parametrize("metric", COUNTS, ids=lambda metric: metric.name)
def test_counts_are_whole_numbers(metric: Metric) -> None:
    assert written(metric) == ",.0f"
    assert form_of(metric, [row("fcfs")])[2] == ",.0f"


def test_a_table_writes_a_count_without_decimals() -> None:
    here = document(row("fcfs", prefill_steps=1234))
    for form in ("table", "markdown"):
        text = render(here, form, metrics=["prefill_steps"])
        assert "1,234 " in f"{text} ".replace("\n", " ")
        assert "1,234.00" not in text


def test_a_matrix_writes_a_count_without_decimals_and_a_mean_of_counts_with() -> None:
    counts = row("fcfs", steps=1234), row("ljf", steps=0.5)
    text = render(matrix(*(cell(*counts, label={"a": a}) for a in "12")), "table", pivot="steps")
    assert text.split().count("1,234") == 2
    assert text.split().count("0.5") == 2
