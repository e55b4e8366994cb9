"""Comparing with an earlier result: when it is refused, what it lists, what gates say of it."""

from __future__ import annotations

from typing import Any

import pytest

from llmsched.comparison.against import changes, check_comparable, judge_all, judged
from llmsched.comparison.gates import parse_gate
from llmsched.errors import InputError, NotComparableError
from tests.comparison.results import cell, document, matrix, row


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
            {"hardware": {"name": "node", "step_time": {"kind": "affine"}}},
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
    options: dict[str, Any] = {"selection": {"policies": ["mine"]}}
    with pytest.raises(NotComparableError, match="no policy to compare"):
        judge_all(
            [parse_gate("makespan_s:2%")],
            document(row("mine"), **options),
            document(row("fcfs")),
        )
    with pytest.raises(NotComparableError, match="no policy to compare"):
        judge_all([parse_gate("makespan_s:2%")], document(row("fcfs")))


@pytest.mark.parametrize("gate", ["makespan_s:2%", "makespan_s:1000", "sjf:makespan_s:+1"])
def test_a_policy_that_the_run_no_longer_has_fails_every_gate_on_it(gate: str) -> None:
    base, here = document(row("fcfs"), row("sjf")), document(row("fcfs"))
    result = judged(here, [parse_gate(gate)], base, "base.json")
    assert (result["against"]["gone"], result["against"]["left_out"]) == (["sjf"], [])
    assert [v["passed"] for v in result["gates"] if v["policy"] == "sjf"] == [False]
    assert result["gates"][-1]["reason"] == "sjf is in the baseline, but no longer in this run"


def test_a_gate_on_others_does_not_fail_for_a_policy_that_is_gone() -> None:
    base, here = document(row("fcfs"), row("sjf")), document(row("fcfs"))
    result = judged(here, [parse_gate("fcfs:makespan_s:2%")], base, "base.json")
    assert result["against"]["gone"] == ["sjf"]
    assert [v["passed"] for v in result["gates"]] == [True]


@pytest.mark.parametrize(
    ("policy", "selection", "left_out"),
    [
        ("sjf", {"policies": ["fcfs"]}, True),
        ("sjf", {"filter": "f*"}, True),
        ("ljf+chunked", {"policies": ["fcfs"]}, True),
        ("./mine.py:Rule", {"policies": ["fcfs"]}, True),  # nobody loads it to find out
        ("old_name", {"policies": ["fcfs"]}, False),  # the program has no such policy
        ("sjf", {"filter": "*"}, False),  # the filter would have let it run
        ("sjf", {}, False),
    ],
)
def test_only_an_option_leaves_a_policy_out(
    policy: str, selection: dict[str, Any], left_out: bool
) -> None:
    options: dict[str, Any] = {"selection": selection} if selection else {}
    here, base = document(row("fcfs"), **options), document(row("fcfs"), row(policy))
    result = judged(here, [parse_gate("makespan_s:2%")], base, "base.json")
    assert result["against"]["left_out" if left_out else "gone"] == [policy]
    assert all(v["passed"] for v in result["gates"]) == left_out


def test_a_policy_that_is_gone_from_one_cell_fails_there() -> None:
    cells = [cell(row("fcfs"), row("sjf"), label={"slots": n}) for n in ("4", "8")]
    base = matrix(*cells)
    here = matrix(cells[0], cell(row("fcfs"), label={"slots": "8"}))
    result = judged(here, [parse_gate("makespan_s:2%")], base, "base.json")
    assert result["against"]["gone"] == ["sjf"]
    assert [(v["cell"], v["policy"]) for v in result["gates"] if not v["passed"]] == [("8", "sjf")]


def test_what_a_saved_result_was_compared_with_does_not_outlive_new_gates() -> None:
    result = judged(document(row("fcfs"), row("ljf")), [], document(row("fcfs")), "base.json")
    assert "against" not in judged(result, [parse_gate("makespan_s:2%")])


def test_a_gate_on_a_policy_that_did_not_run_is_an_input_error() -> None:
    with pytest.raises(InputError, match="expected one of fcfs; got 'hybird'"):
        judge_all([parse_gate("hybird:makespan_s:2%")], document(row("fcfs")))


def test_changes_are_sorted_from_worst_to_best_and_know_their_direction() -> None:
    base = document(row("fcfs", makespan_s=100.0, utilization=0.8, mean_ttft_ms=100.0))
    here = document(row("fcfs", makespan_s=110.0, utilization=0.9, mean_ttft_ms=130.0))
    found = [(c["metric"], c["worse"]) for c in changes(here, base)]
    assert found == [("mean_ttft_ms", True), ("makespan_s", True), ("utilization", False)]
    mixed = {"name": "node", "step_time": {"kind": "affine"}}  # no direction of its own there
    judged_ones = changes({**here, "hardware": mixed}, {**base, "hardware": mixed})
    assert [c["metric"] for c in judged_ones] == ["mean_ttft_ms", "makespan_s"]
    assert changes(base, base) == []


@pytest.mark.parametrize(
    ("metric", "base", "value", "listed"),
    [
        ("makespan_s", 100.0, 100.1, True),
        ("makespan_s", 100.0, 100.099, False),
        ("makespan_s", 100.0, 99.901, False),
        ("gap_percent", 0.0, 2.2e-14, False),
        ("gap_percent", 4.4e-14, -2.2e-14, False),
        ("gap_percent", 0.0, 0.01, True),
        ("preemptions", 0.0, 1.0, True),
        ("p99_queue_ms", 0.0, 1e-8, False),
    ],
)
def test_only_changes_that_matter_are_listed(
    metric: str, base: float, value: float, listed: bool
) -> None:
    found = changes(document(row("p", **{metric: value})), document(row("p", **{metric: base})))
    assert [change["metric"] for change in found] == ([metric] if listed else [])


def test_no_percentage_is_told_of_a_base_of_zero() -> None:
    here, base = document(row("p", gap_percent=3.0)), document(row("p", gap_percent=2.2e-14))
    (change,) = changes(here, base)
    assert (change["worse"], change["worsening_percent"]) == (True, None)


def _grouped(policy: str, **metrics: float | None) -> dict[str, Any]:
    return {**row(policy), "groups": [{"group": "chat", "p99_ttft_ms": 500.0, **metrics}]}


def test_a_gate_on_a_group_says_how_to_get_a_base_that_has_it() -> None:
    gate = [parse_gate("chat:p99_ttft_ms:+50")]
    here = document(_grouped("fcfs"), by="class")
    (verdict,) = judged(here, gate, document(row("fcfs")), "base.json")["gates"]
    assert not verdict["passed"]
    expected = "p99_ttft_ms has no value in the baseline: save the base with --by class"
    assert verdict["reason"] == expected


def test_a_base_that_was_saved_with_its_groups_is_not_blamed() -> None:
    gate = [parse_gate("chat:p99_ttft_ms:+50")]
    here = document(_grouped("fcfs"), by="class")
    (verdict,) = judged(here, gate, here, "base.json")["gates"]
    assert verdict["passed"]
    there = document(_grouped("fcfs", p99_ttft_ms=None), by="class")
    (verdict,) = judged(here, gate, there, "base.json")["gates"]
    assert verdict["reason"] == "p99_ttft_ms has no value in the baseline"
    (verdict,) = judged(there, gate, document(row("fcfs")), "base.json")["gates"]
    assert verdict["reason"] == "p99_ttft_ms has no value in this run"
