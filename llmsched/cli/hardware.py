"""`llmsched hardware`: the shipped profiles, and profiles of one's own."""

from __future__ import annotations

from typing import Annotated

import typer

from llmsched.cli.common import Output, emit
from llmsched.errors import InputError

app = typer.Typer(
    help="Hardware profiles: list them, show one, calibrate your own.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command("list")
def list_profiles() -> None:
    """List the shipped profiles: where each came from, and what its steps cost."""
    from llmsched.hardware import load_profile, shipped_profiles
    from llmsched.hardware.describe import profile_list

    emit(profile_list([load_profile(name) for name in shipped_profiles()]))


@app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="NAME|FILE", help="Shipped profile or YAML file.")],
    format: Annotated[
        str,
        typer.Option("--format", metavar="table|yaml|json", help="yaml can be edited and used."),
    ] = "table",
    output: Output = None,
) -> None:
    """Show one profile: its facts, its provenance and a table of step times."""
    from llmsched.hardware import load_profile
    from llmsched.hardware.describe import profile_page
    from llmsched.hardware.document import as_json, as_yaml

    profile = load_profile(name)
    if format == "table":
        emit(profile_page(profile), output)
    elif format == "yaml":
        emit(as_yaml(profile.document), output)
    elif format == "json":
        emit(as_json(profile.document), output)
    else:
        raise InputError(f"--format: expected one of table, yaml, json, got {format!r}")
