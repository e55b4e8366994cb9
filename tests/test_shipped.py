"""What is shipped beside the code: its READMEs are true, and a wheel carries it too."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from llmsched.files import shipped
from llmsched.finding import find_trace, shipped_traces
from llmsched.importers import load

ROOT = Path(__file__).parents[1]
RECONSTRUCTED = {"gsm8k-llama65b", "gsm8k-llama65b-beta"}
LICENCES = ("CC-BY-4.0", "Apache-2.0", "MIT")


def _spread(tokens: NDArray[np.int64]) -> str:
    return f"{tokens.mean():,.1f} / {tokens.std():,.1f} / {tokens.max():,}"


def _rows() -> dict[str, list[str]]:
    """Return the cells of the table of real traces by name."""
    lines = (shipped("traces") / "README.md").read_text().splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {row[0]: row[1:] for row in rows if row[-1] in LICENCES}


@pytest.mark.parametrize("name", sorted(set(shipped_traces()) - RECONSTRUCTED))
def test_a_real_trace_is_what_its_readme_says_and_goes_by_its_bare_name(name: str) -> None:
    trace = load(find_trace(name))
    span = trace.arrival[-1] - trace.arrival[0]
    measured = [f"{len(trace):,}", f"{span:,.0f}"]
    measured += [_spread(trace.input_tokens), _spread(trace.output_tokens)]
    assert _rows()[name][:-1] == measured


@pytest.mark.parametrize("name", sorted(RECONSTRUCTED))
def test_a_reconstructed_trace_has_the_moments_that_its_readme_says(name: str) -> None:
    _, _, section = (shipped("traces") / "README.md").read_text().partition(f"## {name}.jsonl")
    row = next(line for line in section.splitlines() if line.startswith("| output tokens |"))
    tokens = load(find_trace(name)).output_tokens
    moments = [f"{tokens.mean():.2f}", f"{tokens.std():.2f}"]
    order = [f"{value:.0f}" for value in (tokens.min(), np.median(tokens), tokens.max())]
    assert [cell.strip() for cell in row.strip("|").split("|")][1:] == [*moments, *order]


def test_the_reconstructed_traces_have_the_same_prompts() -> None:
    one, other = (load(find_trace(name)) for name in sorted(RECONSTRUCTED))
    np.testing.assert_array_equal(one.input_tokens, other.input_tokens)
    assert one.id.tolist() == other.id.tolist()


def test_every_shipped_trace_is_named_in_the_readme() -> None:
    named = {*_rows(), *RECONSTRUCTED}
    assert named == set(shipped_traces())


def test_a_wheel_carries_each_folder_to_where_the_package_looks_for_it() -> None:
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    carried = build["targets"]["wheel"]["force-include"]
    assert {"traces", "scenarios", "tests/recorded/vllm-golden"} <= set(carried)
    for source, target in carried.items():
        assert target == f"llmsched/{source}"
        assert shipped(source).is_dir()


def test_the_readme_of_the_recordings_has_a_heading_for_each_folder() -> None:
    recorded = ROOT / "tests" / "recorded"
    headings = re.findall(r"^## ([\w-]+):", (recorded / "README.md").read_text(), re.MULTILINE)
    assert sorted(headings) == sorted(path.name for path in recorded.iterdir() if path.is_dir())
