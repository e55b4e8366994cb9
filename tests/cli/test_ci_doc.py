"""The job in docs/ci.md does what it says: its commands run here, on two branches."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")

POLICY = """
from dataclasses import dataclass
from llmsched.orders import RankQueue

@dataclass(frozen=True)
class LongestFirst:
    def queue(self, jobs, view):
        return RankQueue({key})
"""


def _blocks(language: str) -> list[str]:
    return [block.split("```")[0] for block in PAGE.split(f"```{language}\n")[1:]]


def _steps() -> list[dict[str, Any]]:
    job = yaml.safe_load(_blocks("yaml")[1])["jobs"]["compare"]
    return [step for step in job["steps"] if "run" in step]


class Runner:
    """A stand-in for GitHub's runner: a checkout of the head branch, and a folder for its files."""

    def __init__(self, folder: Path) -> None:
        self.checkout, self.temporary = folder / "checkout", folder / "temp"
        self.summary = folder / "summary.md"
        programs = folder / "bin"
        for new in (self.checkout, self.temporary, programs):
            new.mkdir()
        tool = programs / "llmsched"
        tool.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m llmsched "$@"\n')
        pip = programs / "pip"
        pip.write_text("#!/bin/sh\nexit 0\n")  # llmsched is what is being tested
        for program in (tool, pip):
            program.chmod(0o755)
        self.environment = {
            **os.environ,
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "RUNNER_TEMP": str(self.temporary),
            "GITHUB_BASE_REF": "main",
            "GITHUB_STEP_SUMMARY": str(self.summary),
            "GIT_CONFIG_GLOBAL": os.devnull,
            **{f"GIT_{who}_{what}": "ci@localhost" for who in ("AUTHOR", "COMMITTER")
               for what in ("NAME", "EMAIL")},
        }  # fmt: skip

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        shell = [
            "bash",
            "--noprofile",
            "--norc",
            "-eo",
            "pipefail",
            "-c",
            command,
        ]  # as GitHub does
        return subprocess.run(
            shell, cwd=self.checkout, env=self.environment, capture_output=True, text=True
        )

    def git(self, command: str) -> None:
        done = self.run(f"git {command}")
        assert done.returncode == 0, done.stderr


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    if shutil.which("git") is None or shutil.which("bash") is None:
        pytest.skip("needs git and bash")
    runner = Runner(tmp_path)
    bench = runner.checkout / "bench"
    bench.mkdir()
    (bench / "ci.yaml").write_text(_blocks("yaml")[0])
    lines = [
        f'{{"timestamp": {60 * i}, "input_length": 200, "output_length": {20 + 97 * i % 400}}}\n'
        for i in range(200)
    ]
    (bench / "requests.jsonl").write_text("".join(lines))
    (runner.checkout / "policy.py").write_text(POLICY.format(key="-jobs.predicted_output_tokens"))
    runner.git("init --quiet --initial-branch=main")
    runner.git("add --all")
    runner.git("commit --quiet --message=base")
    runner.git("remote add origin .")
    runner.git("fetch --quiet origin")
    runner.git("checkout --quiet -b head")
    return runner


def _job(runner: Runner) -> dict[str, subprocess.CompletedProcess[str]]:
    done: dict[str, subprocess.CompletedProcess[str]] = {}
    for step in _steps():
        failed = any(run.returncode for run in done.values())
        if not failed or step.get("if") == "always()":
            done[step["name"]] = runner.run(step["run"])
    return done


def test_a_pull_request_that_changes_nothing_passes(runner: Runner) -> None:
    done = _job(runner)
    assert {name: run.returncode for name, run in done.items()} == dict.fromkeys(done, 0), done
    assert "0 worse, 0 better" in done["Head against base"].stdout
    assert "all 7 gates passed" in runner.summary.read_text()


def test_a_pull_request_that_makes_the_schedule_worse_fails_and_says_why(runner: Runner) -> None:
    (runner.checkout / "policy.py").write_text(POLICY.format(key="jobs.predicted_output_tokens"))
    done = _job(runner)
    assert done["Head against base"].returncode == 1
    assert "FAILED ./policy.py:LongestFirst (makespan_s:1%)" in done["Head against base"].stdout
    assert done["JUnit report"].returncode == 1  # it says the same
    assert "<failure" in (runner.checkout / "junit.xml").read_text()
    assert "gates failed" in runner.summary.read_text()


def test_a_pull_request_that_changes_the_experiment_is_told_so(runner: Runner) -> None:
    scenario = runner.checkout / "bench" / "ci.yaml"
    scenario.write_text(scenario.read_text().replace("max_num_seqs: 64", "max_num_seqs: 32"))
    head = _job(runner)["Head against base"]
    assert head.returncode == 3
    assert "engine.max_num_seqs: 32 here, 64 there" in head.stderr
    assert "not comparable" in runner.summary.read_text()


def test_a_pull_request_that_drops_a_policy_fails(runner: Runner) -> None:
    scenario = runner.checkout / "bench" / "ci.yaml"
    scenario.write_text(scenario.read_text().replace("[fcfs, vllm, ", "[fcfs, "))
    head = _job(runner)["Head against base"]
    assert head.returncode == 1
    assert "vllm is in the baseline, but no longer in this run" in head.stdout


def test_every_exit_code_in_the_page_is_one_that_the_command_line_documents() -> None:
    from llmsched import cli

    assert cli.__doc__ is not None
    codes = [line.split("|")[1].strip() for line in PAGE.splitlines() if line.startswith("| ")]
    for code in (code for code in codes if code.isdigit()):
        assert code in cli.__doc__
