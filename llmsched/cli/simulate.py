"""``llmsched simulate``: replay one trace under one policy."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from llmsched.cli import common
from llmsched.cli.doubts import tell_of_truth, warn
from llmsched.errors import InputError

PolicyName = Annotated[
    str,
    typer.Option(
        "--policy",
        metavar="NAME",
        help="A named policy, ORDER+RULE, or FILE.py:CLASS; see `llmsched policies`.",
    ),
]
Requests = Annotated[
    Path | None,
    typer.Option(
        "--requests",
        metavar="FILE.csv",
        rich_help_panel=common.OUTPUT,
        help="Write the times of each request.",
    ),
]
Steps = Annotated[
    Path | None,
    typer.Option(
        "--steps",
        metavar="FILE.csv",
        rich_help_panel=common.OUTPUT,
        help="Write the steps; a run of equal decode rounds is one row.",
    ),
]
Format = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="table|json",
        rich_help_panel=common.OUTPUT,
        help="Default: table; json for a file.",
    ),
]


def simulate(
    trace: common.TraceArgument = None,
    policy: PolicyName = "hybrid",
    hardware: common.Hardware = None,
    max_num_seqs: common.MaxNumSeqs = None,
    max_num_batched_tokens: common.MaxNumBatchedTokens = None,
    block_size: common.BlockSize = None,
    num_gpu_blocks: common.NumGpuBlocks = None,
    engine: common.EngineKnob = None,
    concurrency: common.Concurrency = None,
    plan: common.PlanFile = None,
    lengths: common.Lengths = None,
    seed: common.Seed = None,
    slo: common.Slo = None,
    trace_format: common.TraceFormat = None,
    time_unit: common.TimeUnit = None,
    limit: common.Limit = None,
    speed: common.Speed = None,
    offline: common.Offline = False,
    job_class: common.JobClass = None,
    on_error: common.OnError = None,
    requests: Requests = None,
    steps: Steps = None,
    format: Format = None,
    output: common.Output = None,
) -> None:
    """Replay a trace under one policy on a simulated engine."""
    from llmsched.catalog import find, needs_lengths
    from llmsched.files import claim
    from llmsched.lengths import chosen_mode
    from llmsched.modelname import other_models
    from llmsched.planning.stored import read_replicas
    from llmsched.plausibility import doubts
    from llmsched.replay import Case, replay
    from llmsched.report.single import render_json, render_single
    from llmsched.report.tables import requests_csv, steps_csv

    form = common.one_of("--format", format or ("json" if output else "table"), ("table", "json"))
    claim([("--requests", requests), ("--steps", steps), ("--output", output)])
    if plan is not None and concurrency is not None:
        raise InputError("--plan: expected without --concurrency: a plan says who runs where")
    reading = common.trace_options(
        trace_format, time_unit, limit, speed, offline, job_class, on_error
    )
    loaded = common.load_trace(trace, reading)
    profile, config = common.load_engine(
        hardware,
        engine,
        trace=trace,
        max_num_seqs=max_num_seqs,
        max_num_batched_tokens=max_num_batched_tokens,
        block_size=block_size,
        num_gpu_blocks=num_gpu_blocks,
    )
    case = Case(
        loaded,
        profile,
        config,
        lengths=chosen_mode(loaded, lengths),
        seed=seed or 0,
        concurrency=concurrency,
        assignment=None if plan is None else read_replicas(plan, loaded),
        slo=None if slo is None else common.parse_slo(slo),
    )
    warn(doubts(loaded, profile, config, concurrency, case.replicas, speed or 1.0))
    warn(other_models(loaded, profile))
    chosen = find(policy)
    result, row = replay(case, chosen)
    if trace is not None and needs_lengths(chosen):
        tell_of_truth(loaded, case.lengths)
    text = (
        render_json(result, row, case.terms)
        if form == "json"
        else render_single(result, row, case.terms)
    )
    common.write_files(
        [
            (requests, lambda: requests_csv(result)),
            (steps, lambda: steps_csv(result)),
            (output, lambda: text),
        ]
    )
    if output is None:
        common.emit(text, document=form == "json")
