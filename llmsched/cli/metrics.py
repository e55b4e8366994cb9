"""``llmsched metrics``: what every number of a result is."""

from __future__ import annotations

from typing import Annotated

import typer

from llmsched.cli import options
from llmsched.cli.inputs import one_of
from llmsched.cli.output import emit
from llmsched.cli.streams import terminal


def metrics(
    *,
    format: Annotated[
        str,
        typer.Option(
            "--format", metavar="table|markdown", rich_help_panel=options.OUTPUT, help="As what."
        ),
    ] = "table",
) -> None:
    """List the metrics: what each one is, which way is better, and what it hides."""
    from llmsched.report.glossary import glossary, glossary_markdown

    form = one_of("--format", format, ("table", "markdown"))
    emit(
        glossary(**terminal()) if form == "table" else glossary_markdown(), document=form != "table"
    )
