"""``llmsched plan``: what it prints, writes and refuses."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Outcome

Run = Callable[..., Outcome]


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    rows = [{"timestamp": 0, "input_length": 50, "output_length": 3 + 7 * k} for k in range(40)]
    path = tmp_path / "trace.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def batch(tmp_path: Path) -> Path:
    path = tmp_path / "batch.jsonl"
    body = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
    rows = [
        {"custom_id": f"r{k}", "url": "/v1/chat/completions", "body": {**body, "max_tokens": 9 + k}}
        for k in range(30)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_the_paper_trace_is_planned_at_its_bound(llmsched: Run) -> None:
    outcome = llmsched("plan", "--solver", "heuristic")
    assert outcome.code == 0
    assert "makespan     2,268 rounds, found by repartition" in outcome.out
    assert "lower bound  2,268 rounds, by average" in outcome.out
    assert "status       optimal" in outcome.out
    assert max(map(len, outcome.out.splitlines())) <= 80


def test_the_output_file_holds_the_document(llmsched: Run, trace: Path, tmp_path: Path) -> None:
    target = tmp_path / "plan.json"
    outcome = llmsched("plan", trace, "--max-num-seqs", 4, "--output", target)
    assert outcome.code == 0
    document = json.loads(target.read_text())
    assert document["status"] == "optimal"
    assert sorted(i for slot in document["slots"] for i in slot) == sorted(map(str, range(40)))
    shown = json.loads(llmsched("plan", trace, "--max-num-seqs", 4, "--format", "json").out)
    assert {**shown, "cpu_s": 0} == {**document, "cpu_s": 0}


@pytest.mark.parametrize("solver", ["auto", "heuristic", "cp-sat"])
def test_every_solver_plans(llmsched: Run, trace: Path, solver: str) -> None:
    outcome = llmsched("plan", trace, "--max-num-seqs", 3, "--solver", solver, "-f", "json")
    assert outcome.code == 0
    document = json.loads(outcome.out)
    assert document["lower_bound"] <= document["makespan"] == max(document["load"])


def test_replicas_are_shown_one_a_row(llmsched: Run, trace: Path) -> None:
    outcome = llmsched("plan", trace, "--replicas", 3, "--max-num-seqs", 4)
    assert outcome.code == 0
    assert "40 requests on 3 replicas of 4 slots" in outcome.out
    assert [line.split()[0] for line in outcome.out.splitlines()[-3:]] == ["0", "1", "2"]


def test_the_expected_objective_samples_lengths(llmsched: Run, trace: Path) -> None:
    noisy = ("plan", trace, "--max-num-seqs", 4, "--lengths", "noisy:0.2", "--samples", 10)
    outcome = llmsched(*noisy, "--objective", "expected", "--format", "json")
    assert outcome.code == 0
    assert json.loads(outcome.out)["solver"]["objective"] == "expected"


def test_a_batch_file_makes_the_round_trip(llmsched: Run, batch: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = ("plan", "--input", batch, "--replicas", 2, "--max-num-seqs", 4, "--export", out)
    assert llmsched(*command).code == 0
    lines = [line for k in range(2) for line in (out / f"replica-{k}.jsonl").open()]
    assert sorted(lines) == sorted(batch.open())
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["plan"]["solver"]["lengths"] == "max_tokens"
    again = llmsched(*command)
    assert (again.code, again.out) == (2, "")
    assert "is there already; --force replaces it" in again.err
    assert llmsched(*command, "--force").code == 0


def test_an_export_says_priorities_where_that_is_asked_for(
    llmsched: Run, batch: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    command = ("plan", "--input", batch, "--max-num-seqs", 4, "--priority")
    refused = llmsched(*command)
    assert refused == Outcome(2, "", "llmsched: --priority: expected together with --export DIR\n")
    assert llmsched(*command, "--export", out).code == 0
    lines = [json.loads(line) for line in (out / "replica-0.jsonl").open()]
    assert [line["body"]["priority"] for line in lines] == list(range(len(lines)))
    (entry,) = json.loads((out / "manifest.json").read_text())["replicas"]
    assert entry["command"].endswith(" --scheduling-policy priority")


def test_the_same_command_prints_the_same_bytes(llmsched: Run, trace: Path) -> None:
    command = ("plan", trace, "--max-num-seqs", 3, "--replicas", 2, "--format", "json")
    assert llmsched(*command).out == llmsched(*command).out


def test_an_interrupt_still_prints_the_best_plan(
    llmsched: Run, trace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from llmsched.packing.repartition import Repartition

    def interrupt(*_: object) -> bool:
        signal.raise_signal(signal.SIGINT)
        return False

    monkeypatch.setattr(Repartition, "run", interrupt)
    outcome = llmsched("plan", trace, "--max-num-seqs", 7)
    assert outcome.code == 130
    assert "status       feasible: stopped by interrupt" in outcome.out
    assert "gap " in outcome.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--format", "xml"], "--format: expected one of table, json; got 'xml'"),
        (["--solver", "magic"], "solver: expected one of auto, cp-sat, heuristic; got 'magic'"),
        (["--time-limit", "0"], "--time-limit: expected seconds > 0, got 0.0"),
        (["--time-limit", "nan"], "--time-limit: expected seconds > 0, got nan"),
        (["--unit", "days"], "--unit: expected one of rounds, ms; got 'days'"),
        (["--max-num-seqs", "0"], "--max-num-seqs: expected an integer >= 1, got 0"),
        (["--replicas", "0"], "--replicas: expected an integer in 1..40"),
        (["--replicas", "2", "--policy", "nope"], "nope"),
        (["--speeds", "1,1"], "--speeds: expected together with --replicas N"),
        (["--replicas", "2", "--speeds", "1,x"], "--speeds: expected numbers with commas between"),
        (["--replicas", "2", "--speeds", "1,nan"], "--speeds: expected 2 numbers in 0..1"),
        (["--objective", "best"], "--objective: expected one of makespan, expected; got 'best'"),
        (["--objective", "expected"], "--objective: 'expected' needs --lengths noisy:CV"),
        (["--lengths", "noisy:0.1", "--samples", "0"], "--samples: expected an integer >= 1"),
        (["--export", "out"], "--export: expected together with --input FILE"),
        (["--priority"], "--priority: expected together with --input FILE"),
        (["--input", "none.jsonl"], "--input: expected without a trace"),
        (["--output", "/nonexistent/plan.json"], "/nonexistent/plan.json: cannot write"),
    ],
)
def test_bad_usage_is_one_line_and_nothing_on_stdout(
    llmsched: Run, trace: Path, arguments: list[str], message: str
) -> None:
    outcome = llmsched("plan", trace, *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert message in outcome.err
    assert len(outcome.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--input", "none.jsonl"], "none.jsonl: cannot read: No such file or directory"),
        (["--input", "none.jsonl", "--chars-per-token", "0"], "--chars-per-token: expected"),
        (["--input", "none.jsonl", "--lengths", "mean"], "--input: expected without"),
        (["--input", "none.jsonl", "--tokenizer", "none.json"], "none.json"),
    ],
)
def test_bad_usage_of_batch_files_is_one_line(
    llmsched: Run, arguments: list[str], message: str
) -> None:
    outcome = llmsched("plan", *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert message in outcome.err or "tokenizers library" in outcome.err
    assert len(outcome.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--replicas 2 --solver heuristic", "--solver: expected only in a plan for the slots"),
        ("--replicas 2 --unit ms", "--unit: expected only in a plan for the slots of one engine"),
        ("--replicas 2 --time-limit 3", "--time-limit: expected only in a plan for the slots"),
        ("--replicas 2 --samples 7", "--samples: expected only in a plan for the slots"),
        ("--policy fcfs", "--policy: expected only in a plan for replicas"),
        ("--predict max_tokens", "--predict: expected together with --input FILE"),
        ("--chars-per-token 2", "--chars-per-token: expected together with --input FILE"),
        ("--force", "--force: expected together with --input FILE"),
        (
            "--lengths noisy:0.3 --objective expected --solver heuristic",
            "--objective: 'expected' tries several plans: it takes no solver",
        ),
    ],
)
def test_an_option_that_says_nothing_is_refused(llmsched: Run, options: str, message: str) -> None:
    outcome = llmsched("plan", "gsm8k-llama65b", "--limit", 9, *options.split())
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith(f"llmsched: {message}")


def test_predictions_above_a_request_s_own_limit_are_told(
    llmsched: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    body = {"model": "m", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 8}
    lines = [
        {"custom_id": name, "url": "/v1/chat/completions", "body": {**body, "expected": tokens}}
        for name, tokens in (("a", 8), ("b", 9))
    ]
    Path("b.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    Path("p.csv").write_text("custom_id,output_tokens\na,8\nb,9\n")
    for source in ("body.expected", "./p.csv"):
        outcome = llmsched("plan", "--input", "b.jsonl", "--predict", source)
        assert outcome.code == 0
        assert "b.jsonl: 1 answer cut at the limit" in outcome.err


def write_long(path: Path) -> str:
    """Three requests, of which a model of 64 tokens takes the first and cuts the third."""
    rows = [("short", 10, 5), ("long", 64, 1), ("cut", 50, 90)]
    lines = [
        json.dumps({"id": name, "timestamp": 0, "input_length": prompt, "output_length": output})
        for name, prompt, output in rows
    ]
    path.write_text("\n".join(lines))
    return str(path)


@pytest.mark.parametrize("replicas", [(), ("--replicas", "2")])
def test_a_plan_leaves_out_whom_no_engine_would_take(
    llmsched: Run, tmp_path: Path, replicas: tuple[str, ...]
) -> None:
    trace, saved = write_long(tmp_path / "long.jsonl"), tmp_path / "plan.json"
    model = ("--engine", "max_model_len=64")
    outcome = llmsched("plan", trace, *model, *replicas, "--format", "json", "--output", saved)
    assert outcome.code == 0, outcome.err
    said = "1 refused (prompt beyond max_model_len 64), 1 answer cut at the limit"
    assert f"long.jsonl: {said}; --engine max_model_len=none takes any" in outcome.err
    plan = json.loads(outcome.out)
    assert plan["refused"] == ["long"]
    queues = [part["requests"] for part in plan["replicas"]] if replicas else plan["slots"]
    assert sorted(name for queue in queues for name in queue) == ["cut", "short"]
    if replicas:
        assert sum(part["output_tokens"] for part in plan["replicas"]) == 5 + 14
        again = ("--policy", "vllm", "--plan", saved, "--format", "json")
        replayed = llmsched("simulate", trace, *model, *again)
        assert replayed.code == 0, replayed.err
        row = json.loads(replayed.out)["results"][0]
        assert (row["completed"], row["refused"], row["total_output_tokens"]) == (2, 1, 19)


def test_a_batch_leaves_out_what_never_fits_only_where_that_is_asked_for(
    llmsched: Run, tmp_path: Path
) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
    lines = [
        {"custom_id": name, "url": "/v1/chat/completions", "body": {**body, "max_tokens": tokens}}
        for name, tokens in (("a", 8), ("b", 900), ("c", 9))
    ]
    source = tmp_path / "b.jsonl"
    source.write_text("".join(json.dumps(line) + "\n" for line in lines))
    plan = ("plan", "--input", source, "--num-gpu-blocks", "5", "--export", tmp_path / "out")
    outcome = llmsched(*plan)
    assert outcome.code == 2
    assert "request 'b' can never fit" in outcome.err
    assert "1 of 3 requests never fit: --on-error skip refuses them" in outcome.err
    outcome = llmsched(*plan, "--on-error", "skip")
    assert outcome.code == 0, outcome.err
    assert "b.jsonl: 1 refused (can never fit into the KV cache: b)" in outcome.err
    written = (tmp_path / "out" / "replica-0.jsonl").read_text().splitlines()
    assert [json.loads(line)["custom_id"] for line in written] == ["c", "a"]


def write_answers(path: Path, *answers: int) -> Path:
    """A line of chat for each number, which it asks so many answers of 100 tokens of."""
    body = {"model": "m", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 100}
    lines = [
        {"custom_id": f"r{k}", "url": "/v1/chat/completions", "body": {**body, "n": n}}
        for k, n in enumerate(answers)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_every_answer_of_a_line_is_planned_and_shown(llmsched: Run, tmp_path: Path) -> None:
    source = write_answers(tmp_path / "b.jsonl", 4, 1)
    outcome = llmsched("plan", "--input", source, "--hardware", "llama3-8b-a100")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith("b.jsonl: 2 lines of 5 sequences on 1 replicas of 256 slots")
    head, row = outcome.out.splitlines()[-2:]
    assert head.split()[:2] == ["replica", "sequences"]
    assert row.split()[:4] == ["0", "5", "10", "500"]
    shown = llmsched("plan", "--input", source, "--format", "json")
    document = json.loads(shown.out)
    assert document["lines"] == 2
    assert (document["trace"]["requests"], document["trace"]["output_tokens"]) == (5, 500)
    assert sorted(document["replicas"][0]["requests"]) == ["r0", "r0#2", "r0#3", "r0#4", "r1"]


def test_a_line_goes_whole_to_one_replica_whose_load_has_all_its_sequences(
    llmsched: Run, tmp_path: Path
) -> None:
    answers = [4, 1, 4, 2, 1, 3, 4, 1, 16]
    source, out = write_answers(tmp_path / "b.jsonl", *answers), tmp_path / "out"
    command = ("plan", "--input", source, "--replicas", 3, "--max-num-seqs", 4, "--export", out)
    outcome = llmsched(*command, "--format", "json")
    assert outcome.code == 0, outcome.err
    manifest = json.loads((out / "manifest.json").read_text())
    written = [(out / part["file"]).read_text().splitlines() for part in manifest["replicas"]]
    assert sorted(line for part in written for line in part) == source.read_text().splitlines()
    for part, lines, planned in zip(
        manifest["replicas"], written, json.loads(outcome.out)["replicas"], strict=True
    ):
        runs = sum(json.loads(line)["body"]["n"] for line in lines)
        assert part["sequences"] == len(planned["requests"]) == runs
        assert part["output_tokens"] == planned["output_tokens"] == 100 * runs
        names = {json.loads(line)["custom_id"] for line in lines}
        assert {name.partition("#")[0] for name in planned["requests"]} == names
    assert sum(part["sequences"] for part in manifest["replicas"]) == sum(answers)


def test_there_are_at_most_as_many_replicas_as_lines(llmsched: Run, tmp_path: Path) -> None:
    source = write_answers(tmp_path / "b.jsonl", 4, 1)
    outcome = llmsched("plan", "--input", source, "--replicas", 3)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == "llmsched: --replicas: expected an integer in 1..2 (the lines), got 3\n"


def test_a_line_is_refused_with_any_of_its_prompts(llmsched: Run, tmp_path: Path) -> None:
    source, out = tmp_path / "b.jsonl", tmp_path / "out"
    prompts = {"a": ["x" * 40, "x" * 400, "x" * 40], "b": ["x" * 40, "x" * 40]}
    lines = [
        {
            "custom_id": name,
            "url": "/v1/completions",
            "body": {"model": "m", "prompt": prompt, "max_tokens": 8},
        }
        for name, prompt in prompts.items()
    ]
    source.write_text("".join(json.dumps(line) + "\n" for line in lines))
    model = ("--engine", "max_model_len=64", "--format", "json", "--export", out)
    outcome = llmsched("plan", "--input", source, *model)
    assert outcome.code == 0, outcome.err
    assert "b.jsonl: 3 refused (prompt beyond max_model_len 64)" in outcome.err
    document = json.loads(outcome.out)
    assert document["refused"] == ["a", "a#2", "a#3"]
    assert document["replicas"][0]["requests"] == ["b", "b#2"]
    assert (out / "replica-0.jsonl").read_text() == source.read_text().splitlines(True)[1]


def test_what_costs_nothing_and_what_no_command_runs_is_said(
    llmsched: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    body = {"model": "m", "prompt": "hello", "max_tokens": 8, "best_of": 3}
    line = {"custom_id": "a", "url": "/v1/completions", "body": {**body, "guided_json": {}}}
    Path("b.jsonl").write_text(json.dumps(line))
    outcome = llmsched("plan", "--input", "b.jsonl")
    assert outcome.err.splitlines() == [
        "b.jsonl: 1 line with guided_json: vLLM keeps it out of the prompt, and it counts no"
        " tokens",
        "b.jsonl: 1 line with best_of: vLLM runs n sequences, whatever it says",
    ]
    outcome = llmsched("plan", "--input", "b.jsonl", "--export", "out")
    assert outcome.code == 0
    assert outcome.err.splitlines()[2:] == [
        "warning: b.jsonl: vllm run-batch does not run /v1/completions (1 line); the manifest says"
        " what to do instead"
    ]
    assert "run-batch" not in Path("out/manifest.json").read_text()


def test_a_bad_line_is_named_by_file_line_field_and_value(llmsched: Run, tmp_path: Path) -> None:
    source, out = write_answers(tmp_path / "b.jsonl", 1, 0), tmp_path / "out"
    outcome = llmsched("plan", "--input", source, "--export", out)
    assert (outcome.code, outcome.out) == (2, "")
    said = f"llmsched: {source}:2: body.n: expected an integer in 1..16384, got 0\n"
    assert outcome.err == said
    assert not out.exists()
