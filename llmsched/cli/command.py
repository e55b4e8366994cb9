"""What every command is: help by panels, and each option at most once."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from llmsched.cli.streams import terminal
from llmsched.errors import InputError


class GroupedHelp(TyperCommand):
    """A command with help by panels, which refuses an option of one value that is given twice.

    With the last one winning in silence, a script that adds an option to a command would not see
    that it was there already.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        values, _, given = self.make_parser(ctx).parse_args(list(args))
        for option in given:
            several = option.param_type_name != "option" or option.multiple or option.is_eager
            if not several and (times := given.count(option)) > 1:
                raise InputError(f"{option.opts[0]}: expected at most once, got {times} times")
        try:
            return super().parse_args(ctx, args)
        except typer.BadParameter as error:  # which does not say what was given
            value = None if error.param is None else values.get(error.param.name or "")
            if error.param is None or value is None:
                raise
            wanted = error.message.removeprefix("Input should be ").partition(",")[0]
            raise InputError(f"{error.param.opts[0]}: expected {wanted}, got {value!r}") from error

    def format_help(self, ctx: Any, formatter: Any) -> None:
        _set_up_help(self.get_params(ctx))
        super().format_help(ctx, formatter)


class GroupedCommands(TyperGroup):
    """Commands under one name."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        _set_up_help(self.get_params(ctx))
        super().format_help(ctx, formatter)


def _set_up_help(parameters: Iterable[Any]) -> None:
    """Let a page of help follow stdout alone, as every other page does.

    typer's would also ask the environment and the terminal that stdin is: a pipe would get colours
    in a CI job, and a width that depends on where it was run. And it would show a flag as an option
    that takes a value of type bool.
    """
    for parameter in parameters:
        if getattr(parameter, "is_flag", False):
            parameter.metavar = ""
    from typer import rich_utils

    shown = terminal()
    rich_utils.MAX_WIDTH = shown["width"]
    rich_utils.FORCE_TERMINAL = sys.stdout.isatty()
    rich_utils.COLOR_SYSTEM = "auto" if shown["color"] else None
