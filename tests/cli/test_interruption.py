"""A study that is stopped: what is kept, how it goes on, and that nothing of it stays behind.

Nothing here waits for a time. A run stops itself at a known point, says so, and is then sent a
signal; its pipes end once the last process that holds them has ended, workers included.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from llmsched.compare.executors import serially
from llmsched.compare.measure import Row
from llmsched.compare.study import Study, Task
from tests.cli.conftest import Outcome

Run = Callable[..., Outcome]
ROOT = Path(__file__).parents[2]

STOPPED = """
import sys
from {module} import {name}
from llmsched.cli import main

def stop(*arguments, real={name}.{method}, calls=[]):
    result = real(*arguments)
    calls.append(None)
    if len(calls) == {count}:
        print("stopped", flush=True)
        sys.stdin.readline()
    return result

{name}.{method} = stop
sys.exit(main(sys.argv[1:]))
"""
AFTER_THREE_ROWS = STOPPED.format(
    module="llmsched.compare.checkpoint", name="Checkpoint", method="add", count=3
)
AS_WORKERS_START = STOPPED.format(
    module="concurrent.futures", name="ProcessPoolExecutor", method="submit", count=2
)


@pytest.fixture(autouse=True)
def scenario(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run in a folder with a small scenario, without what a CI service sets."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    lines = [
        {"timestamp": 150 * i, "input_length": 10 + i, "output_length": 5 + 7 * (i % 6)}
        for i in range(40)
    ]
    Path("t.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    path = tmp_path / "s.yaml"
    path.write_text(
        "schema_version: 1\nname: small\ntrace: t.jsonl\n"
        "hardware: llama65b-8gpu-paper\nengine: {max_num_seqs: 4}\npolicies: [fcfs, ljf, sjf]\n"
    )
    return path


def _stopped(program: str, *arguments: object) -> subprocess.Popen[str]:
    """Start ``compare`` on many cases and return it once it stands still."""
    command = ("compare", "s.yaml", "--cases", "1000", *map(str, arguments))
    run = subprocess.Popen(
        [sys.executable, "-c", program, *command],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert run.stdout is not None
    assert run.stderr is not None
    assert run.stdout.readline() == "stopped\n", run.stderr.read()
    return run


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("jobs", [1, 2])
def test_an_interrupted_study_goes_on_where_it_stopped(
    llmsched: Run, how: signal.Signals, jobs: int
) -> None:
    run = _stopped(AFTER_THREE_ROWS, "--resume", "rows.jsonl", "--jobs", jobs)
    run.send_signal(how)
    out, err = run.communicate()
    assert out == ""
    if how == signal.SIGINT:
        assert run.returncode == 130
        assert "3 of 3000 runs are saved; continue with: llmsched compare" in err
        assert err.rstrip().endswith("llmsched: interrupted")
        assert "Traceback" not in err
    else:
        assert run.returncode == -how
    assert Path("rows.jsonl").read_bytes().count(b"\n") == 1 + 3
    arguments = ("compare", "s.yaml", "--cases", 10, "--format", "json")
    resumed = llmsched(*arguments, "--resume", "rows.jsonl")
    assert resumed.out == llmsched(*arguments).out


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_workers_end_with_a_parent_that_is_killed_while_they_start(how: signal.Signals) -> None:
    run = _stopped(AS_WORKERS_START, "--jobs", 2)
    run.send_signal(how)
    out, _ = run.communicate()  # waits for the workers and the tracker of their semaphores too
    assert (run.returncode, out) == (-how, "")


def test_an_interrupt_from_the_keyboard_shows_no_traceback_of_a_worker_that_starts() -> None:
    run = _stopped(AS_WORKERS_START, "--jobs", 2)
    os.killpg(run.pid, signal.SIGINT)  # a terminal tells every process of its foreground group
    out, err = run.communicate("go on\n")  # it holds interrupts until all workers are started
    assert (run.returncode, out, err) == (130, "", "llmsched: interrupted\n")


def test_an_interrupted_study_without_a_file_is_saved_and_says_how_to_go_on(
    llmsched: Run, scenario: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(study: Study, tasks: Iterable[Task]) -> Iterator[tuple[Task, Row]]:
        for done, result in enumerate(serially(study, tasks)):
            if done == 7:
                raise KeyboardInterrupt
            yield result

    arguments = ("compare", scenario, "--cases", 10, "--format", "json")
    with monkeypatch.context() as patched:
        patched.setattr("llmsched.compare.executors.serially", interrupted)
        patched.setattr(sys, "argv", ["llmsched", *map(str, arguments)])
        outcome = llmsched(*arguments)
    assert outcome.code == 130
    (saved,) = Path().glob("small-*.partial.jsonl")
    assert "7 of 30 runs are saved" in outcome.err
    assert f"--resume {saved}" in outcome.err
    resumed = llmsched(*arguments, "--resume", saved)
    assert resumed.out == llmsched(*arguments).out
