"""`llmsched hardware`: the shipped profiles, and profiles of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmsched.cli.command import GroupedCommands, GroupedHelp
from llmsched.cli.options import Knobs, Output, grouped
from llmsched.cli.output import emit
from llmsched.cli.progress import phase
from llmsched.cli.reading import Recognising
from llmsched.cli.streams import terminal
from llmsched.errors import InputError
from llmsched.notes import say, warn

_MISFIT_PERCENT = 10.0
"""Calibrated profiles that miss the requests they were fitted to by more than this are suspect."""

if TYPE_CHECKING:
    from llmsched.importers import TraceOptions

app = typer.Typer(
    cls=GroupedCommands,
    help="Hardware profiles: list them, show one, calibrate your own.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)


@app.command("list", cls=GroupedHelp)
def list_profiles() -> None:
    """List the shipped profiles: where each came from, and what its steps cost."""
    from llmsched.hardware import load_profile, shipped_profiles
    from llmsched.report.profiles import profile_list

    profiles = [load_profile(name) for name in shipped_profiles()]
    emit(profile_list(profiles, **terminal()))


@app.command(cls=GroupedHelp)
def show(
    name: Annotated[str, typer.Argument(metavar="NAME|FILE", help="Shipped profile or YAML file.")],
    format: Annotated[
        str,
        typer.Option("--format", metavar="table|yaml|json", help="yaml can be edited and used."),
    ] = "table",
    output: Output = None,
) -> None:
    """Show one profile: its facts, its provenance and a table of step times."""
    from llmsched.documents.yaml import as_json, as_yaml
    from llmsched.files import claim
    from llmsched.hardware import load_profile
    from llmsched.report.profiles import profile_page

    claim([("--output", output)])
    profile = load_profile(name)
    if format == "table":
        emit(profile_page(profile, **terminal(output)), output)
    elif format == "yaml":
        emit(as_yaml(profile.document), output, document=True)
    elif format == "json":
        emit(as_json(profile.document), output, document=True)
    else:
        raise InputError(f"--format: expected one of table, yaml, json, got {format!r}")


@app.command(cls=GroupedHelp)
@grouped
def calibrate(
    *,
    source: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="CSV of measured steps, or the per-request times of a real run: vllm bench "
            "--save-detailed, GuideLLM, AIPerf, inference-perf and others; see docs/traces.md.",
        ),
    ],
    kind: Annotated[
        str | None,
        typer.Option(
            "--kind", metavar="affine|piecewise", help="Default: piecewise; runs: affine."
        ),
    ] = None,
    fit_share: Annotated[
        float,
        typer.Option(
            "--fit-share",
            metavar="X",
            help="Runs: fit to this first share of the requests, judge on the rest; 1 fits to all.",
        ),
    ] = 0.5,
    name: Annotated[
        str | None, typer.Option("--name", help="Name of the profile; default: from FILE.")
    ] = None,
    knobs: Knobs,
    reading: Recognising,
    output: Output = None,
) -> None:
    """Fit a profile to measurements; the report goes to stdout, the profile to --output."""
    from llmsched.calibration.recorded import is_run
    from llmsched.documents.yaml import as_yaml
    from llmsched.files import claim, write_whole
    from llmsched.importers import TraceOptions

    claim([("--output", output)])
    engine, options = knobs.given, TraceOptions(**reading.given)
    name = name or Path(source).name.partition(".")[0]
    if is_run(source, options):
        if kind not in (None, "affine"):
            raise InputError(f"--kind: expected affine for a run, got {kind!r}")
        report, document = _from_run(source, options, name, engine, fit_share)
    else:
        report, document = _from_steps(source, name, engine, kind or "piecewise")
    if "num_gpu_blocks" not in engine:
        say(f"{name}: no limit on KV blocks without --num-gpu-blocks")
    if output is not None:
        write_whole(output, as_yaml(document))
    emit(report)


def _from_steps(
    source: str, name: str, engine: dict[str, Any], kind: str
) -> tuple[str, dict[str, object]]:
    from llmsched.calibration.measured import read_steps
    from llmsched.calibration.outcome import profile_document, steps_provenance
    from llmsched.calibration.steps import calibrate
    from llmsched.report.calibration import steps_report

    steps = read_steps(source)
    with phase("calibration"):
        found = calibrate(steps, kind)
    provenance = steps_provenance(Path(source).name, steps, found)
    document = profile_document(name, found.step_time, engine, provenance)
    return steps_report(Path(source).name, steps, found, **terminal()), document


def _from_run(
    source: str, options: TraceOptions, name: str, engine: dict[str, Any], share: float
) -> tuple[str, dict[str, object]]:
    from dataclasses import replace

    import numpy as np

    from llmsched.calibration.agreement import headlines
    from llmsched.calibration.outcome import profile_document, run_provenance
    from llmsched.calibration.recorded import read_run
    from llmsched.calibration.runs import calibrate_run
    from llmsched.config import EngineConfig
    from llmsched.hardware import parse_profile
    from llmsched.report.calibration import run_report

    if not 0 < share <= 1:
        raise InputError(f"--fit-share: expected a number in (0, 1], got {share:g}")
    run = read_run(source, options)
    if "max_num_seqs" not in engine or "max_num_batched_tokens" not in engine:
        raise InputError("--max-num-seqs, --max-num-batched-tokens: a run needs the engine's knobs")
    for note in run.notes:
        say(f"{source}: {note}")
    config = replace(EngineConfig(), **engine)
    first = np.arange(len(run.trace)) < round(share * len(run.trace))
    fitted, held = first & run.is_known, ~first & run.is_known
    with phase("calibration") as progress:
        found = calibrate_run(run, config, fitted, progress.tell)
    document = profile_document(name, found.step_time, engine, {})
    profile = parse_profile(document, source)
    groups = {f"first {fitted.sum()} requests, fitted": fitted}
    if held.any():
        groups[f"last {held.sum()} requests, not fitted"] = held
    judged = headlines(run, profile, config, groups)
    held_out = list(judged.values())[-1] if held.any() else []
    worst = max(next(iter(judged.values())), key=lambda line: abs(line.error_percent))
    if abs(worst.error_percent) > _MISFIT_PERCENT:
        warn(
            f"{source}: the fit misses its own requests by {worst.error_percent:+.0f} % "
            f"({worst.name}): are --num-gpu-blocks and the other knobs those of the run?"
        )
    provenance = run_provenance(Path(source).name, int(fitted.sum()), found, held_out)
    document = profile_document(name, found.step_time, engine, provenance)
    return run_report(Path(source).name, found, judged, **terminal()), document
