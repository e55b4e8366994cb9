"""The recipes of CONTRIBUTING.md work as written, each in a copy of the package."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pages import ROOT, blocks, commands

PAGE = ROOT / "CONTRIBUTING.md"
LOG = "answer_tok,received_us,prompt_tok\n7,500000,300\n9,1250000,40\n"


class Copy:
    """A copy of the checkout, as far as llmsched needs it to run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for part in ("llmsched", "traces", "scenarios"):
            shutil.copytree(
                ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__")
            )

    def write(self, language: str) -> None:
        """Write the blocks of one language where their first lines say."""
        for block in blocks(PAGE, language):
            path = self.folder / block.partition("\n")[0].removeprefix("# ")
            assert not path.exists(), "a recipe must not replace a file of the project"
            path.write_text(block, encoding="utf-8")

    def patch(self) -> None:
        """Insert the added lines of the recipe's diff, each behind the line before it."""
        for block in blocks(PAGE, "diff"):
            for part in block.split("--- ")[1:]:
                name, *lines = part.rstrip("\n").split("\n")
                path = self.folder / name
                before = "\n".join(line[1:] for line in lines if line[0] == " ") + "\n"
                after = "\n".join(line[1:] for line in lines) + "\n"
                source = path.read_text(encoding="utf-8")
                assert source.count(before) == 1, f"{name}: the recipe's context is gone"
                path.write_text(source.replace(before, after), encoding="utf-8")

    def run(self, *words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "llmsched", *words],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(self.folder)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    return Copy(tmp_path)


def written(start: str) -> tuple[str, ...]:
    """Return the words of the page's only command that begins so."""
    (found,) = [call.words for call in commands(PAGE) if " ".join(call.words).startswith(start)]
    return found


def test_a_new_order_and_a_new_rule_are_listed_and_compared(copy: Copy) -> None:
    copy.write("python")
    listed = copy.run(*written("policies"))
    assert re.search(r"^\s*shortest_prompt\s+Fewest input tokens first", listed, re.MULTILINE)
    assert re.search(r"^\s*full_house\s+Prefill once this share", listed, re.MULTILINE)
    compared = written("compare --limit 100 --policies fcfs,shortest_prompt")
    rows = copy.run(*compared, "--format", "csv").splitlines()
    assert [row.partition(",")[0] for row in rows[1:]] == [
        "fcfs",
        "shortest_prompt+full_house:share=0.25",
    ]


def test_a_new_importer_is_recognised_by_its_header(copy: Copy) -> None:
    copy.write("python")
    (copy.folder / "log.csv").write_text(LOG)
    copy.run("trace", "convert", "log.csv", "out.csv", "--to", "vidur")
    rows = (copy.folder / "out.csv").read_text().splitlines()
    assert rows[0] == "arrived_at,num_prefill_tokens,num_decode_tokens"
    assert [[float(cell) for cell in row.split(",")] for row in rows[1:]] == [
        [0, 300, 7],
        [0.75, 40, 9],
    ]


def test_a_new_metric_is_a_column_of_every_format_and_a_gate(copy: Copy) -> None:
    copy.patch()
    command = written("compare --limit 100 --policies fcfs,ljf")
    header, row, *_ = copy.run(*command).splitlines()
    cells = dict(zip(header.split(","), row.split(","), strict=True))
    per_step = int(cells["total_output_tokens"]) / int(cells["steps"])
    assert float(cells["tokens_per_step"]) == pytest.approx(per_step)
    assert "tokens_per_step" in copy.run(*command[:-2], "--format", "customBiggerIsBetter")
    copy.run(*command, "--fail-on", "tokens_per_step:0.1")


def test_a_new_profile_is_shipped_with_the_rest(copy: Copy) -> None:
    copy.write("yaml")
    assert "my-node" in copy.run(*written("hardware show my-node"))
