"""How gates end the program: nothing that happens to a report changes a verdict."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.cli.conftest import Outcome

Run = Callable[..., Outcome]
ROOT = Path(__file__).parents[2]
FAILING, PASSING = ("--fail-on", "makespan_s:0.001"), ("--fail-on", "makespan_s:100000")


@pytest.fixture(autouse=True)
def saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, llmsched: Run) -> None:
    """Run in a folder with a trace, a result of it, and one of a run twice as fast."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    lines = [{"timestamp": 0, "input_length": 9, "output_length": 5 + 7 * i} for i in range(9)]
    Path("t.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert llmsched(*RUN, "--output", "base.json").code == 0
    document = json.loads(Path("base.json").read_text())
    for row in document["results"]:
        row["makespan_s"] /= 2
    Path("fast.json").write_text(json.dumps(document))
    Path("other.json").write_text(json.dumps({**document, "seed": 9}))


RUN = ("compare", "t.jsonl", "--max-num-seqs", 4, "--policies", "fcfs,ljf")


@pytest.mark.parametrize("form", ["table", "json", "junit"])
@pytest.mark.parametrize(
    "redirected",
    [">&-", "2>&-", ">&- 2>&-", "2>&1 | true", "2>/dev/full", ">/dev/full", ">/dev/full 2>&1"],
)
def test_a_failed_gate_exits_1_whoever_reads_it(form: str, redirected: str) -> None:
    if "full" in redirected and not Path("/dev/full").exists():
        pytest.skip("/dev/full is not on this machine")
    command = f'"{sys.executable}" -m llmsched {" ".join(map(str, RUN))} --format {form}'
    gates = [(FAILING, 1)]
    if form == "table":
        gates.append((PASSING, 2 if " >/dev/full" in f" {redirected}" else 0))
    for gate, code in gates:
        shell = f"set -o pipefail; {command} {' '.join(gate)} {redirected}"
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(["bash", "-c", shell], env=environment, capture_output=True)
        assert done.returncode == code, done.stderr
        assert b"Traceback" not in done.stderr


def test_a_failed_gate_exits_1_where_its_report_cannot_be_written(
    llmsched: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("/dev/full is not on this machine")
    outcome = llmsched(*RUN, *FAILING, "--output", "/dev/full")
    assert outcome.code == 1
    assert outcome.err.startswith("llmsched: /dev/full: cannot write: No space left on device\n")
    assert outcome.err.count("FAILED") == 2
    assert llmsched(*RUN, *PASSING, "--output", "/dev/full").code == 2


@pytest.mark.parametrize("path", ["none/summary.md", "."])
def test_a_summary_that_cannot_be_written_is_a_warning(
    llmsched: Run, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", path)
    other = (*RUN, "--against", "other.json")
    for arguments, code in (((*RUN, *FAILING), 1), ((*RUN, *PASSING), 0), (other, 3)):
        outcome = llmsched(*arguments)
        assert outcome.code == code
        assert f"llmsched: warning: GITHUB_STEP_SUMMARY: {path}: cannot write: " in outcome.err


def test_a_full_summary_is_a_warning(llmsched: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", "summary.md")
    Path("summary.md").write_text("x" * 1024 * 1024)
    outcome = llmsched(*RUN, *PASSING)
    assert outcome.code == 0
    assert "GITHUB_STEP_SUMMARY: summary.md: no room left" in outcome.err
    assert Path("summary.md").stat().st_size == 1024 * 1024


@pytest.mark.parametrize("command", [RUN, ("report", "base.json")], ids=["compare", "report"])
@pytest.mark.parametrize("delivery", [("--format", "junit"), ("--output", "r.xml")])
def test_what_is_not_comparable_leaves_its_reason_in_the_summary_and_in_junit(
    llmsched: Run,
    monkeypatch: pytest.MonkeyPatch,
    command: tuple[object, ...],
    delivery: tuple[str, str],
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", "summary.md")
    outcome = llmsched(*command, "--against", "other.json", *FAILING, *delivery)
    assert outcome.code == 3
    assert outcome.err == "llmsched: other.json: not comparable: seed: 0 here, 9 there\n"
    assert "not comparable: seed: 0 here, 9 there" in Path("summary.md").read_text()
    text = outcome.out or Path("r.xml").read_text()
    (case,) = ElementTree.fromstring(text)[0]
    error = case.find("error")
    assert error is not None
    assert error.attrib["message"] == "other.json: not comparable: seed: 0 here, 9 there"


def test_an_output_that_is_the_baseline_is_refused_by_any_name(llmsched: Run) -> None:
    Path("folder").mkdir()
    Path("link.json").symlink_to("base.json")
    os.link("base.json", "hard.json")
    before = Path("base.json").read_bytes()
    names = ("base.json", "./base.json", "folder/../base.json", "link.json", "hard.json")
    for name in (*names, Path("base.json").resolve()):
        against = ("--against", "base.json", "--output", name)
        for command in (RUN, ("report", "fast.json")):
            outcome = llmsched(*command, *against)
            assert outcome.code == 2
            assert "expected a file that is no input, got " in outcome.err
    assert llmsched(*RUN, "--against", "link.json", "--output", "base.json").code == 2
    assert llmsched("report", "base.json", "--output", "link.json").code == 2
    assert Path("base.json").read_bytes() == before
    assert Path("link.json").is_symlink()


def test_a_report_judges_the_gates_that_a_result_was_saved_with(llmsched: Run) -> None:
    gate = ("--fail-on", "makespan_s:1%", "--fail-on", "fcfs:makespan_s:1000")
    assert llmsched(*RUN, "--against", "base.json", *gate, "--output", "head.json").code == 0
    assert llmsched("report", "head.json").code == 0
    assert llmsched("report", "head.json", "--against", "base.json").code == 0
    worse = llmsched("report", "head.json", "--against", "fast.json")
    assert worse.code == 1
    assert "✗ gates: 1 of 3 passed" in worse.out
    replaced = llmsched(
        "report", "head.json", "--against", "fast.json", "--fail-on", "utilization:9%"
    )
    assert replaced.code == 0
    assert "gates: 2 of 2 passed" in replaced.out


MISLEADING = (
    "warning: gate utilization:9%, ljf:utilization:0.01: where steps may be mixed, a slower policy "
    "may show the higher utilization; efficiency is never higher for a slower one\n"
)


@pytest.mark.parametrize("form", ["table", "json", "junit"])
def test_a_gate_on_utilization_works_with_a_warning_where_steps_may_be_mixed(
    llmsched: Run, form: str
) -> None:
    gates = ["utilization:9%", "ljf:utilization:0.01", "efficiency:99%"]
    options = [word for gate in gates for word in ("--fail-on", gate)]
    for profile, warning in (("llama3-8b-a100", MISLEADING), ("llama65b-8gpu-paper", "")):
        run = llmsched(*RUN, "--hardware", profile, *options, "--output", "head.json")
        assert (run.code, run.err) == (0, warning)
        assert "✓ gates: 3 of 3 passed" in run.out
        assert llmsched("report", "head.json", "--format", form).err == warning


def test_a_result_from_before_efficiency_can_be_shown_and_compared_with(llmsched: Run) -> None:
    old = json.loads(Path("base.json").read_text())
    for row in old["results"]:
        del row["efficiency"]
    Path("old.json").write_text(json.dumps(old))
    for form in ("table", "json", "csv", "markdown", "bencher", "customBiggerIsBetter"):
        assert llmsched("report", "old.json", "--format", form).code == 0
    assert llmsched("report", "base.json", "--against", "old.json").code == 0
    gated = llmsched("report", "base.json", "--against", "old.json", "--fail-on", "efficiency:1%")
    assert gated.code == 1
    assert "✗ FAILED fcfs (efficiency:1%): efficiency has no value in the baseline" in gated.out


def test_a_report_of_a_failed_gate_exits_1(llmsched: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert llmsched(*RUN, *FAILING, "--output", "head.json").code == 1
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", "summary.md")
    for form in ("table", "json", "junit", "csv"):
        assert llmsched("report", "head.json", "--format", form).code == 1
    assert not Path("summary.md").exists()  # the run that judged has written it


def test_a_report_knows_which_policies_an_option_left_out_of_a_saved_result(llmsched: Run) -> None:
    gate = ("--fail-on", "makespan_s:1%", "--against", "base.json")
    one = ("compare", "t.jsonl", "--max-num-seqs", 4, "--policies", "fcfs")
    assert llmsched(*one, *gate, "--output", "head.json").code == 0
    outcome = llmsched("report", "head.json", "--against", "base.json")
    assert outcome.code == 0
    assert "only in base.json, left out by --policies: ljf" in outcome.out


def test_a_baseline_with_a_policy_twice_is_refused(llmsched: Run) -> None:
    document = json.loads(Path("base.json").read_text())
    document["results"].append(document["results"][0])
    Path("twice.json").write_text(json.dumps(document))
    message = "llmsched: twice.json: results: expected each policy once, got 'fcfs' twice\n"
    assert llmsched(*RUN, "--against", "twice.json") == Outcome(2, "", message)
    assert llmsched("report", "twice.json") == Outcome(2, "", message)


def test_names_of_files_that_are_no_text_are_spelled_out(llmsched: Run) -> None:
    trace, base = os.fsdecode(b"t\xff\x01.jsonl"), os.fsdecode(b"b\xfe.json")
    try:
        Path(trace).write_bytes(Path("t.jsonl").read_bytes())
        Path(base).write_bytes(Path("base.json").read_bytes())
    except OSError:
        pytest.skip("this file system has no such names")
    run = ("compare", trace, *RUN[2:], "--against", base, *FAILING)
    for form in ("json", "junit", "markdown"):
        outcome = llmsched(*run, "--format", form, "--output", "out")
        assert outcome.code == 1
        assert "\\xff" in Path("out").read_bytes().decode()


@pytest.mark.parametrize("name", ["base.json", "link.json", "t.jsonl", "new.json"])
def test_a_summary_is_never_appended_to_what_the_run_reads_or_writes(
    llmsched: Run, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    Path("link.json").symlink_to("base.json")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", name)
    outcome = llmsched(*RUN, *FAILING, "--against", "base.json", "--output", "new.json")
    assert outcome.code == 1
    warning = "expected a file of its own, got an input or an output of this run"
    assert f"GITHUB_STEP_SUMMARY: {name}: {warning}" in outcome.err
    assert "results" in json.loads(Path("base.json").read_text())
    assert "results" in json.loads(Path("new.json").read_text())
    assert len(Path("t.jsonl").read_text().splitlines()) == 9


def test_a_summary_that_is_a_pipe_is_not_waited_for(
    llmsched: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo("pipe")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", "pipe")
    outcome = llmsched(*RUN, *FAILING)
    assert outcome.code == 1
    assert "GITHUB_STEP_SUMMARY: pipe: expected a file, got a pipe" in outcome.err


def test_gates_on_a_saved_comparison_are_judged_against_its_base(llmsched: Run) -> None:
    run = (*RUN, "--against", "fast.json", "--fail-on", "makespan_s:1%", "-o", "head.json")
    assert llmsched(*run).code == 1
    outcome = llmsched("report", "head.json", "--fail-on", "makespan_s:1%")
    assert outcome.code == 2
    assert outcome.err == (
        "llmsched: --fail-on: expected together with --against, as head.json: "
        "it was compared with fast.json\n"
    )
    again = ("report", "head.json", "--against", "fast.json", "--fail-on", "makespan_s:1%")
    assert llmsched(*again).code == 1


def test_a_scenarios_baseline_that_is_left_out_moves_no_gate(llmsched: Run) -> None:
    Path("s.yaml").write_text(
        "schema_version: 1\nname: s\ntrace: t.jsonl\nhardware: llama65b-8gpu-paper\n"
        "engine: {max_num_seqs: 4}\npolicies: [fcfs, ljf, sjf]\nbaseline: fcfs\n"
        "gates: ['makespan_s:1%']\n"
    )
    outcome = llmsched("compare", "s.yaml", "--policies", "ljf,sjf")
    assert outcome.code == 2
    assert "baseline: fcfs is left out, and gates compare with it" in outcome.err
    named = llmsched("compare", "s.yaml", "--policies", "ljf,sjf", "--no-gates")
    assert named.code == 0
    assert "baseline: fcfs is left out, the others are compared with ljf" in named.err
    chosen = llmsched("compare", "s.yaml", "--policies", "ljf,sjf", "--baseline", "ljf")
    assert chosen.code == 1
    assert "FAILED sjf (makespan_s:1%)" in chosen.out


POLICY = """from dataclasses import dataclass
from llmsched.orders import RankQueue
@dataclass(frozen=True)
class O:
    def queue(self, jobs, view):
        return RankQueue(jobs.predicted_output_tokens)
"""


def test_rows_of_a_policy_that_was_edited_are_not_resumed(llmsched: Run) -> None:
    Path("mine.py").write_text(POLICY)
    run = (*RUN[:-1], "fcfs,./mine.py:O", "--resume", "rows.jsonl")
    assert llmsched(*run).code == 0
    assert llmsched(*run).code == 0
    Path("mine.py").write_text(POLICY.replace("jobs.pred", "-jobs.pred"))
    outcome = llmsched(*run)
    assert outcome.code == 3
    assert "rows.jsonl: belongs to another study: code differs" in outcome.err


def test_a_row_twice_or_below_zero_is_no_row_of_a_checkpoint(llmsched: Run) -> None:
    run = (*RUN, "--resume", "rows.jsonl")
    assert llmsched(*run).code == 0
    lines = Path("rows.jsonl").read_text().splitlines(keepends=True)
    negative = lines[1].replace('"makespan_s":', '"makespan_s":-')
    for broken, message in (
        ([*lines, lines[1]], "expected a row of each policy and case once"),
        ([lines[0], negative], "rows.jsonl:2: row.makespan_s: expected a number > 0, got -"),
    ):
        Path("rows.jsonl").write_text("".join(broken))
        outcome = llmsched(*run)
        assert outcome.code == 2
        assert message in outcome.err
