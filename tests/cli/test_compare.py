"""``llmsched compare`` and ``report``: results, every exit code, and one line for every mistake."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from llmsched.report import FORMATS
from tests.cli.conftest import Outcome

Run = Callable[..., Outcome]
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run in an empty folder, without what a CI service sets."""
    monkeypatch.chdir(tmp_path)
    for name in ("GITHUB_STEP_SUMMARY", "DASK_SCHEDULER_ADDRESS", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    path = tmp_path / "t.jsonl"
    lines = [
        {"timestamp": 150 * i, "input_length": 10 + i, "output_length": 5 + 7 * (i % 6)}
        for i in range(40)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.fixture
def scenario(trace: Path) -> Path:
    path = trace.with_name("s.yaml")
    path.write_text(
        "schema_version: 1\nname: small\nnote: invented lengths\ntrace: t.jsonl\n"
        "hardware: llama65b-8gpu-paper\nengine: {max_num_seqs: 4}\npolicies: [fcfs, ljf, sjf]\n"
    )
    return path


def _result(llmsched: Run, *arguments: object) -> dict[str, Any]:
    outcome = llmsched("compare", *arguments, "--format", "json")
    assert outcome.code == 0, outcome.err
    document: dict[str, Any] = json.loads(outcome.out)
    return document


def test_with_no_argument_it_reproduces_the_papers_experiment(llmsched: Run) -> None:
    document = _result(llmsched)
    rows = {row["policy"]: row for row in document["results"]}
    assert document["trace"]["requests"] == 1319
    assert rows["fcfs"]["makespan_s"] == pytest.approx(201.00, abs=0.05)
    assert rows["fcfs"]["utilization"] == pytest.approx(0.8020, abs=0.0005)
    assert rows["fcfs"]["lower_bound_s"] == pytest.approx(180.00, abs=0.05)
    assert rows["hybrid"]["makespan_s"] <= 180.8
    assert rows["hybrid"]["utilization"] >= 0.95
    assert {row["metrics"]["makespan_s"] for row in document["published"]} == {201.0, 190.58}
    schema = json.loads((ROOT / "docs" / "comparison.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(document, schema)


def test_the_reconstructions_are_fitted_alike_and_the_hybrid_ends_first_in_each(
    llmsched: Run,
) -> None:
    document = _result(llmsched)
    members = {member["member"]: member for member in document["family"]["members"]}
    assert list(members) == ["common set-up", "set-up 10 ms", "fewer at the cap"]
    recorded = {
        "": 180.30,
        "common set-up": 181.55,
        "set-up 10 ms": 181.16,
        "fewer at the cap": 180.79,
    }
    for name, cell in {"": document, **members}.items():
        rows = {row["policy"]: row for row in cell["results"]}
        assert rows["fcfs"]["makespan_s"] == pytest.approx(201.00, abs=0.005)
        assert rows["fcfs"]["utilization"] == pytest.approx(0.8020, abs=0.00005)
        assert rows["fcfs"]["lower_bound_s"] == pytest.approx(180.00, abs=0.005)
        totals = {policy: row["makespan_s"] for policy, row in rows.items()}
        assert totals["hybrid"] == min(totals.values()) <= recorded[name]


@pytest.mark.parametrize(
    "option",
    [
        ("--lengths", "noisy:0.3"),
        ("--seed", 1),
        ("--cases", 2),
        ("--limit", 300),
        ("--max-num-seqs", 100),
        ("--hardware", "llama65b-8gpu-setup10"),
    ],
)
def test_published_rows_stand_only_where_they_were_published_for(
    llmsched: Run, option: tuple[str, object]
) -> None:
    ran = llmsched("compare", "--policies", "fcfs", *option, "--format", "json")
    document = json.loads(ran.out)
    assert document["published"] == []
    changed = option[0] in ("--limit", "--max-num-seqs", "--hardware")
    assert ("family" in document) is not changed
    assert ("left out: other reconstructions and published rows" in ran.err) is changed


@pytest.mark.parametrize(("lengths", "points"), [("oracle", 13.0), ("noisy:0.3", 4.0)])
def test_resampled_cases_gain_utilization_and_none_loses(
    llmsched: Run, lengths: str, points: float
) -> None:
    options = ("--cases", 4, "--policies", "fcfs,hybrid", "--lengths", lengths)
    document = _result(llmsched, "paper-100-cases", *options)
    pairs = {pair["metric"]: pair for pair in document["paired"]}
    assert 100 * pairs["utilization"]["mean"] >= points
    assert pairs["utilization"]["better"] == pairs["makespan_s"]["better"] == 4


@pytest.mark.parametrize("worth_s", [0, 1e-9, 1e9])
def test_the_same_bytes_from_run_to_run_and_for_any_number_of_jobs(
    llmsched: Run, scenario: Path, monkeypatch: pytest.MonkeyPatch, worth_s: float
) -> None:
    monkeypatch.setattr("llmsched.comparison.executors.WORTH_S", worth_s)
    runs = [
        llmsched("compare", scenario, "--cases", 6, "--format", "json", *more).out
        for more in ((), (), ("--jobs", 2), ("--jobs", 3))
    ]
    assert len(set(runs)) == 1


def test_a_trace_runs_every_policy_that_the_hardware_can_price(llmsched: Run, trace: Path) -> None:
    exclusive = ("--hardware", "llama65b-8gpu-paper")
    document = _result(llmsched, trace, *exclusive, "--max-num-seqs", 4)
    policies = [row["policy"] for row in document["results"]]
    assert policies[0] == document["baseline"] == "fcfs"
    assert "hybrid" in policies
    assert "vllm" not in policies  # its mixed steps have no price under `stages`
    assert document["engine"]["max_num_seqs"] == 4
    assert all(row["completed"] == 40 for row in document["results"])
    every = [row["policy"] for row in _result(llmsched, trace)["results"]]
    assert [policy for policy in every if policy in policies] == policies
    assert {*every} - {*policies} == {"vllm", "vllm-plain", "priority", "sarathi", "orca", "srpt"}


def test_options_change_the_scenario(llmsched: Run, scenario: Path) -> None:
    document = _result(
        llmsched, scenario, "--policies", "ljf,sjf", "--lengths", "noisy:0.3", "--seed", 3,
        "--max-num-seqs", 2, "--limit", 10, "--offline",
    )  # fmt: skip
    assert [row["policy"] for row in document["results"]] == ["ljf", "sjf"]
    assert document["baseline"] == "ljf"
    assert document["lengths"] == "noisy:0.3"
    assert document["seed"] == 3
    assert document["engine"]["max_num_seqs"] == 2
    assert document["trace"]["requests"] == 10
    assert document["trace"]["options"] == {"limit": 10, "offline": True}


def test_a_matrix_runs_the_product_and_a_filter_picks(llmsched: Run, scenario: Path) -> None:
    text = scenario.read_text().replace("max_num_seqs: 4", "max_num_seqs: [2, 4, 16]")
    scenario.write_text(text + "lengths: [oracle, mean]\n")
    document = _result(llmsched, scenario)
    assert [cell["label"] for cell in document["cells"]] == [
        {"max_num_seqs": str(slots), "lengths": lengths}
        for slots in (2, 4, 16)
        for lengths in ("oracle", "mean")
    ]
    picked = ["--filter", "max_num_seqs=1*", "--filter", "policy=?jf"]
    one = _result(llmsched, scenario, *picked)
    assert [cell["label"] for cell in one["cells"]] == [
        {"max_num_seqs": "16", "lengths": lengths} for lengths in ("oracle", "mean")
    ]
    assert [row["policy"] for row in one["cells"][0]["results"]] == ["ljf", "sjf"]


def test_a_study_reports_paired_differences(llmsched: Run, scenario: Path) -> None:
    document = _result(llmsched, scenario, "--cases", 8)
    pair = next(
        pair
        for pair in document["paired"]
        if pair["policy"] == "ljf" and pair["metric"] == "makespan_s"
    )
    assert document["cases"] == {"count": 8, "draw": "bootstrap"}
    assert pair["better"] + pair["equal"] + pair["worse"] == 8
    assert pair["ci_low"] <= pair["mean"] <= pair["ci_high"] <= pair["worst"] or pair["worse"] == 0
    rows = {row["policy"]: row for row in document["results"]}
    assert pair["mean"] == pytest.approx(rows["ljf"]["makespan_s"] - rows["fcfs"]["makespan_s"])


def test_cases_may_differ_in_the_error_of_the_lengths_only(llmsched: Run, scenario: Path) -> None:
    noisy = ["--cases", 5, "--draw", "lengths", "--lengths", "noisy:0.5"]
    document = _result(llmsched, scenario, *noisy)
    pairs = {(pair["policy"], pair["metric"]): pair for pair in document["paired"]}
    spread = pairs["ljf", "makespan_s"]
    assert spread["p2_5"] < spread["p97_5"]
    fcfs = {row["policy"]: row for row in document["results"]}["fcfs"]
    alone = {row["policy"]: row for row in _result(llmsched, scenario)["results"]}["fcfs"]
    assert fcfs["makespan_s"] == pytest.approx(alone["makespan_s"])  # it does not look at lengths


def test_cases_may_be_seeds_of_a_synthetic_trace(llmsched: Run, scenario: Path) -> None:
    text = scenario.read_text().replace(
        "trace: t.jsonl",
        "trace: {name: bursty, generate: {requests: 30, arrivals: 'gamma:5:2', "
        "input_length: 'fixed:20', output_length: 'lognormal:30:20'}}\n"
        "cases: {count: 4, draw: synthetic}",
    )
    scenario.write_text(text)
    document = _result(llmsched, scenario)
    assert document["trace"]["name"] == "bursty"
    assert document["trace"]["generate"]["arrivals"] == "gamma:5:2"
    outputs = {row["total_output_tokens"] for row in document["results"]}
    assert len(outputs) == 1  # all policies ran on the same cases


# exit codes


def test_gates_pass_with_0_and_fail_with_1_listing_every_breach(
    llmsched: Run, scenario: Path
) -> None:
    fine = llmsched("compare", scenario, "--fail-on", "makespan_s:900%")
    assert fine.code == 0
    assert "✓ gates: 2 of 2 passed" in fine.out
    gates = ["--fail-on", "ljf:makespan_s:-90%", "--fail-on", "sjf:utilization:+90%"]
    broken = llmsched("compare", scenario, *gates)
    assert broken.code == 1
    assert "✗ FAILED ljf (ljf:makespan_s:-90%)" in broken.out
    assert "✗ FAILED sjf (sjf:utilization:+90%)" in broken.out
    as_json = llmsched("compare", scenario, *gates, "--format", "json")
    assert as_json.code == 1
    assert as_json.err.count("FAILED") == 2
    assert [verdict["passed"] for verdict in json.loads(as_json.out)["gates"]] == [False, False]


def test_a_scenario_may_carry_its_gates_and_objective(llmsched: Run, scenario: Path) -> None:
    scenario.write_text(
        scenario.read_text() + "slo: {ttft_ms: 100000}\ngates: ['slo_attainment:0.95']\n"
    )
    assert llmsched("compare", scenario).code == 0
    assert llmsched("compare", scenario, "--slo", "ttft_ms=1,tpot_ms=1").code == 1
    assert llmsched("compare", scenario, "--fail-on", "fcfs:makespan_s:1").code == 1


def test_a_gate_on_a_missing_metric_fails_loudly(llmsched: Run, scenario: Path) -> None:
    outcome = llmsched("compare", scenario, "--fail-on", "slo_attainment:0.5")  # no --slo
    assert outcome.code == 1
    assert "slo_attainment has no value in this run" in outcome.out


def test_against_itself_nothing_changes_and_against_another_base_changes_show(
    llmsched: Run, scenario: Path, tmp_path: Path
) -> None:
    assert llmsched("compare", scenario, "--output", "base.json").code == 0
    same = llmsched("compare", scenario, "--against", "base.json", "--fail-on", "makespan_s:0%")
    assert same.code == 0
    assert "against base.json: 0 worse, 0 better" in same.out
    base = json.loads(Path("base.json").read_text())
    base["results"][1]["makespan_s"] *= 0.9
    Path("base.json").write_text(json.dumps(base))
    worse = llmsched("compare", scenario, "--against", "base.json", "--fail-on", "makespan_s:2%")
    assert worse.code == 1
    assert "✗ +11.11%" in worse.out
    assert "✗ FAILED ljf (makespan_s:2%)" in worse.out


@pytest.mark.parametrize(
    ("option", "named"),
    [
        (("--max-num-seqs", 5), "engine.max_num_seqs: 5 here, 4 there"),
        (("--limit", 39), "trace.requests: 39 here, 40 there"),
        (("--seed", 1), "seed: 1 here, 0 there"),
        (("--lengths", "mean"), "lengths: mean here, oracle there"),
        (("--hardware", "llama2-70b-a100x8"), "hardware."),
        (("--cases", 3), "cases: {'count': 3"),
    ],
)
def test_what_cannot_be_compared_exits_3_and_names_the_difference(
    llmsched: Run, scenario: Path, option: tuple[object, ...], named: str
) -> None:
    assert llmsched("compare", scenario, "--output", "base.json").code == 0
    outcome = llmsched("compare", scenario, "--against", "base.json", *option)
    assert outcome.code == 3
    assert outcome.out == ""
    assert named in outcome.err
    assert len(outcome.err.splitlines()) == 1


def test_another_schema_version_exits_3(llmsched: Run, scenario: Path) -> None:
    Path("base.json").write_text('{"schema_version": 2}')
    outcome = llmsched("compare", scenario, "--against", "base.json")
    assert outcome.code == 3
    assert "schema_version: expected 1, got 2" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("none.yaml",), "none.yaml: cannot read"),
        (("none.jsonl",), "none.jsonl"),
        (("s.yaml", "--policies", "fcfs,nope"), "nope"),
        (("s.yaml", "--policies", "fcfs,,ljf"), "--policies"),
        (("s.yaml", "--policies", "fcfs,fcfs"), "--policies"),
        (("s.yaml", "--policies", "vllm"), "vllm"),
        (("s.yaml", "--baseline", "hybrid"), "--baseline: expected one of fcfs, ljf, sjf"),
        (("s.yaml", "--fail-on", "makespan:1%"), "did you mean makespan_s"),
        (("s.yaml", "--fail-on", "hybrid:makespan_s:1%"), "got 'hybrid'"),
        (("s.yaml", "--slo", "ttft=1"), "--slo: expected ttft_ms=MS"),
        (("s.yaml", "--slo", "ttft_ms=-1"), "--slo"),
        (("s.yaml", "--filter", "slots=4"), "--filter: expected one of trace, hardware"),
        (("s.yaml", "--filter", "policy=x*"), "the filter leaves nothing"),
        (("s.yaml", "--filter", "policy"), "--filter: expected AXIS=GLOB"),
        (("s.yaml", "--cases", 1), "cases: expected an integer >= 2"),
        (("s.yaml", "--cases", "many"), "--cases"),
        (("s.yaml", "--draw", "lengths"), "--draw: expected together with --cases"),
        (("s.yaml", "--cases", 3, "--draw", "rows"), "draw: expected one of bootstrap"),
        (("s.yaml", "--cases", 3, "--draw", "lengths"), "expected lengths noisy:CV"),
        (("s.yaml", "--cases", 3, "--draw", "synthetic"), "expected synthetic traces"),
        (("s.yaml", "--lengths", "psychic"), "--lengths: expected oracle"),
        (("s.yaml", "--hardware", "abacus"), "abacus"),
        (("s.yaml", "--max-num-seqs", 0), "--max-num-seqs: expected an integer >= 1"),
        (
            ("s.yaml", "--no-gates", "--fail-on", "makespan_s:1"),
            "--fail-on: expected without --no-",
        ),
        (("s.yaml", "--format", "yaml"), "--format: expected one of table"),
        (("s.yaml", "--format", "junit"), "expected a result with gates"),
        (("s.yaml", "--pivot", "speed"), "expected one of makespan_s"),
        (("s.yaml", "--jobs", -1), "--jobs"),
        (("s.yaml", "--executor", "ray"), "--executor: expected local or dask"),
        (("s.yaml", "--output", "none/x.json"), "cannot write"),
        (
            ("s.yaml", "--resume", "t.jsonl", "--cases", 3),
            "--resume t.jsonl: expected a file that is no input",
        ),
        (("--resume", "t.jsonl", "--cases", 3), "t.jsonl:1: expected a row of a study"),
        (("s.yaml", "--against", "t.jsonl"), "t.jsonl: expected a JSON result"),
        (("s.yaml", "--against", "none.json"), "none.json: cannot read"),
        (("s.yaml", "--frobnicate"), "--frobnicate"),
    ],
)
def test_a_mistake_exits_2_with_one_line_and_writes_nothing(
    llmsched: Run, scenario: Path, arguments: tuple[object, ...], message: str
) -> None:
    before = {path: path.read_bytes() for path in scenario.parent.iterdir()}
    outcome = llmsched("compare", *arguments)
    assert outcome.code == 2
    assert message in outcome.err
    assert outcome.err.startswith("llmsched: ")
    assert len(outcome.err.splitlines()) == 1
    assert outcome.out == ""
    assert {path: path.read_bytes() for path in scenario.parent.iterdir()} == before


# saved results


def test_a_saved_result_is_shown_again_without_a_rerun(llmsched: Run, scenario: Path) -> None:
    printed = llmsched("compare", scenario, "--format", "markdown")
    assert llmsched("compare", scenario, "--output", "r.json").code == 0
    Path("t.jsonl").unlink()
    assert llmsched("report", "r.json", "--format", "markdown").out == printed.out
    assert llmsched("report", "r.json", "--fail-on", "ljf:makespan_s:-90%").code == 1
    assert llmsched("report", "r.json", "--against", "r.json").code == 0
    assert llmsched("report", "none.json").code == 2
    assert llmsched("report", "s.yaml").code == 2


def test_output_takes_its_format_from_the_option_or_the_suffix(
    llmsched: Run, scenario: Path
) -> None:
    table = llmsched("compare", scenario, "--output", "r.csv")
    assert table.out.startswith("small: ")
    assert Path("r.csv").read_text().startswith("policy,makespan_s")
    llmsched("compare", scenario, "--output", "r.json", "--format", "bencher")
    assert "small/fcfs" in json.loads(Path("r.json").read_text())


def test_the_job_summary_is_appended_and_stays_within_its_limit(
    llmsched: Run, scenario: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", "summary.md")
    Path("summary.md").write_text("before\n")
    assert llmsched("compare", scenario, "--fail-on", "ljf:makespan_s:-90%").code == 1
    text = Path("summary.md").read_text()
    assert text.startswith("before\n## llmsched: small\n\n**✗ 1 of 1 gates failed**")
    Path("summary.md").write_text("x" * (1024 * 1024 - 300))
    llmsched("compare", scenario)
    assert Path("summary.md").stat().st_size <= 1024 * 1024
    assert "cut to the size" in Path("summary.md").read_text()


def test_a_closed_loop_runs_no_more_requests_than_it_has_users(llmsched: Run) -> None:
    run = ("compare", "--policies", "fcfs,hybrid", "--format", "json", "--concurrency", 100)
    document = json.loads(llmsched(*run).out)
    assert document["trace"]["concurrency"] == 100
    assert document["published"] == []
    assert all(row["gap_percent"] >= 0 for row in document["results"])
    assert all(row["mean_batch"] <= 100 for row in document["results"])


def test_policies_are_compared_on_the_replicas_of_a_plan(llmsched: Run, tmp_path: Path) -> None:
    plan, knobs = tmp_path / "plan.json", ("--max-num-seqs", 50)
    llmsched("plan", "--replicas", 4, *knobs, "--output", plan)
    run = ("compare", "--plan", plan, *knobs, "--policies", "fcfs,ljf")
    document = json.loads(llmsched(*run, "--format", "json").out)
    assert document["trace"]["replicas"] == 4
    makespan = {row["policy"]: 1000 * row["makespan_s"] for row in document["results"]}
    assert makespan["ljf"] == json.loads(plan.read_text())["makespan"] < makespan["fcfs"]
    assert "4 replicas of 50 slots" in " ".join(llmsched(*run).out.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--concurrency", 0), "--concurrency: expected an integer >= 1, got 0"),
        (("--concurrency", 2, "--plan", "p.json"), "--concurrency: expected without a plan"),
        (("--plan", "p.json", "--cases", 3), "plan: expected without cases drawn by bootstrap"),
        (("--plan", "p.json"), "p.json: cannot read: No such file or directory"),
        (("--engine", "speed=3"), "--engine: expected KNOB=VALUE with one of"),
    ],
)
def test_how_requests_are_presented_is_checked(
    llmsched: Run, arguments: tuple[object, ...], message: str
) -> None:
    outcome = llmsched("compare", *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert message in outcome.err


def test_a_closed_loop_is_not_compared_with_arrivals(llmsched: Run, tmp_path: Path) -> None:
    base = tmp_path / "base.json"
    run = ("compare", "--policies", "fcfs")
    llmsched(*run, "--concurrency", 50, "--output", base)
    outcome = llmsched(*run, "--against", base)
    assert outcome.code == 3
    assert "trace.concurrency: None here, 50 there" in outcome.err


@pytest.mark.parametrize("option", ["--policies fcfs,ljf", "--filter policy=[fl]*"])
def test_a_policy_that_an_option_left_out_is_named_in_every_format_and_not_judged(
    llmsched: Run, scenario: Path, option: str
) -> None:
    assert llmsched("compare", scenario, "--output", "base.json").code == 0
    run = ("compare", scenario, *option.split(), "--against", "base.json")
    line = f"only in base.json, left out by {option.removesuffix(' fcfs,ljf')}"
    for form in FORMATS:
        outcome = llmsched(*run, "--fail-on", "makespan_s:1%", "--format", form)
        assert outcome.code == 0
        assert line in (outcome.out if form == "table" else outcome.err)
        assert "sjf" in outcome.out or form in ("csv", "bencher")


def test_a_policy_that_the_scenario_no_longer_has_fails_its_gates(
    llmsched: Run, scenario: Path
) -> None:
    assert llmsched("compare", scenario, "--output", "base.json").code == 0
    scenario.write_text(scenario.read_text().replace(", sjf]", "]"))
    run = ("compare", scenario, "--against", "base.json")
    for form in FORMATS:
        outcome = llmsched(*run, "--fail-on", "makespan_s:1%", "--format", form)
        assert outcome.code == 1
        assert "sjf" in (outcome.out if form == "table" else outcome.err)
    assert llmsched(*run, "--fail-on", "fcfs:makespan_s:1%").code == 0
    assert llmsched(*run).code == 0
    assert "only in base.json, no longer in this run: sjf" in llmsched(*run).out


def test_a_policy_that_the_program_no_longer_has_is_not_left_out(
    llmsched: Run, scenario: Path
) -> None:
    assert llmsched("compare", scenario, "--output", "base.json").code == 0
    Path("base.json").write_text(Path("base.json").read_text().replace('"sjf"', '"renamed"'))
    run = ("compare", scenario, "--policies", "fcfs,ljf,sjf", "--against", "base.json")
    outcome = llmsched(*run, "--fail-on", "makespan_s:1%", "--format", "junit")
    assert outcome.code == 1
    assert 'name="renamed: makespan_s:1%"' in outcome.out
    assert 'name="sjf: against base.json"' in outcome.out


def test_what_a_gate_cannot_judge_is_refused_before_the_run(
    llmsched: Run, scenario: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("ran")

    monkeypatch.setattr("llmsched.comparison.run.run_study", never)
    assert llmsched("compare", scenario, "--fail-on", "hybird:makespan_s:1%").code == 2
    alone = ("compare", scenario, "--policies", "fcfs", "--fail-on", "makespan_s:1%")
    assert llmsched(*alone).code == 3


def test_the_title_says_what_a_policy_that_reserves_assumes(llmsched: Run, trace: Path) -> None:
    base = ["compare", trace, "--hardware", "llama3-8b-a100", "--max-num-seqs", 4]
    plain = llmsched(*base, "--policies", "fcfs,vllm", "--baseline", "vllm")
    assert "limit" not in plain.out.partition("\n\n")[0]
    both = [*base, "--policies", "vllm,orca", "--baseline", "vllm"]
    words = "output limit assumed: the trace's greatest, 40"
    assert f"oracle lengths, {words}" in " ".join(llmsched(*both).out.split())
    assert f"oracle lengths, {words}\n" in llmsched(*both, "--format", "markdown").out
    document = json.loads(llmsched(*both, "--format", "json").out)
    assert document["trace"]["output_limits"] == words
    schema = json.loads((ROOT / "docs" / "comparison.schema.json").read_text())
    jsonschema.validate(document, schema)
    knob = llmsched(*both, "--engine", "max_output_tokens=64").out
    assert "oracle lengths, output limit 64" in " ".join(knob.split())
