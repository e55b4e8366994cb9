"""``llmsched verify``: check a replay against what a real engine did, or a result by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from llmsched.cli import common
from llmsched.cli.command import GroupedHelp
from llmsched.cli.common import emit

app = typer.Typer(
    help="Check results: against recorded schedules, and by an independent reader.",
    no_args_is_help=True,
    rich_markup_mode=None,
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
    from llmsched.verify.golden import check, recordings

    verdicts = [(name, check(name)) for name in files or map(str, recordings())]
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


@app.command(cls=GroupedHelp)
def result(
    requests: Annotated[
        Path,
        typer.Option(metavar="FILE.csv", help="What `simulate --requests` wrote."),
    ],
    steps: Annotated[Path, typer.Option(metavar="FILE.csv", help="What `simulate --steps` wrote.")],
    trace: Annotated[
        str | None,
        typer.Option(metavar="TRACE", help="The trace; default: gsm8k-llama65b."),
    ] = None,
    hardware: common.Hardware = None,
    max_num_seqs: common.MaxNumSeqs = None,
    max_num_batched_tokens: common.MaxNumBatchedTokens = None,
    block_size: common.BlockSize = None,
    num_gpu_blocks: common.NumGpuBlocks = None,
    engine: common.EngineKnob = None,
    concurrency: Annotated[
        int | None,
        typer.Option(metavar="N", rich_help_panel=common.ENGINE, help="Closed loop of N users."),
    ] = None,
    order: Annotated[
        str,
        typer.Option(
            metavar="any|fcfs",
            rich_help_panel=common.ENGINE,
            help="fcfs: admissions must follow arrivals.",
        ),
    ] = "any",
    trace_format: common.TraceFormat = None,
    time_unit: common.TimeUnit = None,
    limit: common.Limit = None,
    speed: common.Speed = None,
    offline: common.Offline = False,
    job_class: common.JobClass = None,
    on_error: common.OnError = None,
) -> None:
    """Check the tables of a replay against the trace, the knobs and the prices.

    An independent reader: it shares no code with the engine. Give it the options the replay was
    given. Exit 1 if anything cannot be; each fault is a line with the law it breaks.
    """
    from llmsched.verify.replay import Replay
    from llmsched.verify.result import LAWS, faults
    from llmsched.verify.tables import read_requests, read_steps

    reading = common.trace_options(
        trace_format, time_unit, limit, speed, offline, job_class, on_error
    )
    profile, config = common.load_engine(
        hardware,
        engine,
        trace=trace,
        max_num_seqs=max_num_seqs,
        max_num_batched_tokens=max_num_batched_tokens,
        block_size=block_size,
        num_gpu_blocks=num_gpu_blocks,
    )
    replay = Replay(
        trace=common.load_trace(trace, reading),
        requests=read_requests(requests),
        steps=read_steps(steps),
        config=config,
        step_time=profile.step_time,
        concurrency=concurrency,
        order=common.one_of("--order", order, ("any", "fcfs")),
    )
    found = faults(replay)
    if found:
        emit("\n".join(f"fault  {fault}" for fault in found))
        raise typer.Exit(1)
    counts = f"{len(replay.requests.id)} requests, {len(replay.steps.start_s)} step rows"
    emit(f"ok  {counts}, {len(LAWS)} laws hold")
