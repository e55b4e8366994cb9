"""The shell around every command: version, help, usage errors, broken pipes, defects."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from llmsched import __version__, kernel
from llmsched.cli import app
from tests.cli.conftest import Outcome

Run = Callable[..., Outcome]
ROOT = Path(__file__).parents[2]
COMMANDS = (
    *("compare", "simulate", "plan", "report", "policies", "schema"),
    *("hardware", "trace", "verify"),
)


def _python(code: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )


def test_the_version_is_that_of_the_package_and_names_the_kernel_that_runs(llmsched: Run) -> None:
    assert llmsched("--version") == Outcome(0, f"llmsched {__version__}\n{kernel.which()}\n", "")


@pytest.mark.parametrize("arguments", [(), ("--help",)])
def test_help_lists_every_command(llmsched: Run, arguments: tuple[str, ...]) -> None:
    outcome = llmsched(*arguments)
    assert outcome.code == 0
    listed = outcome.out.split("Commands ─")[1]
    assert all(f"│ {command} " in listed for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_every_command_fits_a_terminal(llmsched: Run, command: str) -> None:
    outcome = llmsched(command, "--help")
    assert outcome.code == 0
    assert outcome.err == ""
    assert max(map(len, outcome.out.splitlines())) <= 80


@pytest.mark.parametrize("group", ["trace", "hardware", "verify"])
def test_a_group_alone_shows_its_commands(llmsched: Run, group: str) -> None:
    outcome = llmsched(group)
    assert (outcome.code, outcome.err) == (2, "")
    assert outcome.out.strip() == llmsched(group, "--help").out.strip()


def test_the_help_of_a_command_has_its_panels_and_every_option(llmsched: Run) -> None:
    out = llmsched("compare", "--help").out
    panels = re.findall("╭─ ([A-Z][a-z ]+) ─", out)
    assert panels == [
        "Arguments",
        "Options",
        "Run",
        "Engine",
        "Trace",
        "Gates",
        "Metrics",
        "Output",
    ]
    group = get_command(app)
    assert isinstance(group, TyperGroup)
    parameters = group.commands["compare"].params
    options = [option for parameter in parameters for option in parameter.opts]
    assert all(option in out for option in options if option.startswith("--"))


def test_help_waits_for_nothing_heavy() -> None:
    done = _python(
        "import sys\nfrom llmsched.cli import main\nmain(['--help'])\nmain(['compare', '--help'])\n"
        "heavy = {'numpy', 'pandas', 'scipy', 'ortools', 'orjson', 'yaml', 'distributed'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    assert done.stderr.strip() == "[]"


def test_a_replay_waits_for_no_pandas_until_it_writes_tables(tmp_path: Path) -> None:
    run = "import sys\nfrom llmsched.cli import main\nmain({})\nprint('pandas' in sys.modules)"
    short = ["simulate", "--limit", "5", "--policy", "fcfs"]
    assert _python(run.format(short)).stdout.endswith("False\n")
    tables = [*short, "--requests", str(tmp_path / "requests.csv")]
    assert _python(run.format(tables)).stdout.endswith("True\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nonsense",), "No such command 'nonsense'"),
        (("--frobnicate",), "No such option: --frobnicate"),
        (("compare", "a", "b"), "unexpected extra argument"),
        (("report",), "Missing argument 'FILE'"),
        (("compare", "--jobs", "two"), "--jobs"),
    ],
)
def test_a_usage_error_is_one_line_and_exit_2(
    llmsched: Run, arguments: tuple[str, ...], message: str
) -> None:
    outcome = llmsched(*arguments)
    assert outcome.code == 2
    assert outcome.out == ""
    assert message in outcome.err
    assert len(outcome.err.splitlines()) == 1


def test_a_reader_that_leaves_is_no_error() -> None:
    command = f'"{sys.executable}" -m llmsched compare --policies fcfs,ljf --format json'
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command} | head -c 10"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_gate_still_fails_when_the_reader_has_left() -> None:
    command = (
        f'"{sys.executable}" -m llmsched compare --policies fcfs,ljf --fail-on makespan_s:-90%'
    )
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command} | true"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


def test_a_full_disk_behind_stdout_is_one_line_and_exit_2() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("/dev/full is not on this machine")
    done = subprocess.run(
        ["bash", "-c", f'"{sys.executable}" -m llmsched policies > /dev/full'],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr == "llmsched: stdout: cannot write: No space left on device\n"


def test_a_policy_that_ends_the_program_is_not_a_success(llmsched: Run, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("raise SystemExit(0)\n")
    outcome = llmsched("simulate", "--policy", f"{file}:Rule")
    assert outcome == Outcome(2, "", f"llmsched: policy '{file}:Rule': mine.py:1: SystemExit: 0\n")


def test_a_defect_shows_a_traceback_and_is_not_mistaken_for_a_failed_gate(
    llmsched: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr("llmsched.cli.compare._scenario", broken)
    outcome = llmsched("compare")
    assert outcome.code == 70
    assert "RuntimeError: a defect" in outcome.err
