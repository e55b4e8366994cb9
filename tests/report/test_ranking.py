"""The line that says who is best, and what any schedule could reach."""

from __future__ import annotations

from typing import Any

from llmsched.report import render
from llmsched.report.ranking import ranking
from tests.comparison.results import document, row
from tests.report.test_formats import DOCUMENTS

LOAD = DOCUMENTS["arrivals"]()["load"]


def _bound(value: float) -> dict[str, Any]:
    return {"value": value, "scope": "every schedule"}


def test_three_policies_are_named_best_first_and_then_the_bound() -> None:
    means = {"ljf": 163.6, "srpt": 160.2, "offline": 163.6, "fcfs": 200.0}
    rows = [row(name, mean_ttft_ms=mean) for name, mean in means.items()]
    here = document(*rows, load=LOAD, bounds={"mean_ttft_ms": _bound(120.4)})
    said = "mean TTFT ms, best first: srpt 160, ljf 164, offline 164; no schedule beats 120"
    assert ranking(here, here) == said


def test_of_goodput_the_highest_is_best_and_the_bound_is_the_share_that_can_attain() -> None:
    rows = [row("fcfs", request_goodput=1.0), row("./mine.py:Mine", request_goodput=2.0)]
    slo = {"ttft_ms": 100.0}
    here = document(*rows, load=LOAD, slo=slo, bounds={"slo_attainment": _bound(0.9716)})
    said = "goodput req/s, best first: Mine 2.00, fcfs 1.00; at most 97.2 % attain the objective"
    assert ranking(here, here) == said


def test_a_policy_without_a_value_is_not_ranked_and_none_is_no_line() -> None:
    rows = [row("fcfs", mean_ttft_ms=None), row("ljf")]
    here = document(*rows, load=LOAD)
    assert ranking(here, here) == "mean TTFT ms, best first: ljf 200"
    none = document(rows[0], load=LOAD)
    assert ranking(none, none) == ""


def test_a_batch_is_ranked_by_its_total() -> None:
    here = document(row("fcfs"), row("ljf", makespan_s=90.0))
    assert (
        ranking(here, here)
        == "total s, best first: ljf 90.00, fcfs 100.00; no schedule beats 80.00"
    )


def test_it_stands_under_the_load_within_the_width() -> None:
    here = document(*(row(f"policy-{i}") for i in range(4)), load=LOAD)
    lines = render(here, "table", width=60).splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("mean TTFT ms, best first:"))
    assert any(line.startswith("load 0.25") for line in lines[at - 2 : at])
    assert lines[at + 1].startswith("  ")
    assert f"\n\n{ranking(here, here)}\n\n" in render(here, "markdown")
    assert "best first" not in render(document(row("fcfs")), "table")
