"""What every command is: one that takes each option at most once."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import typer

from llmsched.cli import app
from tests.cli.conftest import Outcome

Run = Callable[..., Outcome]


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("simulate --max-num-seqs 64 --max-num-seqs 128", "--max-num-seqs"),
        ("compare --max-num-seqs 64 --max-num-seqs=64", "--max-num-seqs"),
        ("compare --output a.json -o b.json", "--output"),
        ("plan --offline --offline", "--offline"),
        ("report a.json --pivot steps --pivot steps", "--pivot"),
        ("trace info --limit 1 --limit 2", "--limit"),
        ("trace convert a b --to native --to azure", "--to"),
        ("trace sample a b -n 1 --requests 2", "--requests"),
        ("trace generate a --seed 1 --seed 2", "--seed"),
        ("hardware show a --format json --format yaml", "--format"),
        ("hardware calibrate a --name a --name b", "--name"),
        ("verify result --steps a --steps b --requests c", "--steps"),
    ],
)
def test_an_option_given_twice_is_refused(llmsched: Run, command: str, message: str) -> None:
    outcome = llmsched(*command.split())
    expected = f"llmsched: {message}: expected at most once, got 2 times\n"
    assert outcome == Outcome(2, "", expected)


def test_an_option_that_may_be_repeated_is_not(llmsched: Run) -> None:
    repeated = ("--class", "a", "--class", "b", "--class", "a")
    assert "the trace has no classes" in llmsched("trace", "info", *repeated).err


def test_every_command_refuses_so() -> None:
    def walk(group: object) -> None:
        for command in getattr(group, "commands", {}).values():
            if hasattr(command, "commands"):
                walk(command)
            else:
                assert type(command).__name__ == "GroupedHelp", command.name

    walk(typer.main.get_command(app))


def test_a_filter_is_given_once_for_an_axis(llmsched: Run) -> None:
    outcome = llmsched("compare", "--filter", "policy=fcfs", "--filter", "policy=ljf")
    message = "llmsched: --filter: expected one pattern of policy, got two\n"
    assert outcome == Outcome(2, "", message)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("compare --limit 5k", "--limit: expected a valid integer, got '5k'"),
        ("simulate --speed=2.5x", "--speed: expected a valid number, got '2.5x'"),
        ("trace sample a b -n many", "--requests: expected a valid integer, got 'many'"),
    ],
)
def test_what_is_no_number_is_quoted(llmsched: Run, command: str, message: str) -> None:
    assert llmsched(*command.split()) == Outcome(2, "", f"llmsched: {message}\n")


def test_the_help_of_an_objective_is_one_for_all_commands(llmsched: Run) -> None:
    for command in ("compare", "simulate"):
        text = llmsched(command, "--help").out
        assert "[CLASS:]METRIC=MS,..." in text
        assert "p99_ttft_ms)" in text
