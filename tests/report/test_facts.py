"""A title says all that was asked for."""

from __future__ import annotations

from typing import Any

from llmsched.comparison.document import Document
from llmsched.report import render
from tests.comparison.results import cell, document, matrix, row

CAPS = {"max_num_queued_reqs": 64, "max_num_queued_tokens": 10_000}
PLAIN = cell(row("fcfs"))


def _asked(**options: Any) -> dict[str, Any]:
    return {**PLAIN["trace"], "options": options}


def _where(here: Document) -> str:
    return " ".join(render(here, "table", width=400).splitlines()[0].split())


def test_speed_patience_caps_and_objective_are_in_the_title() -> None:
    here = document(
        row("fcfs"),
        trace=_asked(speed=2.5, timeout_ms=20_000.0),
        engine={**PLAIN["engine"], **CAPS},
        slo={"ttft_ms": 500.0, "tpot_ms": 50.0},
    )
    assert _where(here) == (
        "small: t (10 requests), arrivals 2.5 times as fast, node, 4 slots, at most 64 requests "
        "and 10,000 tokens queued, oracle lengths, clients leave after 20,000 ms, ttft_ms <= 500, "
        "tpot_ms <= 50"
    )
    where = render(here, "markdown").splitlines()[2]
    assert "arrivals 2.5 times as fast, node, 4 slots, at most 64 requests" in where
    assert where.endswith("clients leave after 20,000 ms, ttft_ms &lt;= 500, tpot_ms &lt;= 50")


def test_what_nobody_asked_for_is_not() -> None:
    engine = {**PLAIN["engine"], **dict.fromkeys(CAPS)}
    here = document(row("fcfs"), trace=_asked(speed=1.0, limit=10), engine=engine)
    assert _where(here) == "small: t (10 requests), node, 4 slots, oracle lengths"


def test_a_cap_of_nothing_is_a_cap() -> None:
    here = document(row("fcfs"), engine={**PLAIN["engine"], "max_num_queued_reqs": 0})
    assert "at most 0 requests queued" in _where(here)


def test_the_title_of_a_matrix_has_what_its_cells_share() -> None:
    speeds = (2.0, 3.0)
    cells = [
        cell(row("fcfs"), trace=_asked(speed=s, timeout_ms=5.0), label={"trace": f"{s}x"})
        for s in speeds
    ]
    here = matrix(*cells)
    assert "clients leave after 5 ms" in _where(here)
    assert "times as fast" not in _where(here)
