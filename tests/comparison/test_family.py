"""A family of reconstructions: cells of their own, and the range of every figure over them."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from llmsched.comparison.document import build_document, cells_of, dump, read_document
from llmsched.comparison.family import family_ranges
from llmsched.comparison.run import run_study
from llmsched.comparison.study import prepare
from llmsched.errors import InputError
from llmsched.scenario import Scenario, parse_scenario
from tests.comparison.results import cell, document, row

SCENARIO = {
    "schema_version": 1,
    "name": "small",
    "trace": {"generate": {"requests": 9, "input_length": "fixed:5", "output_length": "fixed:7"}},
    "hardware": "llama65b-8gpu-paper",
    "engine": {"max_num_seqs": 4},
    "policies": ["fcfs", "ljf"],
    "baseline": "fcfs",
    "family": [
        {"name": "dear", "hardware": {"profile": "llama65b-8gpu-paper", "override": {}}},
        {
            "name": "long",
            "hardware": "llama3-8b-a100",
            "trace": {
                "generate": {"requests": 3, "input_length": "fixed:5", "output_length": "fixed:99"}
            },
        },
    ],
}


def scenario(**changes: object) -> Scenario:
    return parse_scenario({**SCENARIO, **changes}, "small.yaml")


def test_members_run_beside_the_scenario_and_are_no_cells_of_it(tmp_path: Path) -> None:
    study = prepare(scenario())
    whole = build_document(scenario(), study, run_study(study))
    assert [c.member for c in study.cells] == ["", "dear", "long"]
    assert [c.engine.max_num_seqs for c in study.cells] == [4, 4, 4]
    assert [len(c.trace) for c in study.cells] == [9, 9, 3]
    assert len(cells_of(whole)) == 1
    assert [member["member"] for member in whole["family"]["members"]] == ["dear", "long"]
    without = replace(scenario(), family=())
    plain = build_document(without, prepare(without), run_study(prepare(without)))
    assert "family" not in plain
    assert {k: v for k, v in whole.items() if k != "family"} == plain
    path = tmp_path / "saved.json"
    path.write_text(dump(whole))
    assert read_document(path)["family"]["ranges"][0]["policy"] == "fcfs"


def test_a_range_holds_every_members_figure_and_changes_are_taken_within_a_member() -> None:
    cells = [
        cell(row("fcfs"), row("ljf", makespan_s=90.0, utilization=0.85)),
        cell(row("fcfs", makespan_s=50.0), row("ljf", makespan_s=49.0, utilization=0.9)),
    ]
    fcfs, ljf = family_ranges(cells, "fcfs")
    assert fcfs["makespan_s"] == [50.0, 100.0]
    assert fcfs["makespan_percent"] == [0.0, 0.0]
    assert ljf["makespan_s"] == [49.0, 90.0]
    assert ljf["makespan_percent"] == pytest.approx([-10.0, -2.0])
    assert ljf["utilization_points"] == pytest.approx([5.0, 10.0])
    assert "makespan_percent" not in family_ranges(cells, None)[1]


def test_a_figure_that_one_member_lacks_has_no_range() -> None:
    cells = [cell(row("fcfs")), cell(row("fcfs", gap_percent=None))]
    assert "gap_percent" not in family_ranges(cells, "fcfs")[0]


def test_each_member_shows_policies_what_its_own_trace_predicts(tmp_path: Path) -> None:
    row = '{"timestamp": 0, "input_length": 5, "output_length": 7%s}\n'
    (tmp_path / "with.jsonl").write_text(row % ', "predicted_output_length": 9')
    (tmp_path / "without.jsonl").write_text(row % "")
    member = {
        "name": "other",
        "hardware": "llama65b-8gpu-paper",
        "trace": str(tmp_path / "without.jsonl"),
    }
    mixed = scenario(trace=str(tmp_path / "with.jsonl"), family=[member])
    assert [c.lengths for c in prepare(mixed).cells] == ["trace", "oracle"]


@pytest.mark.parametrize(
    ("pattern", "left"), [("*", ["", "dear", "long"]), ("l*", ["", "long"]), ("none", [""])]
)
def test_a_filter_picks_members_and_leaves_the_scenario(pattern: str, left: list[str]) -> None:
    assert [c.member for c in prepare(scenario(), {"member": pattern}).cells] == left


def test_only_a_family_has_members_to_filter() -> None:
    with pytest.raises(InputError, match=r"expected one of .*lengths, policy; got 'member'"):
        prepare(replace(scenario(), family=()), {"member": "*"})


def test_a_matrix_has_no_family() -> None:
    with pytest.raises(InputError, match="family: expected a scenario without a matrix"):
        prepare(scenario(engine={"max_num_seqs": [2, 4]}))


MEMBER = cell(row("fcfs"), member="other")


@pytest.mark.parametrize(
    ("family", "message"),
    [
        ([], "family: expected a list of at least one"),
        (["x"], r"family\[0\]: expected a mapping"),
        ([{"name": "x"}], r"family\[0\]\.hardware: expected a mapping or a text, got nothing"),
        ([{"hardware": "x"}], r"family\[0\]\.name: expected a text"),
        ([{"name": "x", "hardware": "y", "tarce": "z"}], "did you mean trace"),
        ([{"name": "x", "hardware": "y"}] * 2, "family: expected each name once, got 'x' twice"),
        ([{"name": "x", "hardware": ["y"]}], r"family\[0\]\.hardware: expected a mapping or"),
    ],
)
def test_a_bad_family_is_refused_by_file_and_key(family: object, message: str) -> None:
    with pytest.raises(InputError, match=message) as refused:
        scenario(family=family)
    assert str(refused.value).startswith("small.yaml: family")


MEMBER = cell(row("fcfs"), member="other")


@pytest.mark.parametrize(
    ("family", "message"),
    [
        ({}, "family.members: expected a list, got nothing"),
        (
            {"members": [{}], "ranges": []},
            r"family.members\[0\].trace: expected a mapping, got n",
        ),
        (
            {"members": [MEMBER], "ranges": [{}]},
            r"family.ranges\[0\].policy: expected a text, got nothing",
        ),
        (
            {"members": [MEMBER], "ranges": [{"policy": "fcfs", "makespan_s": [2.0, 1.0]}]},
            r"family.ranges\[0\].makespan_s: expected two numbers, the least first, got",
        ),
    ],
)
def test_a_damaged_family_of_a_saved_result_is_refused(
    tmp_path: Path, family: object, message: str
) -> None:
    path = tmp_path / "saved.json"
    path.write_text(dump(document(row("fcfs"), family=family)))
    with pytest.raises(InputError, match=message):
        read_document(path)
