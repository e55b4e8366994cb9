"""Paired differences: which are shown, and with which digits."""

from __future__ import annotations

from typing import Any

import pytest

from llmsched.comparison.document import Document
from llmsched.metric import METRICS
from llmsched.report import render
from llmsched.report.paired import _signed, told_pairs
from tests.comparison.results import document, row
from tests.report.test_formats import DOCUMENTS

LOAD = DOCUMENTS["arrivals"]()["load"]


def _pair(metric: str, mean: float = -10.0) -> dict[str, Any]:
    spread = dict.fromkeys(("ci_low", "ci_high", "p2_5", "p97_5", "worst"), mean)
    counts = {"better": 0, "equal": 10, "worse": 0, "worst_case": 3}
    return {
        "policy": "ljf",
        "metric": metric,
        "mean": mean,
        "mean_percent": -0.05,
        **spread,
        **counts,
    }


def _study(*pairs: dict[str, Any], **changes: Any) -> Document:
    cases = {"count": 10, "draw": "bootstrap"}
    return document(row("fcfs"), row("ljf"), cases=cases, paired=[*pairs], **changes)


EVERY = [_pair(name) for name in ("makespan_s", "utilization", "efficiency", "mean_ttft_ms")]


def test_what_policies_are_judged_by_comes_first() -> None:
    here = _study(*EVERY, load=LOAD)
    assert told_pairs(here, here) == ("mean_ttft_ms", "makespan_s", "utilization")
    text = render(here, "table")
    assert text.index("mean_ttft_ms, ms") < text.index("makespan_s, s")
    text = render(here, "markdown")
    assert text.index("| mean_ttft_ms |") < text.index("| makespan_s |")
    batch = _study(*EVERY)
    assert told_pairs(batch, batch) == ("makespan_s", "utilization")


def test_those_asked_for_take_their_place() -> None:
    here = _study(*EVERY, load=LOAD)
    assert told_pairs(here, here, ["steps", "efficiency"]) == ("efficiency",)
    assert told_pairs(here, here, ["steps"])[0] == "mean_ttft_ms"
    for form in ("table", "markdown"):
        text = render(here, form, metrics=["efficiency"])
        assert "makespan_s" not in text
        assert "efficiency" in text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (-0.0312, "-0.03"),
        (0.005, "+0.01"),
        (0.0049, "+0.0049"),
        (-0.00012, "-0.00012"),
        (2e-7, "+0.000000"),
        (1e-10, "+0.00"),
        (0.0, "+0.00"),
        (-12345.678, "-12,345.68"),
    ],
)
def test_a_small_difference_has_digits_enough_to_be_seen(value: float, text: str) -> None:
    assert _signed(value, METRICS["makespan_s"]) == text


def test_shares_are_in_points() -> None:
    assert _signed(0.00004, METRICS["efficiency"]) == "+0.0040"
    text = render(_study(_pair("slo_attainment", 0.05)), "table", metrics=["slo_attainment"])
    assert "slo_attainment, points" in text
    assert "+5.00" in text


def test_the_legend_says_what_an_equal_case_is() -> None:
    said = "a difference under 0.1 % counts as equal"
    assert said in " ".join(render(_study(*EVERY), "table").split())
    assert "a case whose difference is under 0.1 % counts as equal" in render(
        _study(*EVERY), "markdown"
    )
