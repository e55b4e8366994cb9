"""The hosted workflows, which cannot run here: their structure, and their cheap shell steps."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from llmsched import __version__
from llmsched.cli import main
from tests.pages import ROOT, text

WORKFLOWS = sorted(ROOT.glob(".github/workflows/*.yml"))
PROJECT = tomllib.loads(text(ROOT / "pyproject.toml"))["project"]
PINNED = {"actions/checkout@v6", "actions/setup-python@v6", "actions/upload-artifact@v7"}


def load(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.load(text(path), Loader=yaml.BaseLoader)  # `on` is no boolean
    return loaded


def steps(path: Path) -> list[dict[str, Any]]:
    return [step for job in load(path)["jobs"].values() for step in job["steps"]]


def shell(name: str, start: str) -> str:
    """Return the shell text of the step whose name begins so."""
    path = ROOT / ".github/workflows" / name
    (found,) = [step["run"] for step in steps(path) if step.get("name", "").startswith(start)]
    return str(found)


def run(command: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    words = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", command]  # `shell: bash`
    path = {"PATH": "/usr/bin:/bin", **environment}
    return subprocess.run(words, cwd=folder, env=path, capture_output=True, text=True)


def program(path: Path, body: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def test_there_is_a_workflow_for_changes_for_nights_and_for_releases() -> None:
    assert [path.stem for path in WORKFLOWS] == ["ci", "nightly", "release"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_may_only_read_and_never_runs_twice_at_once(path: Path) -> None:
    workflow = load(path)
    assert workflow["permissions"] == {"contents": "read"}
    assert workflow["concurrency"]["group"] == "${{ github.workflow }}-${{ github.ref }}"
    assert workflow["defaults"]["run"]["shell"] == "bash"  # with pipefail, which the default lacks
    for job in workflow["jobs"].values():
        assert "permissions" not in job
        assert int(job["timeout-minutes"]) > 0


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_every_action_is_one_of_githubs_own_at_a_pinned_version(path: Path) -> None:
    used = [step["uses"] for step in steps(path) if "uses" in step]
    assert set(used) == PINNED or set(used) == PINNED - {"actions/upload-artifact@v7"}
    for step in steps(path):
        if step.get("uses", "").startswith("actions/checkout"):
            assert step["with"]["persist-credentials"] == "false"


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_no_shell_step_holds_an_expression_that_a_stranger_could_fill(path: Path) -> None:
    for step in steps(path):
        assert "${{" not in step.get("run", "")


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_every_make_target_of_a_step_exists(path: Path) -> None:
    targets = re.findall(r"^([a-z-]+):.*##", text(ROOT / "Makefile"), re.MULTILINE)
    called = re.findall(r"make ([a-z-]+)", " ".join(step.get("run", "") for step in steps(path)))
    assert set(called) <= set(targets)


def test_ci_runs_its_script_on_every_python_that_the_package_names() -> None:
    job = load(ROOT / ".github/workflows/ci.yml")["jobs"]["test"]
    versions = job["strategy"]["matrix"]["python"]
    named = [
        line.rpartition(" ")[2] for line in PROJECT["classifiers"] if re.search(r":: 3\.\d", line)
    ]
    assert versions == named
    assert PROJECT["requires-python"] == f">={versions[0]}"
    (script,) = [step for step in job["steps"] if "run" in step]
    assert script["run"] == "bash .ci/run"
    assert script["env"]["LLMSCHED_KERNEL"] == "compiled"
    assert script["env"]["PYTHON"] == "${{ steps.python.outputs.python-path }}"


def test_ci_runs_its_script_without_a_compiler_too() -> None:
    (script,) = [
        step
        for step in load(ROOT / ".github/workflows/ci.yml")["jobs"]["no-compiler"]["steps"]
        if "run" in step
    ]
    assert (script["run"], script["env"]) == ("bash .ci/run", {"CC": "/bin/false"})


@pytest.mark.parametrize("engine", ["compiled", "Python, slower: no working compiler"])
def test_the_script_runs_checks_then_the_sources_of_what_is_compiled_and_all_tests_last(
    engine: str, tmp_path: Path
) -> None:
    (tmp_path / ".ci").mkdir()
    (tmp_path / ".ci/run").write_text(text(ROOT / ".ci/run"))
    (tmp_path / "Makefile").write_text("check test:\n\t@echo make $@ $$LLMSCHED_KERNEL\n")
    program(tmp_path / ".venv/bin/llmsched", f"echo llmsched 1.2.3; echo 'engine: {engine}'")
    program(tmp_path / ".venv/bin/python", 'echo "$LLMSCHED_KERNEL: $*"')
    done = run("bash .ci/run", tmp_path)
    sources = ["engine: compiled", "python: -m pytest tests/kernel tests/engine -n auto"]
    between = sources if engine == "compiled" else []
    assert done.stdout.splitlines() == ["make check", *between, "make test"]
    assert "`make test`" in text(ROOT / "README.md")


def test_the_wheels_of_a_release_fail_where_they_are_not_compiled() -> None:
    settings = tomllib.loads(text(ROOT / "pyproject.toml"))["tool"]["cibuildwheel"]
    assert settings["environment"] == {"LLMSCHED_KERNEL": "compiled"}
    assert "python -m cibuildwheel " in shell("release.yml", "Build and test the compiled")


def test_the_makefile_takes_the_python_that_the_environment_names(tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_text(text(ROOT / "Makefile"))
    (tmp_path / "pyproject.toml").touch()
    program(tmp_path / "python", f'echo "called: $*" >> "{tmp_path}/calls"; exit 7')
    done = run("make test", tmp_path, PYTHON=str(tmp_path / "python"))
    assert done.returncode == 2
    assert (tmp_path / "calls").read_text().startswith("called: -c import sys")


@pytest.mark.parametrize(("tag", "code"), [("v1.2.3", 0), ("v1.2.4", 1), ("1.2.3", 0)])
def test_a_release_whose_tag_is_not_its_version_fails(tag: str, code: int, tmp_path: Path) -> None:
    program(tmp_path / "build/try/bin/llmsched", "echo llmsched 1.2.3; echo engine: compiled")
    step = shell("release.yml", "The tag is the version")
    assert run(step, tmp_path, GITHUB_REF_NAME=tag).returncode == code


def test_the_coverage_step_appends_the_total_to_the_summary(tmp_path: Path) -> None:
    program(tmp_path / ".venv/bin/python", 'echo "$*"')
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    step = shell("ci.yml", "Show the total")
    assert run(step, tmp_path, GITHUB_STEP_SUMMARY=str(summary)).returncode == 0
    expected = "-m coverage report --format=markdown --fail-under=0"
    assert summary.read_text() == f"before\n{expected}\n"


def test_a_benchmark_that_fails_is_not_hidden_by_the_pipe(tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_text("bench:\n\t@echo 105,413; exit 3\n")
    done = run(shell("nightly.yml", "Requests replayed"), tmp_path)
    assert done.returncode == 2
    assert (tmp_path / "bench.txt").read_text().startswith("105,413\n")


def test_the_nightly_sweep_has_its_minutes_and_another_seed_every_night(tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_text("sweep:\n\t@echo $(MINUTES) $(SEED)\n")
    step = shell("nightly.yml", "Sweep")
    assert run(step, tmp_path, MINUTES="60", GITHUB_RUN_NUMBER="17").stdout == "60 17\n"


def test_one_version_stands_everywhere(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.partition("\n")[0] == f"llmsched {__version__}"
    citation = yaml.safe_load(text(ROOT / "CITATION.cff"))
    assert str(citation["version"]) == importlib.metadata.version("llmsched") == __version__
    assert f"## {__version__}" in text(ROOT / "CHANGELOG.md")
    assert PROJECT["dynamic"] == ["version"]
    assert citation["license"] == PROJECT["license"]
    assert [author["name"] for author in PROJECT["authors"]] == [citation["authors"][0]["name"]]


@pytest.mark.parametrize(
    "path", sorted(ROOT.glob(".github/ISSUE_TEMPLATE/[!c]*.yml")), ids=lambda p: p.stem
)
def test_an_issue_form_asks_for_something_under_names_that_differ(path: Path) -> None:
    form = yaml.safe_load(text(path))
    assert {"name", "description", "body"} <= form.keys()
    fields = [field for field in form["body"] if field["type"] != "markdown"]
    assert len({field["id"] for field in fields}) == len(fields) >= 3
    assert any(field.get("validations", {}).get("required") for field in fields)


def test_the_hooks_are_the_programs_of_make_check_and_fetch_nothing() -> None:
    hooks = yaml.safe_load(text(ROOT / ".pre-commit-config.yaml"))["repos"]
    assert [repository["repo"] for repository in hooks] == ["local"]
    entries = [hook["entry"].replace(" --force-exclude", "") for hook in hooks[0]["hooks"]]
    called = re.findall(r"\$\(BIN\)/(ruff format|ruff check|mypy)", text(ROOT / "Makefile"))
    assert entries == [f".venv/bin/{program}" for program in called]
