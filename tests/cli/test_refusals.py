"""Documents and file names that cannot be accepted: exit code 2 and one line, nothing written."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from llmsched.errors import InputError
from llmsched.finding import find_scenario, find_trace
from llmsched.hardware import load_profile
from tests.cli.conftest import Outcome

Run = Callable[..., Outcome]

SCENARIO = (
    "schema_version: 1\nname: s\ntrace: {}\nhardware: llama65b-8gpu-paper\npolicies: [fcfs]\n"
)
PROFILE = "schema_version: 1\nname: p\nstep_time: {kind: affine, per_step: %s}\n"
ROW = '{"timestamp": 0, "input_length": 5, "output_length": 6}\n'

LONG = "x" * 5000
NO_TEXT = os.fsdecode(b"n\xff")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run in a folder with a trace."""
    monkeypatch.chdir(tmp_path)
    Path("t.jsonl").write_text(ROW)
    return tmp_path


@pytest.mark.parametrize(
    ("trace", "message"),
    [
        (
            "{generate: {}}",
            "trace.generate.requests: expected an integer >= 1, or `like`, a trace; got nothing",
        ),
        (
            "{generate: {requests: 9}}",
            "trace.generate.input_length: expected a distribution, or `like`, a trace; got nothing",
        ),
        (
            "{generate: {requests: 0}}",
            "trace.generate.requests: expected an integer >= 1, got 0",
        ),
        (
            "{file: t.jsonl, options: {speed: -1}}",
            "trace.options.speed: expected a number >= 1e-09, got -1",
        ),
        (
            "[t.jsonl, {file: t.jsonl, options: {speed: 1e-308}}]",
            "trace[1].options.speed: expected a number >= 1e-09, got 1e-308",
        ),
        (
            "{file: t.jsonl, options: {limit: true}}",
            "trace.options.limit: expected an integer >= 1, got True",
        ),
        ("[t.jsonl, t.jsonl]", "trace: expected each value once, got 't.jsonl' twice"),
        ("{file: t.jsonl, concurrency: 0}", "trace.concurrency: expected an integer >= 1, got 0"),
    ],
)
def test_a_bad_trace_in_a_scenario_is_named_by_its_place(
    llmsched: Run, trace: str, message: str
) -> None:
    Path("s.yaml").write_text(SCENARIO.replace("{}", trace))
    assert llmsched("compare", "s.yaml") == Outcome(2, "", f"llmsched: s.yaml: {message}\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--speed", "1e-308"), "--speed: expected a number >= 1e-09, got 1e-308"),
        (("--speed", -1), "--speed: expected a number >= 1e-09, got -1.0"),
        (("--speed", "nan"), "--speed: expected a finite number, got nan"),
        (("--limit", 0), "--limit: expected an integer >= 1, got 0"),
        (("--time-unit", "h"), "--time-unit: expected one of ms, ns, s, us; got 'h'"),
        (("--on-error", "stop"), "--on-error: expected one of fail, skip; got 'stop'"),
    ],
)
@pytest.mark.parametrize("command", ["simulate", "compare"])
def test_a_bad_option_of_a_trace_is_named_by_its_flag(
    llmsched: Run, command: str, arguments: tuple[object, ...], message: str
) -> None:
    assert llmsched(command, "t.jsonl", *arguments) == Outcome(2, "", f"llmsched: {message}\n")


@pytest.mark.parametrize("command", [("simulate",), ("compare",), ("trace", "info")])
def test_an_unknown_format_is_named_by_the_flag_for_traces(
    llmsched: Run, command: tuple[str, ...]
) -> None:
    refused = llmsched(*command, "t.jsonl", "--trace-format", "nope")
    assert (refused.code, refused.out) == (2, "")
    assert re.fullmatch(r"llmsched: --trace-format: expected one of .*; got 'nope'\n", refused.err)


def test_a_price_that_no_sum_can_hold_is_refused(llmsched: Run) -> None:
    Path("p.yaml").write_text(PROFILE % "1e308")
    message = "step_time.per_step: expected a number <= 1000000000, got 1e+308"
    refused = Outcome(2, "", f"llmsched: p.yaml: {message}\n")
    assert llmsched("hardware", "show", "p.yaml") == refused
    assert llmsched("simulate", "t.jsonl", "--hardware", "p.yaml") == refused


def test_a_suffix_that_stands_for_no_format_is_refused_before_the_run(llmsched: Run) -> None:
    run = ("compare", "t.jsonl", "--policies", "fcfs")
    known = ".csv, .json, .md, .txt, .xml, or --format NAME"
    refused = llmsched(*run, "-o", "x.html")
    assert refused == Outcome(2, "", f"llmsched: --output: expected {known}; got '.html'\n")
    assert not Path("x.html").exists()
    for name, start in (("x", "{"), ("x.JSON", "{"), ("x.csv", "policy")):
        assert llmsched(*run, "-o", name).code == 0
        assert start in Path(name).read_text()[:40]
    assert llmsched(*run, "-o", "y.html", "--format", "json").code == 0
    assert llmsched("report", "x", "-o", "z.pdf").code == 2


READS: list[tuple[str, ...]] = [
    ("simulate", "NAME"),
    ("compare", "NAME"),
    ("compare", "NAME.yaml"),
    ("trace", "info", "NAME"),
    ("plan", "NAME"),
    ("plan", "--input", "NAME"),
    ("report", "NAME"),
    ("compare", "t.jsonl", "--against", "NAME"),
    ("compare", "t.jsonl", "--hardware", "NAME"),
    ("compare", "t.jsonl", "--hardware", "NAME.yaml"),
    ("compare", "t.jsonl", "--policies", "NAME.py:Rule"),
    ("simulate", "t.jsonl", "--policy", "NAME.py:Rule"),
    ("simulate", "t.jsonl", "--plan", "NAME"),
    ("hardware", "show", "NAME"),
    ("hardware", "calibrate", "NAME"),
]
WRITES: list[tuple[str, ...]] = [
    ("compare", "t.jsonl", "--policies", "fcfs", "--output", "NAME"),
    ("compare", "t.jsonl", "--policies", "fcfs", "--resume", "NAME"),
    ("simulate", "t.jsonl", "--policy", "fcfs", "--output", "NAME"),
    ("simulate", "t.jsonl", "--policy", "fcfs", "--requests", "NAME"),
    ("hardware", "show", "llama3-8b-a100", "--output", "NAME"),
    ("plan", "t.jsonl", "--output", "NAME"),
]


def _named(arguments: tuple[str, ...], name: str) -> list[str]:
    return [argument.replace("NAME", name) for argument in arguments]


@pytest.mark.parametrize("arguments", READS + WRITES, ids=" ".join)
@pytest.mark.parametrize("name", [LONG, f"{LONG}/x"])
def test_a_name_too_long_for_a_file_is_one_short_line(
    llmsched: Run, arguments: tuple[str, ...], name: str
) -> None:
    refused = llmsched(*_named(arguments, name))
    assert (refused.code, refused.out) == (2, "")
    assert refused.err.startswith("llmsched: ")
    assert refused.err.count("\n") == 1
    assert f"{'x' * 40}" in refused.err
    assert len(refused.err) < 1000
    assert os.listdir() == ["t.jsonl"]


@pytest.mark.parametrize("arguments", READS, ids=" ".join)
def test_a_name_that_is_no_text_is_spelled_out(llmsched: Run, arguments: tuple[str, ...]) -> None:
    refused = llmsched(*_named(arguments, NO_TEXT))
    assert (refused.code, refused.out) == (2, "")
    assert refused.err.startswith("llmsched: ")
    assert refused.err.count("\n") == 1


@pytest.mark.parametrize("arguments", WRITES, ids=" ".join)
def test_a_file_may_have_a_name_that_is_no_text(llmsched: Run, arguments: tuple[str, ...]) -> None:
    assert llmsched(*_named(arguments, NO_TEXT)).code == 0
    assert os.path.getsize(os.fsencode(NO_TEXT)) > 0


def test_a_scenario_may_not_name_what_no_file_can_be_called(llmsched: Run) -> None:
    Path("s.yaml").write_text(SCENARIO.replace("{}", f"{LONG}.jsonl"))
    shown = f"{'x' * 60}...{'x' * 53}.jsonl:"
    assert llmsched("compare", "s.yaml") == Outcome(
        2, "", f"llmsched: s.yaml: trace: {shown} cannot read: File name too long\n"
    )


@pytest.mark.parametrize("find", [find_trace, find_scenario, load_profile])
def test_the_library_says_it_as_the_command_line_does(find: Callable[[str], object]) -> None:
    with pytest.raises(InputError, match=LONG):
        find(LONG)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[fcfs]", "[fcfs, vlm]", "s.yaml: policies: policy 'vlm': unknown 'vlm'; did you mean v"),
        (
            "gsm8k-llama65b",
            "{file: gsm8k-llama65b, plan: no.json}",
            "s.yaml: trace: no.json: cannot read",
        ),
        ("gsm8k-llama65b", "nope", "s.yaml: trace: nope: expected a trace file or a shipped trace"),
        ("llama3-8b-a100", "h200", "s.yaml: hardware: expected a shipped profile or a YAML file"),
        ("name: s", "name: s\nlengths: x", "s.yaml: lengths: expected oracle, mean, noisy:CV or t"),
        ("name: s", "name: s\nlengths: trace", "s.yaml: lengths: gsm8k-llama65b.jsonl carries no"),
        (
            "name: s",
            "name: s\ngates: [x]",
            "s.yaml: gates: expected [POLICY:][GROUP:]METRIC:L",
        ),
        (
            "name: s",
            "name: s\ncases: {count: 2, draw: lengths}",
            "s.yaml: cases: draw: lengths: ex",
        ),
        ("name: s", "name: s\nbaseline: vlm", "s.yaml: baseline: policy 'vlm': unknown 'vlm'"),
    ],
)
def test_what_a_scenario_says_is_blamed_on_the_scenario_and_its_key(
    llmsched: Run, old: str, new: str, message: str
) -> None:
    scenario = (
        "schema_version: 1\nname: s\ntrace: gsm8k-llama65b\nhardware: llama3-8b-a100\n"
        "policies: [fcfs]\n"
    )
    assert old in scenario
    Path("s.yaml").write_text(scenario.replace(old, new))
    outcome = llmsched("compare", "s.yaml")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith(f"llmsched: {message}")
    assert outcome.err.count("\n") == 1


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (("--policies", "vlm"), "--policies: policy 'vlm': unknown 'vlm'; did you mean vllm?"),
        (
            ("--hardware", "h200"),
            "--hardware: expected a shipped profile or a YAML file, got",
        ),
        (("--lengths", "x"), "--lengths: expected oracle, mean, noisy:CV or trace, got 'x'"),
        (("--seed", "-1"), "--seed: expected an integer >= 0, got -1"),
        (
            ("--fail-on", "x"),
            "--fail-on: expected [POLICY:][GROUP:]METRIC:LIMIT with a limit",
        ),
    ],
)
def test_what_an_option_says_is_blamed_on_the_option(
    llmsched: Run, option: tuple[str, ...], message: str
) -> None:
    outcome = llmsched("compare", "gsm8k-llama65b", "--limit", "3", *option)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith(f"llmsched: {message}")


def test_a_base_that_is_not_there_is_blamed_on_the_profile_that_extends_it(llmsched: Run) -> None:
    Path("mine.yaml").write_text("extends: h200\nname: mine\n")
    outcome = llmsched("simulate", "--hardware", "mine.yaml")
    assert outcome.code == 2
    assert outcome.err == (
        "llmsched: mine.yaml: extends: expected a shipped profile or a YAML file, got 'h200'; the "
        "closest are llama2-70b-h200x8-analytic (llmsched hardware list shows all)\n"
    )


def test_a_result_of_one_replay_is_told_from_a_comparison(llmsched: Run) -> None:
    assert llmsched("simulate", "--limit", "3", "--output", "one.json").code == 0
    assert llmsched("report", "one.json") == Outcome(
        2, "", "llmsched: one.json: expected a result of llmsched compare, got one of simulate\n"
    )


def test_a_plan_of_another_schema_is_refused(llmsched: Run) -> None:
    run = ("--limit", "6", "--replicas", "2", "--output", "plan.json")
    assert llmsched("plan", "gsm8k-llama65b", *run).code == 0
    Path("plan.json").write_text(Path("plan.json").read_text().replace('n": 1,', 'n": 2,', 1))
    assert llmsched("simulate", "--limit", "6", "--plan", "plan.json") == Outcome(
        2, "", "llmsched: plan.json: schema_version: expected 1, got 2\n"
    )


@pytest.mark.parametrize(
    ("metric", "value"),
    [
        ("utilization", 9),
        ("slo_attainment", 7.5),
        ("kv_peak", 1.01),
        ("steps", 1.5),
        ("makespan_s", 1e308),
        ("output_throughput", 1e308),
        ("p99_ttft_ms", 1e30),
        ("makespan", 3),
        ("completed", True),
        ("gap_percent", -1),
    ],
)
def test_a_figure_that_cannot_be_true_is_refused_wherever_a_result_is_read(
    llmsched: Run, metric: str, value: float
) -> None:
    run = ("compare", "gsm8k-llama65b", "--limit", "4", "--policies", "fcfs,ljf")
    assert llmsched(*run, "--output", "good.json").code == 0
    document = json.loads(Path("good.json").read_text())
    document["results"][1][metric] = value
    Path("bad.json").write_text(json.dumps(document))
    for command in (
        ("report", "bad.json"),
        ("report", "good.json", "--against", "bad.json"),
        (*run, "--against", "bad.json"),
    ):
        outcome = llmsched(*command)
        assert (outcome.code, outcome.out) == (2, "")
        assert outcome.err.startswith(f"llmsched: bad.json: results[1].{metric}: expected ")
        assert outcome.err.count("\n") == 1


def test_a_gate_that_a_result_was_saved_with_is_blamed_on_the_result(llmsched: Run) -> None:
    run = ("compare", "gsm8k-llama65b", "--limit", "4", "--policies", "fcfs,ljf")
    saved = llmsched(*run, "--fail-on", "ljf:gap_percent:900", "--output", "r.json")
    assert saved.code == 0
    Path("r.json").write_text(Path("r.json").read_text().replace("ljf:gap_percent:900", "x"))
    assert llmsched("report", "r.json", "--against", "r.json") == Outcome(
        2,
        "",
        "llmsched: r.json: gates: expected [POLICY:][GROUP:]METRIC:LIMIT with a limit like 2%, +50 "
        "or 0.95, got 'x'\n",
    )
