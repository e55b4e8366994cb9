"""``llmsched simulate``: replay one trace under one policy."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmsched.cli import options
from llmsched.cli.doubts import (
    tell_of_engine,
    tell_of_first_wave,
    tell_of_served,
    tell_of_truth,
    warn_each,
)
from llmsched.cli.inputs import one_of, parse_slo
from llmsched.cli.measuring import Measuring
from llmsched.cli.output import emit, write_files
from llmsched.cli.progress import phase
from llmsched.cli.reading import Reading, TraceArgument
from llmsched.cli.streams import terminal
from llmsched.errors import InputError
from llmsched.notes import say

if TYPE_CHECKING:
    from llmsched.replay import Case

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
        rich_help_panel=options.OUTPUT,
        help="Write the times of each request.",
    ),
]
Steps = Annotated[
    Path | None,
    typer.Option(
        "--steps",
        metavar="FILE.csv",
        rich_help_panel=options.OUTPUT,
        help="Write the steps; a run of equal decode rounds is one row.",
    ),
]
Format = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="table|json",
        rich_help_panel=options.OUTPUT,
        help="Default: table; json for a file.",
    ),
]


def simulate(
    *,
    trace: TraceArgument = None,
    policy: PolicyName = "hybrid",
    engine: options.Engine,
    terms: options.Terms,
    slo: options.Slo = None,
    measuring: Measuring,
    latency_bound: options.LatencyBound = False,
    reading: Reading,
    requests: Requests = None,
    steps: Steps = None,
    format: Format = None,
    output: options.Output = None,
) -> None:
    """Replay one trace under one policy."""
    from llmsched.catalog import find, needs_lengths
    from llmsched.counted import Counted, first_wave
    from llmsched.engine.limits import on_error_of
    from llmsched.files import claim
    from llmsched.lengths import chosen_mode
    from llmsched.modelname import other_models
    from llmsched.planning.stored import read_replicas
    from llmsched.plausibility import doubts
    from llmsched.replay import Case, group_rows, replay
    from llmsched.report.single import render_json, render_single
    from llmsched.report.tables import requests_csv, steps_csv

    form = one_of("--format", format or ("json" if output else "table"), ("table", "json"))
    claim([("--requests", requests), ("--steps", steps), ("--output", output)])
    if terms.plan is not None and terms.concurrency is not None:
        raise InputError("--plan: expected without --concurrency: a plan says who runs where")
    asked = measuring.given
    loaded = reading.load(trace)
    measuring.tell_of_classes(reading.job_class)
    profile, config = engine.load(trace)
    case = Case(
        loaded,
        profile,
        config,
        lengths=chosen_mode(loaded, terms.lengths),
        seed=terms.seed or 0,
        concurrency=terms.concurrency,
        assignment=None if terms.plan is None else read_replicas(terms.plan, loaded),
        slo=None if slo is None else parse_slo(slo),
        on_error=on_error_of(reading.on_error),
        counted=Counted(asked.get("warmup"), asked.get("window")),
        by=asked.get("by"),
    )
    warn_each(
        doubts(
            case.served.trace,
            profile,
            config,
            case.concurrency,
            case.replicas,
            reading.speed or 1.0,
            case.least_work_s,
        )
        + other_models(loaded, profile)
    )
    tell_of_engine(len(loaded))
    chosen = find(policy)
    tell_of_served(case.serves(chosen), config)
    name = "replay" if chosen.offline is None else "rehearsal and replay"
    with phase(name, "requests") as progress:
        result, row = replay(case, chosen, progress, keep_steps=steps is not None)
    groups = group_rows(case, result)
    tell_of_first_wave({result.policy: row}, first_wave(result.arrival))
    if trace is not None and needs_lengths(chosen):
        tell_of_truth(loaded, case.lengths)
    proven = _proven(case, {"policy": result.policy, **row}, latency_bound)
    if form == "json":
        text = render_json(result, row, case.terms, groups, case.load, proven)
    else:
        page = terminal(output)
        text = render_single(result, row, case.terms, groups, case.load, proven, **page)
    write_files(
        [
            (requests, lambda: requests_csv(result)),
            (steps, lambda: steps_csv(result)),
            (output, lambda: text),
        ]
    )
    if output is None:
        emit(text, document=form == "json")


def _proven(case: Case, row: Mapping[str, Any], asked: bool) -> dict[str, Any]:
    """Return what no schedule beats of latency, or say why nothing is proven if that was asked."""
    from llmsched.latency_bounds import are_due, bounds_record

    if not are_due(case.trace, case.concurrency, case.replicas, asked=asked):
        return {}
    if asked and case.latency_bounds.reason:
        say(f"no bound on latency: {case.latency_bounds.reason}")
    return bounds_record(case.latency_bounds, [row])
