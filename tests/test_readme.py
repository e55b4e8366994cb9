"""Every figure in the README is one that the code prints."""

from __future__ import annotations

import json
import re
import statistics
from pathlib import Path

import pytest

from llmsched.cli import main

README = (Path(__file__).parents[1] / "README.md").read_text()
STUDIED = ("fcfs", "ljf", "online", "hybrid")


def compare(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, object]]:
    """Run a comparison and return its cells."""
    assert main(["compare", *arguments, "--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    return list(document.get("cells", [document]))


def makespans(cell: dict[str, object]) -> dict[str, float]:
    rows = cell["results"]
    assert isinstance(rows, list)
    return {row["policy"]: row["makespan_s"] for row in rows}


def table_row(start: str) -> list[str]:
    """Return the cells of the README's table row that begins with `start`."""
    line = next(line for line in README.splitlines() if line.startswith(f"| {start} |"))
    return [cell.strip(" *") for cell in line.strip("|").split("|")]


def test_the_first_table_is_what_the_first_command_prints(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    assert main(["compare"]) == 0
    printed = capsys.readouterr().out
    shown = re.findall(r"```text\n(.*?)```", README, re.DOTALL)[0]
    assert printed.startswith(shown)


def test_the_policy_of_the_readme_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = re.findall(r"```python\n(.*?)```", README, re.DOTALL)[0]
    (tmp_path / "my_policy.py").write_text(source)
    monkeypatch.chdir(tmp_path)
    command = next(line for line in README.splitlines() if "my_policy.py:Quarter," in line)
    cell = compare(capsys, *command.split()[2:])[0]
    assert len(makespans(cell)) == 3
    assert len([line for line in source.splitlines() if line.strip()]) <= 20


@pytest.mark.parametrize(("label", "cv"), [("10 %", "0.1"), ("30 %", "0.3"), ("50 %", "0.5")])
def test_the_table_of_length_errors_is_measured(
    label: str, cv: str, capsys: pytest.CaptureFixture[str]
) -> None:
    study = ("--cases", "20", "--draw", "lengths", "--policies", ",".join(STUDIED))
    measured = makespans(compare(capsys, "--lengths", f"noisy:{cv}", *study)[0])
    assert table_row(label)[1:] == [f"{measured[policy]:.2f}" for policy in STUDIED]


def test_the_hybrid_keeps_what_is_required_of_it_under_length_errors() -> None:
    hybrid = {label: float(table_row(label)[4]) for label in ("10 %", "30 %", "50 %")}
    assert hybrid["10 %"] <= 183.5
    assert hybrid["30 %"] <= 189.0
    assert hybrid["50 %"] <= float(table_row("50 %")[1])


SCENARIOS = {
    "`offline-math`, true lengths": ("offline-math", {"lengths": "oracle"}),
    "`offline-math`, 30 % error": ("offline-math", {"lengths": "noisy:0.3"}),
    "`chat`, 22 requests/s": ("chat", {"trace": "22 requests/s"}),
    "`code-bursts`": ("code-bursts", {}),
    "`long-context`, KV-bound": ("long-context", {}),
}
SHOWN = ("--policies", "vllm,hybrid")


@pytest.mark.parametrize("start", SCENARIOS)
def test_the_table_of_scenarios_is_measured(start: str, capsys: pytest.CaptureFixture[str]) -> None:
    scenario, filters = SCENARIOS[start]
    chosen = [word for axis, value in filters.items() for word in ("--filter", f"{axis}={value}")]
    (cell,) = compare(capsys, scenario, *chosen, *SHOWN)
    measured = makespans(cell)
    _, vllm, hybrid, _ = table_row(start)
    for text, policy in ((vllm, "vllm"), (hybrid, "hybrid")):
        number = text.removesuffix(" s").replace(",", "")
        decimals = len(number.partition(".")[2])
        assert number == f"{measured[policy]:.{decimals}f}"


def test_below_capacity_the_readme_promises_no_gain(capsys: pytest.CaptureFixture[str]) -> None:
    start = "`chat`, 6 and 11 requests/s"
    cells = [
        makespans(compare(capsys, "chat", "--filter", f"trace={rate} requests/s", *SHOWN)[0])
        for rate in (6, 11)
    ]
    _, vllm, hybrid, _ = table_row(start)
    for text, policy in ((vllm, "vllm"), (hybrid, "hybrid")):
        assert text == ", ".join(f"{cell[policy]:,.2f}" for cell in cells) + " s"
    assert statistics.fmean(c["hybrid"] / c["vllm"] for c in cells) == pytest.approx(1, abs=1e-3)
