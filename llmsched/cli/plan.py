"""``llmsched plan``: the offline phase, for slots, for replicas, for a batch file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llmsched.cli import common
from llmsched.cli.doubts import tell_of_truth, warn
from llmsched.errors import InputError
from llmsched.notes import say

if TYPE_CHECKING:
    from llmsched.packing import Progress
    from llmsched.planning.batch import Batch

PLAN, BATCH = "Plan", "Batch file"

Replicas = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        rich_help_panel=PLAN,
        help="Split the requests over N engines of max_num_seqs slots each.",
    ),
]
Speeds = Annotated[
    str | None,
    typer.Option(
        metavar="X,X,...",
        rich_help_panel=PLAN,
        help="Speed of each replica; the fastest is 1 and has the profile's times.",
    ),
]
Unit = Annotated[
    str, typer.Option(metavar="rounds|ms", rich_help_panel=PLAN, help="What slot loads count.")
]
Solver = Annotated[
    str,
    typer.Option(
        metavar="auto|cp-sat|heuristic",
        rich_help_panel=PLAN,
        help="heuristic: no proof beyond simple bounds; cp-sat: the plain assignment model.",
    ),
]
TimeLimit = Annotated[
    float | None,
    typer.Option(
        metavar="S",
        rich_help_panel=PLAN,
        help="Wall-clock cap; what it cuts short may differ from run to run.",
    ),
]
Objective = Annotated[
    str,
    typer.Option(
        metavar="makespan|expected",
        rich_help_panel=PLAN,
        help="expected: least mean over sampled lengths; needs --lengths noisy:CV.",
    ),
]
Samples = Annotated[
    int, typer.Option(metavar="N", rich_help_panel=PLAN, help="Sampled lengths, if noisy.")
]
ReplayPolicy = Annotated[
    str | None,
    typer.Option(
        "--policy",
        metavar="NAME",
        rich_help_panel=PLAN,
        help="Policy that replicas are simulated with. Default: ljf, or ljf+chunked where the "
        "profile prices mixed steps.",
    ),
]
Input = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", rich_help_panel=BATCH, help="Plan an OpenAI batch file (vllm run-batch)."
    ),
]
Export = Annotated[
    Path | None,
    typer.Option(metavar="DIR", rich_help_panel=BATCH, help="Write a batch file a replica here."),
]
Force = Annotated[
    bool, typer.Option("--force", rich_help_panel=BATCH, help="Replace an earlier export.")
]
CharsPerToken = Annotated[
    float,
    typer.Option(metavar="X", rich_help_panel=BATCH, help="Estimate prompt tokens by characters."),
]
Tokenizer = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", rich_help_panel=BATCH, help="Count them with this tokenizer.json instead."
    ),
]
Predict = Annotated[
    str,
    typer.Option(
        metavar="SOURCE",
        rich_help_panel=BATCH,
        help="Output lengths: max_tokens, a path in the request (body.metadata.expected), or a "
        "CSV file with custom_id,output_tokens.",
    ),
]
Format = Annotated[
    str,
    typer.Option("--format", "-f", metavar="table|json", rich_help_panel=common.OUTPUT),
]


def plan(
    trace: common.TraceArgument = None,
    replicas: Replicas = None,
    speeds: Speeds = None,
    unit: Unit = "rounds",
    solver: Solver = "auto",
    time_limit: TimeLimit = None,
    objective: Objective = "makespan",
    samples: Samples = 100,
    policy: ReplayPolicy = None,
    input: Input = None,
    export: Export = None,
    force: Force = False,
    chars_per_token: CharsPerToken = 4.0,
    tokenizer: Tokenizer = None,
    predict: Predict = "max_tokens",
    hardware: common.Hardware = None,
    max_num_seqs: common.MaxNumSeqs = None,
    max_num_batched_tokens: common.MaxNumBatchedTokens = None,
    lengths: common.Lengths = None,
    seed: common.Seed = None,
    trace_format: common.TraceFormat = None,
    time_unit: common.TimeUnit = None,
    limit: common.Limit = None,
    speed: common.Speed = None,
    offline: common.Offline = False,
    job_class: common.JobClass = None,
    on_error: common.OnError = None,
    format: Format = "table",
    output: common.Output = None,
) -> None:
    """Pack requests onto slots or replicas, with a proven bound on the makespan."""
    from llmsched.files import claim, plain
    from llmsched.hardware.fitted import beyond_fit
    from llmsched.lengths import chosen_mode
    from llmsched.modelname import other_models
    from llmsched.planning.batch import earlier_export, is_exported
    from llmsched.planning.case import Case
    from llmsched.planning.plans import plan_replicas, plan_slots, write_batch

    reading = common.trace_options(
        trace_format, time_unit, limit, speed, offline, job_class, on_error
    )
    if format not in ("table", "json"):
        raise InputError(f"--format: expected table or json, got {format!r}")
    if time_limit is not None and not 0 < time_limit < float("inf"):
        raise InputError(f"--time-limit: expected seconds > 0, got {time_limit}")
    _refuse_mixtures(input, export, trace or reading, replicas, speeds, objective, lengths)
    old = () if export is None else earlier_export(export, force=force)
    claim([("--output", output), *(("--export", path) for path in old)], makes=export)
    if output is not None and export is not None and is_exported(output, export):
        raise InputError(f"--output: expected another file than the export's own, got {output}")
    batch = None if input is None else _batch(input, chars_per_token, tokenizer, predict)
    machine, config = common.load_engine(
        hardware,
        None,
        trace=trace if input is None else str(input),
        max_num_seqs=max_num_seqs,
        max_num_batched_tokens=max_num_batched_tokens,
    )
    requests = common.load_trace(trace, reading) if batch is None else batch.trace
    warn(beyond_fit(machine, config, len(requests)) + other_models(requests, machine))
    mode = plain(predict) if batch is not None else chosen_mode(requests, lengths)
    case = Case(
        requests, machine, config, mode, seed or 0, objective, samples, estimated=batch is not None
    )
    if replicas is None and batch is None:
        answer = plan_slots(case, unit, solver, time_limit, _Ticker())
    else:
        count = 1 if replicas is None else replicas
        answer = plan_replicas(case, count, policy, _numbers(speeds), _Ticker())
        if batch is not None and export is not None:
            write_batch(batch, answer, config.max_num_seqs, export, force)
    if trace is not None:
        tell_of_truth(requests, mode, "the plan knows")
    if output is not None:
        common.emit(answer.json(), output)
    json = format == "json"
    common.emit(answer.json() if json else answer.table, document=json)
    if answer.interrupted:
        raise typer.Exit(130)


def _numbers(text: str | None) -> tuple[float, ...]:
    """Return the numbers of a comma-separated list."""
    try:
        return tuple(float(part) for part in text.split(",")) if text is not None else ()
    except ValueError as error:
        raise InputError(f"--speeds: expected numbers with commas between, got {text!r}") from error


def _refuse_mixtures(
    input: Path | None,
    export: Path | None,
    traced: object,
    replicas: int | None,
    speeds: str | None,
    objective: str,
    lengths: str | None,
) -> None:
    """Refuse options that say nothing together."""
    if speeds is not None and replicas is None:
        raise InputError("--speeds: expected together with --replicas N")
    if input is None and export is not None:
        raise InputError("--export: expected together with --input FILE")
    if input is not None and (traced or lengths is not None):
        raise InputError("--input: expected without a trace, its options, and --lengths")
    if objective not in ("makespan", "expected"):
        raise InputError(f"--objective: expected makespan or expected, got {objective!r}")
    if objective == "expected" and (replicas or not (lengths or "").startswith("noisy:")):
        raise InputError("--objective: expected needs --lengths noisy:CV, and no --replicas")


def _batch(path: Path, chars_per_token: float, tokenizer: Path | None, predict: str) -> Batch:
    from llmsched.planning import batch

    if tokenizer is None:
        count = batch.count_characters(chars_per_token)
    else:
        count = batch.count_with(tokenizer)
    read = batch.read_batch(path, count, predict)
    if read.skipped_parts:
        note = f"{read.skipped_parts:,} parts that are not text count no tokens"
        say(f"{path}: {note}")
    return read


class _Ticker:
    """Bound and incumbent on stderr, once a second, for what takes longer than that."""

    def __init__(self) -> None:
        self._told = 0.0

    def __call__(self, progress: Progress) -> None:
        if progress.seconds - self._told < 1.0:
            return
        self._told = progress.seconds
        stands = f"makespan {progress.makespan:,}, bound {progress.lower_bound:,}"
        say(f"plan: {progress.seconds:5.1f} s  {stands}  ({progress.stage})")
