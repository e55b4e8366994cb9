"""Checkpoints: what a killed run leaves, and what must not be mixed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from llmsched.comparison.checkpoint import Checkpoint, default_path
from llmsched.comparison.study import Run, Study
from llmsched.documents.checkpoint import finished_line
from llmsched.documents.result import Cases
from llmsched.errors import InputError, NotComparableError
from llmsched.metric import METRICS
from tests.comparison.studies import small_study

CASES = Cases(5)


def _rows(count: int) -> dict[Run, dict[str, float | int | str | None]]:
    usual = dict.fromkeys(METRICS, 0)
    return {
        Run(0, case, "fcfs"): {
            "policy": "fcfs",
            **usual,
            "makespan_s": 0.1 + case,
            "p99_tpot_ms": None,
        }
        for case in range(count)
    }


def _filled(path: Path, study: Study, count: int) -> None:
    checkpoint = Checkpoint(path, study)
    for task, row in _rows(count).items():
        checkpoint.add(task, row)


def test_rows_come_back_as_they_were(tmp_path: Path) -> None:
    path, study = tmp_path / "rows.jsonl", small_study(cases=CASES)
    _filled(path, study, 3)
    assert Checkpoint(path, study).rows == _rows(3)


def test_every_cut_of_the_file_leaves_the_whole_rows_before_it(tmp_path: Path) -> None:
    path, study = tmp_path / "rows.jsonl", small_study(cases=CASES)
    _filled(path, study, 3)
    content = path.read_bytes()
    for size in range(len(content)):
        path.write_bytes(content[:size])
        checkpoint = Checkpoint(path, study)
        whole = max(0, content[:size].count(b"\n") - 1)
        assert checkpoint.rows == _rows(whole)
        for task, row in list(_rows(3).items())[whole:]:
            checkpoint.add(task, row)
        assert path.read_bytes() == content


def test_the_number_of_cases_may_grow(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    _filled(path, small_study(cases=CASES), 3)
    assert len(Checkpoint(path, small_study(cases=Cases(50))).rows) == 3


@pytest.mark.parametrize(
    ("other", "named"),
    [
        (small_study(cases=CASES, seed=1), "seed"),
        (small_study(cases=CASES, lengths="mean"), "cells"),
        (small_study(cases=CASES, requests=31), "cells"),
        (small_study(cases=Cases(5, "lengths")), "draw"),
        (small_study(), "draw"),
        (replace(small_study(cases=CASES), slo={"ttft_ms": 1.0}), "slo"),
    ],
)
def test_rows_of_another_study_are_refused(tmp_path: Path, other: Study, named: str) -> None:
    path = tmp_path / "rows.jsonl"
    _filled(path, small_study(cases=CASES), 3)
    with pytest.raises(NotComparableError, match=f"another study: {named} differs"):
        Checkpoint(path, other)
    assert default_path("x", other) != default_path("x", small_study(cases=CASES))


@pytest.mark.parametrize(
    "content", [b"hello", b"hello\n", b"[1]\n", b"{}\n", b"\x00\n", b"schema_version: 1\n"]
)
def test_a_file_that_is_no_checkpoint_is_refused_and_left_alone(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "precious.txt"
    path.write_bytes(content)
    with pytest.raises(InputError, match="expected"):
        Checkpoint(path, small_study(cases=CASES))
    assert path.read_bytes() == content


def test_a_broken_row_is_named_by_its_line(tmp_path: Path) -> None:
    path, study = tmp_path / "rows.jsonl", small_study(cases=CASES)
    _filled(path, study, 1)
    with path.open("ab") as stream:
        stream.write(b'{"cell": 0}\n')
    with pytest.raises(InputError, match=r"rows\.jsonl:3: case: expected an integer >= 0, got no"):
        Checkpoint(path, study)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b'"makespan_s":', b'"makespan_s":1', r"crc32: expected \d+ for this row, got \d+"),
        (b'"case":0', b'"case":4', r"crc32: expected \d+ for this row, got \d+"),
        (b'"case":0', b'"case":true', "case: expected an integer >= 0, got True"),
        (b'"makespan_s":', b'"makespan_s":-', "row.makespan_s: expected a number > 0, got -0.1"),
        (b'"steps":0', b'"steps":1.5', "row.steps: expected an integer >= 0, got 1.5"),
        (
            b'"utilization":0',
            b'"utilization":9',
            r"row.utilization: expected a number in \[0, 1\]",
        ),
    ],
)
def test_an_edited_row_is_refused(tmp_path: Path, old: bytes, new: bytes, message: str) -> None:
    path, study = tmp_path / "rows.jsonl", small_study(cases=CASES)
    _filled(path, study, 2)
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new, 1))
    with pytest.raises(InputError, match=rf"rows\.jsonl:2: {message}"):
        Checkpoint(path, study)
    assert path.read_bytes() == content.replace(old, new, 1)


@pytest.mark.parametrize(
    ("cell", "change", "message"),
    [
        (0, {"speed": 1.0}, "row.speed: expected one of .*, got an unknown key"),
        (0, {"steps": None}, None),
        (1, {}, "cell: expected less than 1, got 1"),
    ],
)
def test_a_whole_line_is_held_against_the_study_and_the_metrics(
    tmp_path: Path, cell: int, change: dict[str, float | None], message: str | None
) -> None:
    path, study = tmp_path / "rows.jsonl", small_study(cases=CASES)
    _filled(path, study, 1)
    (row,) = _rows(1).values()
    with path.open("ab") as stream:
        stream.write(finished_line(cell, 1, row | change))
    if message is None:
        assert len(Checkpoint(path, study).rows) == 2
        return
    with pytest.raises(InputError, match=rf"rows\.jsonl:3: {message}"):
        Checkpoint(path, study)


def test_a_row_that_lacks_a_metric_is_refused(tmp_path: Path) -> None:
    path, study = tmp_path / "rows.jsonl", small_study(cases=CASES)
    _filled(path, study, 1)
    (row,) = _rows(1).values()
    del row["steps"]
    with path.open("ab") as stream:
        stream.write(finished_line(0, 1, row))
    with pytest.raises(InputError, match=r"rows\.jsonl:3: row\.steps: expected a number or null"):
        Checkpoint(path, study)


def test_an_unwritable_place_is_an_input_error(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "none" / "rows.jsonl", small_study(cases=CASES))
    with pytest.raises(InputError, match="cannot write"):
        checkpoint.add(Run(0, 0, "fcfs"), {"policy": "fcfs"})
