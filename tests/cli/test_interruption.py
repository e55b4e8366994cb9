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

from llmsched.comparison.executors import serially
from llmsched.comparison.study import Run as OneRun
from llmsched.comparison.study import Study
from llmsched.documents.row import Row
from tests.cli.conftest import Outcome

Run = Callable[..., Outcome]
ROOT = Path(__file__).parents[2]

WORKERS_AT_ONCE = """
import sys
from llmsched.cli import main
from llmsched.comparison import executors
executors.WORTH_S = 0
"""
AFTER_THREE_ROWS = f"""
{WORKERS_AT_ONCE}
from llmsched.comparison.checkpoint import Checkpoint

def add(self, task, row, real=Checkpoint.add):
    real(self, task, row)
    if len(self.rows) == 3:
        print("stopped", flush=True)
        sys.stdin.readline()

Checkpoint.add = add
sys.exit(main(sys.argv[1:]))
"""
AS_WORKERS_START = """
import os, sys
if any("spawn_main" in word for word in sys.orig_argv):
    os.write(1, b"stopped\\n")
    sys.stdin.readline()
"""
"""What Python runs first of all, here in each worker: as it starts, it stands still."""


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


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of temporary files of the runs that a test starts."""
    path = tmp_path / "temporary"
    path.mkdir()
    monkeypatch.setenv("TMPDIR", str(path))
    return path


def _shared_memory() -> set[str]:
    """Return the names of shared memory that Python made."""
    return {path.name for path in Path("/dev/shm").glob("psm_*")}


def _stopped(*command: object) -> subprocess.Popen[str]:
    """Start Python with ``compare`` on many cases and return it once it stands still."""
    run = subprocess.Popen(
        [sys.executable, *map(str, command), "--cases", "1000"],
        env={**os.environ, "PYTHONPATH": f"{Path.cwd()}:{ROOT}"},
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


def _stopped_as_workers_start() -> subprocess.Popen[str]:
    Path("sitecustomize.py").write_text(AS_WORKERS_START)
    run = f"{WORKERS_AT_ONCE}sys.exit(main(sys.argv[1:]))"
    return _stopped("-c", run, "compare", "s.yaml", "--jobs", 2)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("jobs", [1, 2])
def test_an_interrupted_study_goes_on_where_it_stopped(
    llmsched: Run, how: signal.Signals, jobs: int
) -> None:
    again = ("compare", "s.yaml", "--resume", "rows.jsonl")
    run = _stopped("-c", AFTER_THREE_ROWS, *again, "--jobs", jobs)
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
    run = _stopped_as_workers_start()
    run.send_signal(how)
    out, _ = run.communicate()  # waits for the workers and the tracker of their semaphores too
    assert (run.returncode, out.replace("stopped\n", "")) == (-how, "")


def test_an_interrupt_from_the_keyboard_shows_no_traceback_of_a_worker_that_starts() -> None:
    run = _stopped_as_workers_start()
    os.killpg(run.pid, signal.SIGINT)  # a terminal tells every process of its foreground group
    out, err = run.communicate()
    assert (run.returncode, out.replace("stopped\n", "")) == (130, "")
    assert err == "llmsched: interrupted\n"


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("whom", ["parent", "all"])
def test_no_file_stays_behind_a_study_that_is_stopped(
    folder: Path, how: signal.Signals, whom: str
) -> None:
    run = _stopped(
        "-c", AFTER_THREE_ROWS, "compare", "s.yaml", "--jobs", 2, "--resume", "rows.jsonl"
    )
    (os.kill if whom == "parent" else os.killpg)(run.pid, how)
    _, err = run.communicate()
    assert (list(folder.iterdir()), _shared_memory()) == ([], set())
    assert "shared_memory" not in err
    assert how != signal.SIGINT or "resource_tracker" not in err


KILL_A_WORKER = f"""
{WORKERS_AT_ONCE}
import multiprocessing
from llmsched.comparison.checkpoint import Checkpoint

def add(self, task, row, real=Checkpoint.add):
    real(self, task, row)
    if len(self.rows) == 3:
        multiprocessing.active_children()[0].kill()

Checkpoint.add = add
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("script", "policies", "code", "message"),
    [
        (KILL_A_WORKER, "fcfs,ljf", 0, ""),
        (f"{WORKERS_AT_ONCE}sys.exit(main(sys.argv[1:]))", "fcfs,vllm", 2, "vllm"),
    ],
)
def test_no_file_stays_behind_a_worker_that_dies_or_an_error(
    folder: Path, script: str, policies: str, code: int, message: str
) -> None:
    command = [sys.executable, "-c", script, "compare", "s.yaml", "--cases", "20"]
    run = subprocess.run(
        [*command, "--jobs", "2", "--resume", "rows.jsonl", "--policies", policies],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == code, run.stderr
    assert message in run.stderr
    assert (list(folder.iterdir()), _shared_memory()) == ([], set())
    assert "resource_tracker" not in run.stderr


def test_an_interrupted_study_without_a_file_is_saved_and_says_how_to_go_on(
    llmsched: Run, scenario: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(study: Study, tasks: Iterable[OneRun]) -> Iterator[tuple[OneRun, Row]]:
        for done, result in enumerate(serially(study, tasks)):
            if done == 7:
                raise KeyboardInterrupt
            yield result

    arguments = ("compare", scenario, "--cases", 10, "--format", "json")
    with monkeypatch.context() as patched:
        patched.setattr("llmsched.comparison.executors.serially", interrupted)
        patched.setattr(sys, "argv", ["llmsched", *map(str, arguments)])
        outcome = llmsched(*arguments)
    assert outcome.code == 130
    (saved,) = Path().glob("small-*.partial.jsonl")
    assert "7 of 30 runs are saved" in outcome.err
    assert f"--resume {saved}" in outcome.err
    resumed = llmsched(*arguments, "--resume", saved)
    assert resumed.out == llmsched(*arguments).out
