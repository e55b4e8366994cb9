"""What commands say of a trace of one's own: profile, lengths, model, and who is left out."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest

from llmsched import kernel
from llmsched.cli import doubts, inputs
from tests.cli.conftest import Outcome

Run = Callable[..., Outcome]
ROOT = Path(__file__).parents[2]

TRUTH = "policies know the true lengths: --lengths noisy:0.3 for a realistic run\n"
ASSUMED = "llama3-8b-a100 (assumed; see `llmsched hardware list`)"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("GITHUB_STEP_SUMMARY", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    _trace("t.jsonl")
    _trace("p.jsonl", predicted_output_length=7)
    _trace("batch.jsonl", apart=0)


def _trace(name: str, apart: int = 150, **more: object) -> None:
    rows = [
        {"timestamp": apart * i, "input_length": 9 + i, "output_length": 5 + i % 6, **more}
        for i in range(9)
    ]
    Path(name).write_text("".join(json.dumps(row) + "\n" for row in rows))


def _vllm_run(model: str) -> None:
    run = {"model_id": model, "input_lens": [10, 20], "output_lens": [5, 7], "start_times": [1, 1]}
    Path("bench.json").write_text(json.dumps(run))


COMMANDS = (
    ("compare", "--policies", "fcfs,ljf"),
    ("simulate", "--policy", "ljf"),
    ("plan",),
    ("plan", "--replicas", "2"),
)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_trace_of_ones_own_runs_on_an_assumed_profile_that_the_title_names(
    llmsched: Run, command: tuple[str, ...]
) -> None:
    name, *options = command
    outcome = llmsched(name, "t.jsonl", *options)
    assert ASSUMED in " ".join(outcome.out.split())
    document = json.loads(llmsched(name, "t.jsonl", *options, "--format", "json").out)
    assert document["hardware"]["name"] == "llama3-8b-a100"
    assert document["hardware_assumed"] is True


def test_the_published_schema_knows_of_an_assumed_profile(llmsched: Run) -> None:
    schema = json.loads((ROOT / "docs/comparison.schema.json").read_text())
    document = json.loads(llmsched("compare", "t.jsonl", "--format", "json").out)
    jsonschema.validate(document, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**document, "hardware_assumed": "yes"}, schema)


def test_a_replay_is_checked_with_the_profile_that_it_was_made_with(llmsched: Run) -> None:
    tables = ("--requests", "r.csv", "--steps", "s.csv")
    assert llmsched("simulate", "t.jsonl", "--policy", "vllm", *tables).code == 0
    assert llmsched("verify", "result", "--trace", "t.jsonl", *tables).code == 0
    paper = ("--hardware", "llama65b-8gpu-paper")
    assert llmsched("verify", "result", "--trace", "t.jsonl", *tables, *paper).code != 0


@pytest.mark.parametrize("command", ["simulate", "compare", "plan"])
def test_the_help_names_every_mode_of_lengths_and_the_defaults(llmsched: Run, command: str) -> None:
    words = " ".join(re.sub(r"[^\w.:,()-]", " ", llmsched(command, "--help").out).split())
    assert (
        "oracle (the true ones), mean, noisy:CV (noisy:0.3), or trace (its "
        "predicted_output_length). Default: trace where it has them, else oracle."
    ) in words
    default = f"Default: that of the paper for its trace, else {inputs.ASSUMED_HARDWARE}, assumed."
    assert default in words


REPLAYS = [command for command in COMMANDS if command != ("plan",)]  # which packs, and no more


@pytest.mark.parametrize("command", REPLAYS)
@pytest.mark.parametrize("why", ["no working compiler at install", ""])
def test_a_long_replay_says_once_why_it_is_slow_where_its_kernel_is_not_compiled(
    llmsched: Run, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], why: str
) -> None:
    monkeypatch.setattr(kernel, "WHY_PYTHON", why)
    name, *options = command
    line = f"engine: Python, {kernel.SLOWER} slower: no working compiler at install\n"
    monkeypatch.setattr(doubts, "LONG", 9)
    assert "engine: " not in llmsched(name, "t.jsonl", *options).err
    monkeypatch.setattr(doubts, "LONG", 8)
    assert llmsched(name, "t.jsonl", *options).err.count(line) == bool(why)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_profile_that_was_named_is_not_called_assumed(
    llmsched: Run, command: tuple[str, ...]
) -> None:
    name, *options = command
    chosen = ("t.jsonl", "--hardware", "llama3-8b-a100", *options)
    assert "assumed" not in llmsched(name, *chosen).out
    assert "hardware_assumed" not in json.loads(llmsched(name, *chosen, "--format", "json").out)


@pytest.mark.parametrize("trace", [(), ("gsm8k-llama65b",)])
def test_the_papers_trace_keeps_the_papers_profile(llmsched: Run, trace: tuple[str, ...]) -> None:
    outcome = llmsched("plan", *trace)
    assert "profile      llama65b-8gpu-paper\n" in outcome.out
    assert "true lengths" not in outcome.err  # it is a batch


def test_a_batch_file_without_a_profile_is_planned_on_the_assumed_one(llmsched: Run) -> None:
    _batch("meta-llama/Meta-Llama-3-8B-Instruct")
    outcome = llmsched("plan", "--input", "in.jsonl")
    assert (outcome.code, outcome.err) == (0, "")
    assert f"on 1 replicas of 256 slots, lengths max_tokens\nprofile      {ASSUMED}" in outcome.out


def _batch(model: str) -> None:
    body = {"model": model, "messages": [{"role": "user", "content": "hello"}], "max_tokens": 8}
    request = {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": body}
    Path("in.jsonl").write_text(json.dumps(request) + "\n")


def test_a_saved_result_still_says_that_the_profile_was_assumed(llmsched: Run) -> None:
    llmsched("compare", "t.jsonl", "--policies", "fcfs", "--output", "r.json")
    for form in ("table", "markdown"):
        text = " ".join(llmsched("report", "r.json", "--format", form).out.split())
        assert ASSUMED in text.replace("\\`", "`")
    old = json.loads(Path("r.json").read_text())
    del old["hardware_assumed"]
    Path("old.json").write_text(json.dumps(old))
    assert "assumed" not in llmsched("report", "old.json").out
    against = llmsched("compare", "t.jsonl", "--policies", "fcfs", "--against", "old.json")
    assert against.code == 0, against.err


def test_what_the_default_profile_cannot_do_says_that_nobody_chose_it(llmsched: Run) -> None:
    paper = "profile llama65b-8gpu-paper cannot price; llama65b-8gpu-paper is the default: "
    for command in (("simulate", "--policy", "vllm"), ("compare", "--policies", "vllm")):
        outcome = llmsched(*command)
        assert outcome.code == 2
        assert outcome.err.endswith(f"{paper}name another with --hardware\n")
    named = llmsched("simulate", "--policy", "vllm", "--hardware", "llama65b-8gpu-paper")
    assert named.code == 2
    assert named.err.endswith("profile llama65b-8gpu-paper cannot price\n")


def test_a_request_that_never_fits_the_assumed_profile_says_so(llmsched: Run) -> None:
    Path("t.jsonl").write_text('{"timestamp": 0, "input_length": 9000000, "output_length": 1}\n')
    for command in (("simulate",), ("compare",), ("plan", "--replicas", "1")):
        outcome = llmsched(*command, "t.jsonl")
        assert outcome.code == 2
        assert "no request is served: 1 refused (prompt beyond max_model_len 8,192)" in outcome.err
        end = "; llama3-8b-a100 is assumed: name another with --hardware\n"
        assert outcome.err.endswith(end)


def test_named_policies_that_cannot_run_are_listed_once_with_a_way_out(llmsched: Run) -> None:
    outcome = llmsched("compare", "batch.jsonl", "--hardware", "llama65b-8gpu-paper")
    assert outcome.err == (
        "left out on llama65b-8gpu-paper, which prices no mixed steps: vllm, vllm-plain, "
        "priority, sarathi, orca, srpt; see `llmsched hardware list` for profiles that do\n"
    )
    chosen = ("--hardware", "llama65b-8gpu-paper", "--policies", "fcfs")
    assert llmsched("compare", "batch.jsonl", *chosen).err == ""
    some = ("--hardware", "llama65b-8gpu-paper", "--filter", "policy=[fo]*")
    assert "steps: orca; see" in llmsched("compare", "batch.jsonl", *some).err
    assert llmsched("compare", "batch.jsonl").err == ""  # the assumed profile runs all


def test_the_baseline_of_a_trace_is_vllm_where_it_runs(llmsched: Run) -> None:
    def baseline(*options: str) -> object:
        outcome = llmsched("compare", "batch.jsonl", "--format", "json", *options)
        document = json.loads(outcome.out)
        assert "fcfs" in [row["policy"] for row in document["results"]]
        return document["baseline"]

    assert baseline() == baseline("--policies", "fcfs,vllm") == "vllm"
    assert baseline("--policies", "fcfs,ljf") == "fcfs"
    assert baseline("--hardware", "llama65b-8gpu-paper") == "fcfs"
    assert baseline("--baseline", "fcfs") == "fcfs"


@pytest.mark.parametrize("command", COMMANDS)
def test_true_lengths_of_requests_that_arrive_one_by_one_are_never_silent(
    llmsched: Run, command: tuple[str, ...]
) -> None:
    name, *options = command
    told = TRUTH if name != "plan" else TRUTH.replace("policies know", "the plan knows")
    assert llmsched(name, "t.jsonl", *options).err == told
    assert llmsched(name, "t.jsonl", *options, "--lengths", "oracle").err == told
    for quiet in (("t.jsonl", "--lengths", "noisy:0.3"), ("batch.jsonl",), ("p.jsonl",)):
        assert llmsched(name, *quiet, *options).err == ""


def test_policies_that_look_at_no_length_may_know_it(llmsched: Run) -> None:
    assert llmsched("compare", "t.jsonl", "--policies", "fcfs,vllm").err == ""
    assert llmsched("simulate", "t.jsonl", "--policy", "fcfs").err == ""


def test_a_scenario_says_itself_what_policies_know(llmsched: Run) -> None:
    Path("s.yaml").write_text(
        "schema_version: 1\nname: s\ntrace: [t.jsonl, p.jsonl]\nhardware: llama3-8b-a100\n"
        "policies: [fcfs, ljf]\n"
    )
    outcome = llmsched("compare", "s.yaml")
    assert (outcome.code, outcome.err) == (0, "")
    title = (
        "s: llama3-8b-a100, 256 slots, async scheduling, oracle lengths or the trace's predicted "
        "lengths"
    )
    assert " ".join(outcome.out.split("\n\n")[0].split()) == title


@pytest.mark.parametrize("command", COMMANDS)
def test_predictions_that_came_with_the_trace_are_what_policies_see(
    llmsched: Run, command: tuple[str, ...]
) -> None:
    name, *options = command
    words = "lengths trace" if name == "plan" else "the trace's predicted lengths"
    own = llmsched(name, "p.jsonl", *options)
    assert words in " ".join(own.out.split())
    asked = llmsched(name, "p.jsonl", *options, "--lengths", "trace")
    drop = "cpu "  # which no two runs share
    assert [line for line in own.out.splitlines() if not line.startswith(drop)] == [
        line for line in asked.out.splitlines() if not line.startswith(drop)
    ]


def test_another_model_than_the_profiles_is_named_once(llmsched: Run) -> None:
    line = (
        "warning: {}: names the model 'meta-llama/Llama-2-70b-hf', but llama3-8b-a100 has the "
        "step times of llama3-8b; see `llmsched hardware list`\n"
    )
    _batch("meta-llama/Llama-2-70b-hf")
    assert llmsched("plan", "--input", "in.jsonl").err == line.format("in.jsonl")
    _vllm_run("meta-llama/Llama-2-70b-hf")
    for command in (("simulate",), ("compare",), ("plan",)):
        assert llmsched(*command, "bench.json").err == line.format("bench.json")
        assert llmsched(*command, "bench.json", "--hardware", "llama2-70b-h100x8").err == ""
    _vllm_run("m")
    assert llmsched("simulate", "bench.json").err == ""


@pytest.mark.parametrize("command", ["plan", "compare", "simulate"])
def test_a_batch_given_as_a_trace_is_sent_to_the_option_that_takes_it(
    llmsched: Run, command: str
) -> None:
    _batch("m")
    outcome = llmsched(command, "in.jsonl")
    assert (outcome.code, outcome.out) == (2, "")
    said = "expected a trace, got a batch to run: llmsched plan --input FILE"
    assert outcome.err == f"llmsched: in.jsonl:1: {said}\n"


def test_cases_that_are_all_one_are_told(llmsched: Callable[..., Outcome]) -> None:
    run = ("compare", "gsm8k-llama65b", "--limit", "9", "--lengths", "noisy:0.5", "--cases", "3")
    hardware = ("--hardware", "llama3-8b-a100", "--policies", "vllm,ljf")
    lengths = llmsched(*run, *hardware, "--draw", "lengths", "--max-num-seqs", "2")
    assert lengths.code == 0
    assert lengths.err.splitlines()[-1] == (
        "every case is the same for vllm: what was drawn makes no difference to them"
    )
    assert "every case" not in llmsched(*run, *hardware).err
