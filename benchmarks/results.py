"""The tables of docs/results.md, each made by the command that stands above it.

    python -m benchmarks.results [--check] [WORD]      or  make results

A table on the page lies between two comments: one with the command that makes it, and how long it
takes (seconds: the tests run it as well; minutes: only this does), and one that ends it. Everything
around is text. WORD picks the commands that contain it.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import re
import shlex
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from llmsched.cli import main as llmsched

PAGE = Path(__file__).resolve().parents[1] / "docs" / "results.md"

_BLOCK = re.compile(
    r"<!-- (?P<cost>seconds|minutes): llmsched (?P<command>.*?) -->\n(?P<table>.*?)<!-- end -->",
    re.DOTALL,
)


@dataclass(frozen=True)
class Table:
    """One table of the page: the arguments of its command, and what the page shows."""

    command: str
    cost: str
    shown: str

    def made(self) -> str:
        """Run the command and return what the page should show.

        Raises
        ------
        RuntimeError
            The command failed.
        """
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            code = llmsched([*shlex.split(self.command), "--format", "markdown"])
        if code:
            raise RuntimeError(f"llmsched {self.command}: exit code {code}")
        _, _, body = out.getvalue().partition("\n\n")  # without the heading: the page has its own
        return f"`llmsched {self.command}`\n\n{body}\n"


def tables(text: str) -> Iterator[Table]:
    """Yield the tables of a page in their order."""
    for block in _BLOCK.finditer(text):
        yield Table(block["command"], block["cost"], block["table"])


def replaced(text: str, table: Table, made: str) -> str:
    """Return the page with another content of one table."""

    def block(found: re.Match[str]) -> str:
        if found["command"] != table.command:
            return found[0]
        return f"<!-- {table.cost}: llmsched {table.command} -->\n{made}<!-- end -->"

    return _BLOCK.sub(block, text)


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description="Make the tables of docs/results.md.")
    parser.add_argument("word", nargs="?", default="", help="Only commands that contain this.")
    parser.add_argument("--check", action="store_true", help="Change nothing; exit 1 if they move.")
    arguments = parser.parse_args()
    moved = 0
    for table in tables(PAGE.read_text(encoding="utf-8")):
        if arguments.word not in table.command:
            continue
        began = time.process_time()
        made = table.made()
        moved += made != table.shown
        said = "as it was" if made == table.shown else "moved"
        print(f"{time.process_time() - began:7.1f} CPU-s  {said:<9}  {table.command}", flush=True)
        if not arguments.check:
            text = PAGE.read_text(encoding="utf-8")
            PAGE.write_text(replaced(text, table, made), encoding="utf-8")
    return 1 if arguments.check and moved else 0


if __name__ == "__main__":
    sys.exit(main())
