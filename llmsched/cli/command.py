"""What every command is: help by panels, and each option at most once."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand

from llmsched.errors import InputError


class GroupedHelp(TyperCommand):
    """A command whose help lists options under the panels they name, in plain text.

    An option that takes one value is refused when it is given twice: with the last one winning in
    silence, a script that adds an option to a command would not see that it was there already.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        _, _, given = self.make_parser(ctx).parse_args(list(args))
        for option in given:
            several = option.param_type_name != "option" or option.multiple or option.is_eager
            if not several and (times := given.count(option)) > 1:
                raise InputError(f"{option.opts[0]}: expected at most once, got {times} times")
        return super().parse_args(ctx, args)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        groups: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                panel = getattr(parameter, "rich_help_panel", None)
                fallback = "Options" if parameter.param_type_name == "option" else "Arguments"
                groups.setdefault(panel or fallback, []).append(record)
        for title in sorted(groups, key=lambda title: (title == "Options", title != "Arguments")):
            with formatter.section(title):
                formatter.write_dl(groups[title])
