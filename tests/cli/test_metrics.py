"""llmsched metrics."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from llmsched.metric import METRICS
from tests.cli.conftest import Outcome

Run = Callable[..., Outcome]
PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"


def test_every_metric_is_listed_with_what_it_is_and_hides_in_80_columns(llmsched: Run) -> None:
    outcome = llmsched("metrics")
    assert (outcome.code, outcome.err) == (0, "")
    assert max(map(len, outcome.out.splitlines())) <= 80
    words = " ".join(outcome.out.split())
    for metric in METRICS.values():
        assert metric.hides, metric.name
        assert metric.name in words
        assert words.count(f"hides: {metric.hides}"), metric.name


def test_the_page_of_the_documentation_is_what_the_command_prints(llmsched: Run) -> None:
    assert llmsched("metrics", "--format", "markdown").out == PAGE.read_text()


def test_another_format_is_refused(llmsched: Run) -> None:
    message = "llmsched: --format: expected one of table, markdown; got 'json'\n"
    assert llmsched("metrics", "--format", "json") == Outcome(2, "", message)
