"""Comparing with an earlier result: when it is refused, what it lists, what gates say of it."""

from __future__ import annotations

from typing import Any

import pytest

from llmsched.compare.against import changes, check_comparable, judge_all, judged
from llmsched.compare.gates import parse_gate
from llmsched.errors import InputError, NotComparableError
from tests.compare.results import cell, document, matrix, row


def test_equal_experiments_are_comparable_whatever_their_numbers_and_versions() -> None:
    base = document(row("fcfs", makespan_s=90.0), llmsched="0.0.1", note="other words")
    base["hardware"] = {**base["hardware"], "name": "renamed", "provenance": {}}
    check_comparable(document(row("fcfs")), base, "base.json")


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"trace": cell()["trace"] | {"sha256": "1" * 64}}, "trace.sha256"),
        ({"trace": cell()["trace"] | {"requests": 11}}, "trace.requests: 10 here, 11 there"),
        ({"engine": cell()["engine"] | {"max_num_seqs": 8}}, "engine.max_num_seqs: 4 here, 8"),
        (
            {"hardware": {"name": "node", "step_time": {"kind": "stages"}}},
            "hardware.step_time.kind",
        ),
        ({"lengths": "mean"}, "lengths: oracle here, mean there"),
        ({"seed": 1}, "seed: 0 here, 1 there"),
        ({"slo": {"ttft_ms": 100}}, "slo.ttft_ms"),
        ({"cases": {"count": 5, "draw": "bootstrap"}}, "cases"),
    ],
)
def test_a_different_experiment_is_refused_by_name(changed: dict[str, Any], named: str) -> None:
    with pytest.raises(NotComparableError) as refused:
        check_comparable(document(row("fcfs")), document(row("fcfs"), **changed), "base.json")
    assert named in str(refused.value)
    assert refused.value.exit_code == 3


def test_all_differences_are_named_at_once() -> None:
    other = document(row("fcfs"), seed=1, lengths="mean")
    with pytest.raises(NotComparableError, match=r"lengths: .*; seed: "):
        check_comparable(document(row("fcfs")), other, "base.json")


def test_matrices_with_other_cells_are_refused() -> None:
    here = matrix(cell(row("fcfs"), label={"lengths": "oracle"}))
    there = matrix(cell(row("fcfs"), label={"lengths": "mean"}))
    with pytest.raises(NotComparableError, match=r"'mean' only there; cell 'oracle' only here"):
        check_comparable(here, there, "base.json")


def test_against_a_result_each_policy_meets_itself() -> None:
    base = document(row("fcfs", makespan_s=100.0), row("ljf", makespan_s=50.0))
    here = document(row("fcfs", makespan_s=101.0), row("ljf", makespan_s=60.0))
    verdicts = judge_all([parse_gate("makespan_s:2%")], here, base)
    assert [(v.policy, v.base, v.passed) for v in verdicts] == [
        ("fcfs", 100.0, True),
        ("ljf", 50.0, False),
    ]


def test_against_the_baseline_policy_every_other_policy_is_judged() -> None:
    here = document(row("fcfs"), row("ljf", makespan_s=90.0), row("sjf", makespan_s=110.0))
    verdicts = judge_all([parse_gate("makespan_s:5%")], here)
    assert [(v.policy, v.passed) for v in verdicts] == [("ljf", True), ("sjf", False)]


def test_a_gate_with_a_policy_judges_only_that_one() -> None:
    here = document(row("fcfs"), row("ljf"), row("sjf", makespan_s=200.0))
    verdicts = judge_all([parse_gate("ljf:makespan_s:5%")], here)
    assert [(v.policy, v.passed) for v in verdicts] == [("ljf", True)]


def test_every_breach_of_every_gate_is_listed() -> None:
    here = document(row("fcfs"), row("ljf", makespan_s=150.0, utilization=0.5))
    gates = [parse_gate("makespan_s:2%"), parse_gate("utilization:2%"), parse_gate("completed:1%")]
    failed = [v.metric for v in judge_all(gates, here) if not v.passed]
    assert failed == ["makespan_s", "utilization"]


def test_gates_hold_in_every_cell_of_a_matrix() -> None:
    slow = row("ljf", makespan_s=300.0)
    here = matrix(
        cell(row("fcfs"), row("ljf"), label={"slots": "4"}),
        cell(row("fcfs"), slow, label={"slots": "8"}),
    )
    verdicts = judge_all([parse_gate("makespan_s:2%")], here)
    assert [(v.cell, v.passed) for v in verdicts] == [("4", True), ("8", False)]


def test_a_new_policy_is_told_and_not_judged() -> None:
    base, here = document(row("fcfs")), document(row("fcfs"), row("mine", makespan_s=900.0))
    result = judged(here, [parse_gate("makespan_s:2%")], base, "base.json")
    assert result["against"]["new"] == ["mine"]
    assert [verdict["policy"] for verdict in result["gates"]] == ["fcfs"]


def test_nothing_to_compare_with_is_not_a_pass() -> None:
    with pytest.raises(NotComparableError, match="no policy to compare"):
        judge_all([parse_gate("makespan_s:2%")], document(row("mine")), document(row("fcfs")))
    with pytest.raises(NotComparableError, match="no policy to compare"):
        judge_all([parse_gate("makespan_s:2%")], document(row("fcfs")))


def test_a_gate_on_a_policy_that_did_not_run_is_an_input_error() -> None:
    with pytest.raises(InputError, match="expected one of fcfs; got 'hybird'"):
        judge_all([parse_gate("hybird:makespan_s:2%")], document(row("fcfs")))


def test_changes_are_sorted_from_worst_to_best_and_know_their_direction() -> None:
    base = document(row("fcfs", makespan_s=100.0, utilization=0.8, mean_ttft_ms=100.0))
    here = document(row("fcfs", makespan_s=110.0, utilization=0.9, mean_ttft_ms=130.0))
    found = [(c["metric"], c["worse"]) for c in changes(here, base)]
    assert found == [("mean_ttft_ms", True), ("makespan_s", True), ("utilization", False)]
    assert changes(base, base) == []
