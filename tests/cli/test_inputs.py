"""No run overwrites what it reads: whatever leads to the input, whatever names the output."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from llmsched.errors import InputError
from llmsched.files import claim, input_path, release
from tests.cli.conftest import Outcome

Run = Callable[..., Outcome]
ROOT = Path(__file__).parents[2]

TRACE = '{"timestamp":0,"input_length":10,"output_length":20}\n' * 4
PROFILE = (
    "schema_version: 1\nname: base\nengine: {max_num_seqs: 2, max_num_batched_tokens: 64}\n"
    + (
        "step_time: {kind: affine, unit: ms, per_step: 8.0, mixed: false}\n"
        "provenance: {method: measured, status: guess}\n"
    )
)
CHILD = "schema_version: 1\nname: child\nextends: base.yaml\n"
SCENARIO = (
    "schema_version: 1\nname: small\ntrace: t.jsonl\nhardware: child.yaml\n"
    "policies: [fcfs, ljf, ./mine.py:Mine]\n"
)
SYNTHETIC = SCENARIO.replace("trace: t.jsonl", "trace: {generate: {like: t.jsonl, requests: 3}}")
PLANNED = SCENARIO.replace("trace: t.jsonl", "trace: {file: t.jsonl, plan: plan.json}")
POLICY = "from llmsched.orders.ljf import Ljf as Mine\n"
BODY = '{"model":"m","max_tokens":5,"prompt":"hello"}'
BATCH = "".join(
    f'{{"custom_id":"{name}","url":"/v1/completions","body":{BODY}}}\n' for name in "ab"
)
PREDICTED = "custom_id,output_tokens\na,3\nb,4\n"


@pytest.fixture(autouse=True)
def files(llmsched: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with one input of each kind."""
    monkeypatch.chdir(tmp_path)
    contents = {
        "t.jsonl": TRACE,
        "base.yaml": PROFILE,
        "child.yaml": CHILD,
        "s.yaml": SCENARIO,
        "synthetic.yaml": SYNTHETIC,
        "planned.yaml": PLANNED,
        "mine.py": POLICY,
        "batch.jsonl": BATCH,
        "predicted.csv": PREDICTED,
        "steps.csv": "duration_ms,num_prefill_tokens,num_decode_seqs,kv_tokens\n1,2,3,4\n",
    }
    for name, text in contents.items():
        Path(name).write_text(text)
    Path("out").mkdir()
    Path("out/replica-0.jsonl").write_text(BATCH)
    assert llmsched("plan", "t.jsonl", "--replicas", 2, "--output", "plan.json").code == 0
    assert llmsched("compare", "s.yaml", "--output", "base.json").code == 0
    saved = ("--requests", "requests.csv", "--steps", "rows.csv")
    assert llmsched("simulate", "t.jsonl", "--hardware", "child.yaml", *saved).code == 0


def _contents() -> dict[str, str]:
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(Path().rglob("*"))
        if path.is_file() and "__pycache__" not in str(path)
    }


REFUSED = [
    ("simulate t.jsonl --output t.jsonl", "t.jsonl"),
    ("simulate t.jsonl --requests t.jsonl", "t.jsonl"),
    ("simulate t.jsonl --steps t.jsonl", "t.jsonl"),
    ("simulate t.jsonl --hardware child.yaml -o child.yaml", "child.yaml"),
    ("simulate t.jsonl --hardware child.yaml -o base.yaml", "base.yaml"),
    ("simulate t.jsonl --policy ./mine.py:Mine -o mine.py", "mine.py"),
    ("simulate t.jsonl --plan plan.json -o plan.json", "plan.json"),
    ("compare t.jsonl -o t.jsonl -f json", "t.jsonl"),
    ("compare t.jsonl --resume t.jsonl", "t.jsonl"),
    ("compare s.yaml -o s.yaml -f json", "s.yaml"),
    ("compare s.yaml -o t.jsonl -f json", "t.jsonl"),
    ("compare s.yaml -o base.yaml -f json", "base.yaml"),
    ("compare s.yaml -o mine.py -f json", "mine.py"),
    ("compare s.yaml --resume child.yaml", "child.yaml"),
    ("compare s.yaml --against base.json -o base.json", "base.json"),
    ("compare synthetic.yaml -o t.jsonl -f json", "t.jsonl"),
    ("compare planned.yaml -o plan.json", "plan.json"),
    ("plan t.jsonl -o t.jsonl", "t.jsonl"),
    ("plan t.jsonl --hardware child.yaml -o base.yaml", "base.yaml"),
    ("plan t.jsonl --replicas 2 --policy ./mine.py:Mine -o mine.py", "mine.py"),
    ("plan --input batch.jsonl -o batch.jsonl", "batch.jsonl"),
    ("plan --input batch.jsonl --predict predicted.csv -o predicted.csv", "predicted.csv"),
    ("plan --input out/replica-0.jsonl --export out --force", "out/replica-0.jsonl"),
    ("report base.json -o base.json", "base.json"),
    ("report base.json --against plan.json -o plan.json", "plan.json"),
    ("trace info t.jsonl -o t.jsonl", "t.jsonl"),
    ("trace convert t.jsonl t.jsonl", "t.jsonl"),
    ("trace sample t.jsonl t.jsonl -n 1", "t.jsonl"),
    ("trace generate t.jsonl --like t.jsonl -n 1", "t.jsonl"),
    ("hardware show child.yaml -o base.yaml", "base.yaml"),
    ("hardware calibrate steps.csv -o steps.csv", "steps.csv"),
]


@pytest.mark.parametrize(("command", "name"), REFUSED, ids=[command for command, _ in REFUSED])
def test_an_output_that_is_an_input_is_refused_and_nothing_is_written(
    llmsched: Run, command: str, name: str
) -> None:
    before = _contents()
    outcome = llmsched(*command.split())
    assert (outcome.code, outcome.out) == (2, "")
    assert f" {name}: expected a file that is no input, got " in outcome.err
    assert len(outcome.err.splitlines()) == 1
    assert _contents() == before


def test_the_message_names_the_option_and_both_spellings(llmsched: Run, tmp_path: Path) -> None:
    outcome = llmsched("simulate", tmp_path / "t.jsonl", "-o", "out/../t.jsonl")
    message = f"--output out/../t.jsonl: expected a file that is no input, got {tmp_path}/t.jsonl"
    assert outcome == Outcome(2, "", f"llmsched: {message}\n")


@pytest.mark.parametrize("spelling", ["./t.jsonl", "./out/../t.jsonl", "soft", "hard", "chain"])
def test_every_spelling_of_a_file_and_every_link_to_it_is_that_file(
    llmsched: Run, spelling: str
) -> None:
    Path("soft").symlink_to("t.jsonl")
    Path("chain").symlink_to("soft")
    os.link("t.jsonl", "hard")
    for source, target in (("t.jsonl", spelling), (spelling, "t.jsonl")):
        assert (
            "expected a file that is no input" in llmsched("trace", "convert", source, target).err
        )
    assert Path("t.jsonl").read_text() == TRACE


def test_what_comes_through_stdin_or_leaves_through_stdout_is_a_file_as_well() -> None:
    def run(redirected: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-c", f'"{sys.executable}" -m llmsched trace convert {redirected}'],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
        )

    refused = "expected a file that is no input, got"
    into = run("- t.jsonl < t.jsonl")
    assert (into.returncode, into.stderr) == (2, f"llmsched: OUT t.jsonl: {refused} <stdin>\n")
    onto = run("t.jsonl - >> t.jsonl")
    assert (onto.returncode, onto.stderr) == (2, f"llmsched: stdout: {refused} t.jsonl\n")
    assert Path("t.jsonl").read_text() == TRACE
    assert run("t.jsonl /dev/stdout | cat").stdout.count("\n") == 4


def test_a_device_is_read_and_written_at_once(llmsched: Run) -> None:
    outcome = llmsched("simulate", "t.jsonl", "--requests", "/dev/null", "--steps", "/dev/null")
    assert (outcome.code, outcome.err) == (0, "")
    outcome = llmsched("trace", "convert", "/dev/null", "/dev/null")
    assert outcome.err == "llmsched: /dev/null:1: expected a trace, got an empty file\n"


def test_two_results_do_not_go_to_one_file(llmsched: Run) -> None:
    Path("old").write_text("old")
    Path("link").symlink_to("old")
    for first, second in (("new", "out/../new"), ("old", "link")):
        outcome = llmsched("simulate", "t.jsonl", "--requests", first, "--steps", second)
        message = f"--steps: expected another file than --requests {first}, got {second}"
        assert outcome == Outcome(2, "", f"llmsched: {message}\n")
    assert not Path("new").exists()


@pytest.mark.parametrize(
    "command",
    [
        "simulate nosuch --output missing/r.json",
        "plan nosuch.jsonl --output missing/r.json",
        "compare nosuch.jsonl --resume missing/r.json",
        "report nosuch.json --output missing/r.json",
        "trace convert nosuch.jsonl missing/r.json",
    ],
)
def test_a_folder_that_is_not_there_is_told_before_anything_is_read(
    llmsched: Run, command: str
) -> None:
    outcome = llmsched(*command.split())
    message = "llmsched: missing/r.json: cannot write: No such file or directory\n"
    assert outcome == Outcome(2, "", message)


def test_an_earlier_export_is_refused_before_the_plan(
    llmsched: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("it planned first")

    monkeypatch.setattr("llmsched.planning.plans.plan_replicas", never)
    outcome = llmsched("plan", "--input", "batch.jsonl", "--export", "out")
    message = "llmsched: out/replica-0.jsonl: is there already; --force replaces it\n"
    assert outcome == Outcome(2, "", message)
    outcome = llmsched("plan", "--input", "batch.jsonl", "--export", "t.jsonl")
    assert outcome == Outcome(2, "", "llmsched: t.jsonl: cannot write: Not a directory\n")


def test_a_result_may_go_into_the_folder_that_an_export_makes(llmsched: Run) -> None:
    run = ("plan", "--input", "batch.jsonl", "--export", "new", "--output", "new/plan.json")
    assert llmsched(*run).code == 0
    assert json.loads(Path("new/plan.json").read_text())["unit"] == "ms"


@pytest.mark.parametrize("name", ["manifest.json", "replica-0.jsonl"])
def test_a_result_replaces_no_file_of_the_export(llmsched: Run, name: str) -> None:
    run = ("plan", "--input", "batch.jsonl", "--export", "new", "--output", f"new/{name}")
    outcome = llmsched(*run)
    assert outcome.code == 2
    assert "--output: expected another file than the export's own" in outcome.err
    assert not Path("new").exists()


def test_a_claim_ends_with_its_run(llmsched: Run) -> None:
    assert llmsched("trace", "convert", "t.jsonl", "base.json").code == 0
    assert input_path("base.json") == Path("base.json")
    claim([("--output", "base.json")])
    with pytest.raises(InputError, match="expected a file that is no input"):
        input_path("base.json")
    release()


def test_every_file_is_opened_through_the_one_door() -> None:
    """A reader that does not ask `input_path` could read what the run then overwrites."""
    opens = ("open(", ".read_text(", ".read_bytes(", ".from_file(", "spec_from_file_location(")
    allowed = {
        "files.py": "the door itself",
        "cli/streams.py": "the null device",
        "cli/deliver.py": "appends to the job summary",
        "comparison/checkpoint.py": "goes on with its own output",
        "kernel/built.py": "the package's own sources",
    }
    for path in sorted((ROOT / "llmsched").rglob("*.py")):
        if str(path.relative_to(ROOT / "llmsched")) in allowed:
            continue
        lines = path.read_text().splitlines()
        for number, line in enumerate(lines):
            opening = any(word in line for word in opens) and "def " not in line
            if opening and ".fdopen(" not in line and "os.open(" not in line:
                near = "\n".join(lines[max(0, number - 8) : number + 3])
                assert "input_path(" in near, f"{path}:{number + 1}: {line.strip()}"
