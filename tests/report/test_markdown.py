"""Markdown has what the terminal has."""

from __future__ import annotations

from llmsched.comparison.against import judged
from llmsched.report import render
from tests.comparison.results import document, row


def _lines(text: str, first: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith(f"| {first} |")]


def test_the_bound_is_a_row_and_says_of_whom_it_holds() -> None:
    bounds = {"mean_ttft_ms": {"value": 120.0, "scope": "every schedule"}}
    text = render(document(row("fcfs"), bounds=bounds), "markdown", metrics=["mean_ttft_ms"])
    assert _lines(text, "(lower bound)") == ["| (lower bound) | 120 |  |"]
    assert "\n\nBounds hold for every schedule.\n" in text


def test_no_format_has_a_row_of_a_bound_that_no_column_shows() -> None:
    here = document(row("fcfs"))
    for form in ("table", "markdown"):
        assert "(lower bound)" in render(here, form)
        assert "(lower bound)" not in render(here, form, metrics=["mean_tpot_ms"])


def test_the_change_stands_beside_the_first_metric() -> None:
    rows = row("fcfs"), row("ljf", makespan_s=90.0)
    text = render(document(*rows), "markdown", metrics=["makespan_s", "mean_ttft_ms"])
    assert _lines(text, "policy") == ["| policy | total s | Δ total vs fcfs | mean TTFT ms |"]
    assert _lines(text, "ljf") == ["| ljf | 90.00 | ✓ -10.00% | 200 |"]


def test_the_change_against_an_earlier_result_has_no_baseline() -> None:
    here = judged(document(row("ljf", makespan_s=90.0)), [], document(row("ljf")), "base.json")
    text = render(here, "markdown", metrics=["makespan_s"])
    assert _lines(text, "policy")[-1] == "| policy | total s | Δ total vs base |"
    assert _lines(text, "ljf")[-1] == "| ljf | 90.00 | ✓ -10.00% |"


def test_code_in_a_note_stays_code_and_everything_else_is_escaped() -> None:
    note = "see `llmsched hardware list`, not *this* ` or `a|b`"
    here = document(row("fcfs"), note=note, hardware_assumed=True)
    text = render(here, "markdown")
    assert "node (assumed; see `llmsched hardware list`), 4 slots" in text
    assert "_see `llmsched hardware list`, not \\*this\\* ` or `a\\|b\\`_" in text
