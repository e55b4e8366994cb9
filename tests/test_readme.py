"""Every figure in the README is one that the code prints, here or in docs/results.md."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from llmsched.cli import main

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
RESULTS = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")


def compare(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, object]:
    """Run a comparison and return its document."""
    assert main(["compare", *arguments, "--format", "json"]) == 0
    return dict(json.loads(capsys.readouterr().out))


def rows_of(heading: str) -> dict[str, list[str]]:
    """Return the cells of the table whose first title is `heading`, by the first cell of a row."""
    _, _, below = README.partition(f"\n| {heading} |")
    lines = below.partition("\n\n")[0].splitlines()[2:]
    rows = [[cell.strip(" *") for cell in line.strip("|").split("|")] for line in lines]
    return {name.replace("`", ""): cells for name, *cells in rows}


def test_the_first_table_is_the_range_over_the_reconstructions(
    capsys: pytest.CaptureFixture[str],
) -> None:
    document = compare(capsys)
    family = document["family"]
    assert isinstance(family, dict)
    shown = rows_of("policy")
    figures = (("makespan_s", 1.0), ("makespan_percent", 1.0), ("utilization", 100.0))
    for entry in family["ranges"]:
        if entry["policy"] not in shown:
            continue
        for cell, (name, scale) in zip(shown[entry["policy"]], figures, strict=True):
            least, greatest = (f"{end * scale:.2f}" for end in entry[name])
            text = least if least == greatest else f"{least} … {greatest}"
            assert cell.removesuffix(" (fitted)").replace("−", "-") in (text, "–"), entry
    assert shown.keys() >= {"fcfs", "ljf", "literal", "online", "hybrid"}
    assert "(fitted)" in shown["fcfs"][0]
    assert "(fitted)" in shown["fcfs"][2]
    assert shown["(lower bound)"][0] == "180.00 (fitted)"


def test_the_policy_of_the_readme_wins(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = re.findall(r"```python\n(.*?)```", README, re.DOTALL)[0]
    (tmp_path / "newest.py").write_text(source)
    monkeypatch.chdir(tmp_path)
    command = next(line for line in README.splitlines() if "newest.py:Newest" in line)
    document = compare(capsys, *command.split()[2:])
    results = document["results"]
    assert isinstance(results, list)
    vllm, sarathi, newest = results
    kept = [f"{100 * row['slo_attainment']:.1f} %" for row in (newest, vllm, sarathi)]
    _, _, sentence = README.partition(command)
    told = re.findall(r"[\d.]+ %", sentence)[:3]
    assert told == kept
    assert newest["slo_attainment"] > max(vllm["slo_attainment"], sarathi["slo_attainment"])
    late = [f"{row['p99_ttft_ms'] / 1e3:.0f} s" for row in (newest, vllm)]
    assert re.search(rf"p99 TTFT {late[0]} instead of {late[1]}", sentence)


def test_figures_of_long_studies_stand_in_the_results() -> None:
    """Those that `make results` measures, in minutes: the README quotes, it does not compute."""
    quoted = rows_of("scenario")
    assert len(quoted) >= 5
    for name, (*differences, _) in quoted.items():
        for difference in differences:
            for number in re.findall(r"[-−+]\d[\d.]*\d", difference):
                assert number.replace("−", "-") in RESULTS, (name, number)
