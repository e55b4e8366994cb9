"""The rows of groups: which figures they have."""

from __future__ import annotations

from typing import Any

from llmsched.report import render
from llmsched.report.groups import group_metrics
from tests.comparison.results import document, row


def _row(policy: str, **group: Any) -> dict[str, Any]:
    usual = {"group": "chat", "offered": 9, "completed": 9, "mean_ttft_ms": 100.0}
    return {**row(policy), "groups": [{**usual, **group}]}


def _table(text: str, first: str) -> list[str]:
    """Return the lines of the table of groups without its spaces."""
    lines = [" ".join(line.split()) for line in text.splitlines()]
    at = next(i for i, line in enumerate(lines) if line.startswith(first))
    return lines[at : at + 3]


def test_the_metrics_asked_for_are_those_of_groups_as_well() -> None:
    here = document(_row("fcfs", total_output_tokens=1234), by="class")
    asked = ["total_output_tokens", "makespan_s", "mean_ttft_ms"]
    table = _table(render(here, "table", metrics=asked), "policy class")
    assert table == ["policy class mean", "total_output_tokens TTFT ms", "fcfs chat 1,234 100"]
    assert "| fcfs | chat | 1,234 | 100 |" in render(here, "markdown", metrics=asked)


def test_where_no_group_can_have_them_the_usual_ones_are_shown() -> None:
    here = document(_row("fcfs"), by="class")
    table = _table(render(here, "table", metrics=["makespan_s"]), "policy class")
    assert table[-1] == "fcfs chat 9 100"


def test_the_objective_comes_before_the_latencies() -> None:
    names = group_metrics([_row("fcfs")])
    assert names.index("slo_attainment") < names.index("mean_ttft_ms")
    here = document(_row("fcfs", slo_attainment=0.5), by="class", slo={"ttft_ms": 100.0})
    assert _table(render(here, "table"), "policy class")[-1] == "fcfs chat 9 50.0 100"


def test_those_offered_are_shown_where_not_all_were_completed() -> None:
    assert group_metrics([_row("fcfs"), _row("ljf")])[0] == "completed"
    assert group_metrics([_row("fcfs"), _row("ljf", completed=8)])[0] == "offered"
