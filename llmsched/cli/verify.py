"""``llmsched verify``: check a replay against what a real engine did, or a result by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from llmsched.cli import options
from llmsched.cli.command import GroupedCommands, GroupedHelp
from llmsched.cli.inputs import one_of
from llmsched.cli.output import emit
from llmsched.cli.progress import phase
from llmsched.cli.reading import Reading
from llmsched.cli.streams import terminal

app = typer.Typer(
    cls=GroupedCommands,
    help="Check results: against recorded schedules, and by an independent reader.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)


@app.command(cls=GroupedHelp)
def golden(
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[FILE...]",
            help="Recorded schedules, JSON or gzip. Default: the shipped ones, vLLM's.",
        ),
    ] = None,
) -> None:
    """Replay recorded schedules with policy vllm and compare step by step.

    Exit 1 when one differs; its line says where first, with both sides' numbers.
    """
    from llmsched.report.verify import golden_page
    from llmsched.verify.golden import check, recordings

    paths = {name: name for name in files} if files else {path.name: path for path in recordings()}
    verdicts = {}
    with phase("replay", "schedules") as progress:
        for name, path in paths.items():
            verdicts[name] = check(path)
            progress(len(verdicts), len(paths))
    emit(golden_page(verdicts, **terminal()))
    if not all(verdict.same for verdict in verdicts.values()):
        raise typer.Exit(1)


@app.command(cls=GroupedHelp)
@options.grouped
def result(
    *,
    requests: Annotated[
        Path,
        typer.Option(metavar="FILE.csv", help="What `simulate --requests` wrote."),
    ],
    steps: Annotated[Path, typer.Option(metavar="FILE.csv", help="What `simulate --steps` wrote.")],
    trace: Annotated[
        str | None,
        typer.Option(metavar="TRACE", help="The trace; default: gsm8k-llama65b."),
    ] = None,
    engine: options.Engine,
    concurrency: Annotated[
        int | None,
        typer.Option(metavar="N", rich_help_panel=options.ENGINE, help="Closed loop of N users."),
    ] = None,
    order: Annotated[
        str,
        typer.Option(
            metavar="any|fcfs",
            rich_help_panel=options.ENGINE,
            help="fcfs: admissions must follow arrivals.",
        ),
    ] = "any",
    reading: Reading,
) -> None:
    """Check the tables of a replay against the trace, the knobs and the prices.

    An independent reader: it shares no code with the engine. Give it the options the replay was
    given. Exit 1 if anything cannot be; each fault is a line with the law it breaks.
    """
    from llmsched.verify.replay import Replay
    from llmsched.verify.result import LAWS, faults
    from llmsched.verify.tables import read_requests, read_steps

    profile, config = engine.load(trace)
    replay = Replay(
        trace=reading.load(trace),
        requests=read_requests(requests),
        steps=read_steps(steps),
        config=config,
        step_time=profile.step_time,
        concurrency=concurrency,
        order=one_of("--order", order, ("any", "fcfs")),
    )
    found = faults(replay)
    if found:
        emit("\n".join(f"fault  {fault}" for fault in found))
        raise typer.Exit(1)
    counts = f"{len(replay.requests.id)} requests, {len(replay.steps.start_s)} step rows"
    emit(f"ok  {counts}, {len(LAWS)} laws hold")
