"""``llmsched verify``: check a replay against what a real engine did, or a result by itself."""

from __future__ import annotations

from typing import Annotated

import typer

from llmsched.cli.common import emit

app = typer.Typer(
    help="Check results: against recorded schedules, and by an independent reader.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command()
def golden(
    files: Annotated[
        list[str],
        typer.Argument(metavar="FILE...", help="Recorded schedules, JSON or gzip."),
    ],
) -> None:
    """Replay recorded schedules with policy vllm and compare step by step.

    Exit 1 when one differs; its line says where first, with both sides' numbers.
    """
    from llmsched.verify.golden import check

    verdicts = [(name, check(name)) for name in files]
    for name, verdict in verdicts:
        counts = (
            f"{verdict.requests} requests, {verdict.steps} steps, {verdict.preemptions} preemptions"
        )
        if verdict.same:
            emit(f"ok       {name}: {counts}")
        else:
            emit(f"differs  {name}: {verdict.difference}")
    if not all(verdict.same for _, verdict in verdicts):
        raise typer.Exit(1)
