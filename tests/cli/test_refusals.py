"""Documents and file names that cannot be accepted: exit code 2 and one line, nothing written."""

from __future__ import annotations

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
        2, "", f"llmsched: {shown} cannot read: File name too long\n"
    )


@pytest.mark.parametrize("find", [find_trace, find_scenario, load_profile])
def test_the_library_says_it_as_the_command_line_does(find: Callable[[str], object]) -> None:
    with pytest.raises(InputError, match=LONG):
        find(LONG)
