"""Every table of docs/results.md is what the command above it prints."""

from __future__ import annotations

import shlex

import pytest
from typer.core import TyperCommand

from benchmarks.results import PAGE, Table, replaced, tables
from llmsched.cli import main

TABLES = list(tables(PAGE.read_text(encoding="utf-8")))
QUICK = [table for table in TABLES if table.cost == "seconds"]


@pytest.mark.parametrize("table", QUICK, ids=lambda table: table.command)
def test_a_table_is_what_its_command_prints(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    assert table.made() == table.shown


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.command)
def test_every_table_is_filled_and_its_command_can_be_typed(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TyperCommand, "invoke", lambda self, context: None)  # parsed, not run
    assert main(shlex.split(table.command)) == 0
    assert table.shown.startswith(f"`llmsched {table.command}`\n\n")
    assert "| hybrid |" in table.shown


def test_a_table_replaces_only_its_own() -> None:
    block = "<!-- seconds: llmsched {} -->\nold\n<!-- end -->\n"
    page = "text\n" + block.format("a") + "between\n" + block.format("b")
    first, _ = tables(page)
    expected = page.replace("old", "new", 1)
    assert replaced(page, first, "new\n") == expected


def test_a_command_that_fails_makes_no_table(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RuntimeError, match="exit code 2"):
        Table("compare no-such-scenario", "seconds", "").made()
    assert "no-such-scenario" in capsys.readouterr().err
