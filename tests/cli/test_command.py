"""What every command is: one that takes each option at most once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
from typer.core import TyperCommand

from llmsched.cli import app
from llmsched.cli.command import GroupedHelp, _is_plain_path
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


WORDS = ["", "a", "é", "\udcff", "7", "-7", "007", "+7", "1_0", " 7", "7.", ".5", "0.5", "-0", "-"]
WORDS += ["--", "1e3", "nan", "9" * 18, "9" * 19, "0.1234567890123456789", "none/x", "/", "\u0667"]


@pytest.mark.parametrize("kind", [str, int, float, Path, list[str], bool])
@pytest.mark.parametrize("required", [True, False])
def test_what_is_read_here_is_read_as_typer_reads_it(kind: Any, required: bool) -> None:
    def command(x: Any = ...) -> None: ...

    option = typer.Option("--x", metavar="X")
    command.__annotations__ = {"x": Annotated[kind if required else kind | None, option]}
    command.__defaults__ = () if required else (None,)

    def ours_and_typers() -> Iterator[Any]:
        for read in (GroupedHelp, TyperCommand):
            app = typer.Typer()
            app.command(cls=read)(command)
            built = typer.main.get_command(app)
            yield (
                built,
                next(p for p in built.get_params(built.context_class(built)) if p.name == "x"),
            )

    def outcome(pair: Any, value: Any) -> Any:
        built, parameter = pair
        try:
            return repr(parameter.process_value(built.context_class(built), value))
        except typer.TyperException as error:
            return type(error), error.format_message()

    pairs = list(ours_and_typers())
    words: list[Any] = [[word, "b"] if kind == list[str] else word for word in WORDS]
    for value in (None, *words):
        ours, typers = (outcome(pair, value) for pair in pairs)
        assert ours == typers, value


def test_a_file_that_exists_is_plain_where_it_can_be_read(tmp_path: Path) -> None:
    assert _is_plain_path(str(tmp_path / "none"))
    assert _is_plain_path(str(tmp_path))
    (tmp_path / "loop").symlink_to("loop")
    assert not _is_plain_path(str(tmp_path / "loop"))
