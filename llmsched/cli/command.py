"""What every command is: help by panels, and each option at most once."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from typer.core import TyperCommand, TyperGroup

from llmsched.cli.streams import terminal
from llmsched.errors import InputError


class _Value:
    """How the value of a parameter is read: here if it is plain or none, else by typer.

    typer asks pydantic even where nothing was given, and importing that takes a quarter of a short
    replay.
    """

    def __init__(self, parameter: Any) -> None:
        self._parameter = parameter

    def coerce(self, value: Any, **context: Any) -> Any:
        kind = self._parameter.type_descriptor.annotation
        if value is None:
            return () if self._parameter.multiple else None
        if kind == list[str] and all(map(_is_plain_text, value)):
            return [*value]
        if kind in _PLAIN and isinstance(value, str) and _PLAIN[kind](value):
            return kind(value)
        typers = type(self._parameter).get_runtime_param(self._parameter)
        return typers.coerce(value, **context)


def _is_plain_text(value: str) -> bool:
    return value.isascii()


def _is_plain_path(value: str) -> bool:
    return value.isascii() and (not os.path.lexists(value) or os.access(value, os.R_OK))


_PLAIN: dict[type, Callable[[str], object]] = {
    str: _is_plain_text,
    int: re.compile(r"-?[0-9]{1,18}").fullmatch,
    float: re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,15})?").fullmatch,
    Path: _is_plain_path,
}
"""Which words are read as what they are, without advice; no option has a range."""


def _plainly(parameters: list[Any]) -> list[Any]:
    """Let the values of parameters be read so."""
    for parameter in parameters:
        parameter.get_runtime_param = partial(_Value, parameter)
    return parameters


class GroupedHelp(TyperCommand):
    """A command with help by panels, which refuses an option of one value that is given twice.

    With the last one winning in silence, a script that adds an option to a command would not see
    that it was there already.
    """

    def get_params(self, ctx: Any) -> list[Any]:
        return _plainly(super().get_params(ctx))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        _, _, given = self.make_parser(ctx).parse_args(list(args))
        for option in given:
            several = option.param_type_name != "option" or option.multiple or option.is_eager
            if not several and (times := given.count(option)) > 1:
                raise InputError(f"{option.opts[0]}: expected at most once, got {times} times")
        return super().parse_args(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        _set_up_help(self.get_params(ctx))
        super().format_help(ctx, formatter)


class GroupedCommands(TyperGroup):
    """Commands under one name."""

    def get_params(self, ctx: Any) -> list[Any]:
        return _plainly(super().get_params(ctx))

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
