"""Streams that are closed or cannot show a character: the run goes on, files stay UTF-8."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TRACE = '{"timestamp":0,"input_length":10,"output_length":20}\n' * 4


@pytest.fixture(autouse=True)
def trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("t.jsonl").write_text(TRACE)


def _run(command: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run a command of the shell in which ``llmsched`` is this checkout's."""
    shell = f'llmsched() {{ "{sys.executable}" -m llmsched "$@"; }}; {command}'
    variables = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    return subprocess.run(["bash", "-c", shell], env=variables, capture_output=True)


@pytest.mark.parametrize(
    "closed", ["<&-", ">&-", "2>&-", "<&- >&-", "<&- 2>&-", ">&- 2>&-", "<&- >&- 2>&-"]
)
@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("simulate t.jsonl --output r.json", 0),
        ("compare t.jsonl --policies fcfs,ljf --jobs 2", 0),
        ("compare t.jsonl --policies fcfs --fail-on makespan_s:0.001", 1),
        ("trace convert t.jsonl -", 0),
        ("trace info nosuch.jsonl", 2),
        ("policies --nonsense", 2),
    ],
)
def test_a_closed_stream_changes_no_exit_code(command: str, code: int, closed: str) -> None:
    done = _run(f"llmsched {command} {closed}")
    assert done.returncode == code
    assert b"Traceback" not in done.stderr
    if "--output" in command:
        assert json.loads(Path("r.json").read_text())["results"]


def test_a_closed_stdin_is_empty() -> None:
    done = _run("llmsched simulate - <&-")
    message = b"llmsched: <stdin>:1: expected a trace, got an empty file\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, b"", message)


ASCII = [
    {"PYTHONIOENCODING": "ascii"},
    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
]


@pytest.mark.parametrize("environment", [*ASCII, {"PYTHONIOENCODING": "cp1252"}])
def test_marks_degrade_and_columns_hold(environment: dict[str, str]) -> None:
    command = "llmsched compare t.jsonl --policies fcfs,ljf --cases 3"
    plain = _run(command, PYTHONIOENCODING="utf-8").stdout.decode()
    done = _run(command, **environment)
    assert (done.returncode, done.stderr) == (0, b"")
    shown = done.stdout.decode("cp1252")
    assert "v better, x worse than fcfs" in shown
    assert "D total" in shown
    assert [len(line) for line in shown.splitlines()] == [len(line) for line in plain.splitlines()]
    assert all(a == b for a, b in zip(shown, plain, strict=True) if b.isascii())


@pytest.mark.parametrize("environment", [*ASCII, {"PYTHONIOENCODING": "cp1252"}])
def test_a_document_is_utf8_wherever_it_goes(environment: dict[str, str]) -> None:
    Path("ö✓.jsonl").write_text(TRACE)
    for command in ("llmsched simulate ö*.jsonl --format json", "llmsched trace info ö*.jsonl"):
        assert _run(command, **environment).returncode == 0
    run = "llmsched compare ö*.jsonl --policies fcfs,ljf --format json"
    done = _run(run, **environment)
    assert json.loads(done.stdout.decode())["scenario"] == "ö✓.jsonl"
    _run(f"{run} --output r.json", **environment)
    assert json.loads(Path("r.json").read_text(encoding="utf-8"))["scenario"] == "ö✓.jsonl"


def test_a_name_that_is_no_utf8_is_spelled_out() -> None:
    name = b"t\xff.jsonl"
    with open(name, "wb") as stream:
        stream.write(TRACE.encode())
    for command in ("simulate --policy fcfs", "compare --policies fcfs"):
        done = _run(f"llmsched {command} --format json t?.jsonl")
        assert json.loads(done.stdout)["trace"]["name"] == "t\\xff.jsonl"
    done = _run("llmsched simulate $'no\\xff.jsonl'")
    message = b"llmsched: no\\udcff.jsonl: cannot read: No such file or directory\n"
    assert (done.returncode, done.stderr) == (2, message)


ENVIRONMENTS: list[dict[str, str]] = [
    {"TERM": "dumb"},
    {"NO_COLOR": "1", "TERM": "xterm-256color"},
    {"FORCE_COLOR": "1", "TTY_COMPATIBLE": "1", "TERM": "xterm-256color"}
    | {"GITHUB_ACTIONS": "true", "PY_COLORS": "1", "TERMINAL_WIDTH": "40"},
]


@pytest.mark.parametrize(
    "command",
    [
        "compare t.jsonl --policies fcfs,ljf --cases 3",
        "simulate t.jsonl",
        "trace info t.jsonl",
        "plan --help",
        "policies",
        "hardware list",
    ],
)
def test_a_pipe_gets_the_same_bytes_whatever_the_environment(command: str) -> None:
    bare = f"env -i PYTHONPATH='{ROOT}' '{sys.executable}' -m llmsched {command}"
    expected = subprocess.run(["bash", "-c", bare], capture_output=True, check=True).stdout
    assert b"\x1b" not in expected
    assert max(map(len, expected.decode().splitlines())) <= 80
    for environment in ENVIRONMENTS:
        assert _run(f"llmsched {command}", COLUMNS="", **environment).stdout == expected, (
            environment
        )


def test_a_pipe_is_as_wide_as_columns_says() -> None:
    command = "llmsched compare t.jsonl --policies fcfs,ljf"
    wide, narrow = (_run(command, COLUMNS=str(width)).stdout.decode() for width in (200, 1))
    assert wide.count("\nfcfs ") == 1
    assert max(map(len, narrow.splitlines())) <= 40


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_a_file_has_80_columns_wherever_it_is_written(width: int) -> None:
    _run("llmsched trace info t.jsonl --output page.txt", COLUMNS=str(width))
    assert max(map(len, Path("page.txt").read_text().splitlines())) <= 80
