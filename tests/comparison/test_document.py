"""Reading a saved result: what is one, and one line about what is not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from llmsched.comparison.document import (
    build_document,
    cell_name,
    cells_of,
    dump,
    read_document,
)
from llmsched.comparison.run import run_study
from llmsched.documents.result import Cases
from llmsched.errors import InputError, NotComparableError
from llmsched.scenario import HardwareSource, Scenario, TraceSource
from tests.comparison.results import cell, document, matrix, row
from tests.comparison.studies import small_study


def _saved(folder: Path, content: object) -> Path:
    path = folder / "r.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


@pytest.mark.parametrize(
    "result",
    [document(row("fcfs")), matrix(cell(row("fcfs"), label={"lengths": "mean"}))],
    ids=["plain", "matrix"],
)
def test_a_result_comes_back_as_it_was(tmp_path: Path, result: dict[str, Any]) -> None:
    path = tmp_path / "r.json"
    path.write_text(dump(result))
    assert read_document(path) == result


def test_values_that_are_not_finite_are_null() -> None:
    assert json.loads(dump({"a": float("nan"), "b": float("inf")})) == {"a": None, "b": None}


def test_every_document_has_cells_and_only_those_of_a_matrix_have_names() -> None:
    assert [cell_name(c) for c in cells_of(document(row("fcfs")))] == [""]
    two = matrix(*(cell(row("fcfs"), label={"a": str(i), "b": "x"}) for i in range(2)))
    assert [cell_name(c) for c in cells_of(two)] == ["0, x", "1, x"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "expected a JSON result"),
        ("[1]", "expected a result of llmsched compare"),
        ("{}", "expected a result of llmsched compare"),
        ({"schema_version": 1}, "llmsched: expected a text, got nothing"),
        (document(), r"results: expected a list of at least one, got \[\]"),
        (
            document({"policy": "fcfs"}),
            r"results\[0\].makespan_s: expected a number > 0, got no",
        ),
        (document(row("fcfs"), results={}), r"results: expected a list, got \{\}"),
        (document(row("fcfs"), trace=None), "trace: expected a mapping, got None"),
        (matrix(cell(row("fcfs"))), r"cells\[0\].label: expected a mapping, got nothing"),
        (document(row("fcfs"), cells={}), "cells: expected a list"),
        (document(row("fcfs"), gates="none"), "gates: expected"),
        (document(row("fcfs"), gates=[{}]), r"gates\[0\].gate: expected a text, got nothing"),
        (document(row("fcfs"), against={"file": 1}), "against.file: expected a text, got 1"),
        (document(row("a"), row("b"), row("a")), "results: expected each policy once, got 'a' twi"),
        (
            matrix(*(cell(row("a"), label={"lengths": "mean"}) for _ in "12")),
            "cells: expected each label once, got 'mean' twice",
        ),
        (
            matrix(cell(row("a"), row("a"), label={"lengths": "mean"})),
            r"cells\[0\].results: expected each policy once",
        ),
        (
            document({**row("fcfs"), "utilization": "0.8"}),
            r"results\[0\].utilization: expected a number in \[0, 1\], got '0.8'",
        ),
    ],
)
def test_what_is_no_result_is_refused_in_one_line(
    tmp_path: Path, content: object, message: str
) -> None:
    path = _saved(tmp_path, content)
    with pytest.raises(InputError, match=message) as refused:
        read_document(path)
    assert str(refused.value).startswith(str(path))
    assert "\n" not in str(refused.value)


def test_another_schema_version_is_not_comparable(tmp_path: Path) -> None:
    path = _saved(tmp_path, document(row("fcfs"), schema_version=2))
    with pytest.raises(NotComparableError, match="expected 1, got 2"):
        read_document(path)


def test_bounds_are_of_metrics_that_have_one(tmp_path: Path) -> None:
    proven = {"value": 1.0, "scope": "every schedule"}
    fine = document(row("fcfs"), bounds={"mean_ttft_ms": {**proven, "limited": proven}})
    assert read_document(_saved(tmp_path, fine)) == fine
    odd = document(row("fcfs"), bounds={"steps": proven})
    with pytest.raises(InputError, match="bounds: expected metrics with a bound, got 'steps'"):
        read_document(_saved(tmp_path, odd))


def test_a_study_with_arrivals_has_bounds_and_one_of_drawn_cases_has_none() -> None:
    scenario = Scenario("small", (TraceSource("t.jsonl"),), (HardwareSource("x"),))
    study = small_study()
    built = build_document(scenario, study, run_study(study))
    assert built["bounds"]["mean_ttft_ms"]["scope"] == "every schedule"
    assert "bounds" not in build_document(scenario, study, {})
    drawn = small_study(cases=Cases(2))
    assert "bounds" not in build_document(scenario, drawn, run_study(drawn))
