"""What commands share: the trace argument, options under one name and one meaning, output."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmsched.cli.streams import write_document
from llmsched.errors import InputError
from llmsched.notes import discard

if TYPE_CHECKING:
    from llmsched.config import EngineConfig
    from llmsched.hardware import HardwareProfile
    from llmsched.hardware.profile import Choice
    from llmsched.trace import Trace

TRACE = "Trace"
ENGINE = "Engine"
OUTPUT = "Output"


TraceArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="TRACE",
        show_default=False,
        help="Trace file (plain or .gz), - for stdin, or the name of a shipped trace. "
        "Default: gsm8k-llama65b.",
    ),
]
TraceFormat = Annotated[
    str | None,
    typer.Option(
        "--trace-format", metavar="NAME", rich_help_panel=TRACE, help="Format; default: recognised."
    ),
]
TimeUnit = Annotated[
    str | None,
    typer.Option(
        "--time-unit",
        metavar="UNIT",
        rich_help_panel=TRACE,
        help="Unit of the arrivals: s, ms, us, ns.",
    ),
]
Limit = Annotated[
    int | None,
    typer.Option("--limit", metavar="N", rich_help_panel=TRACE, help="Only the first N requests."),
]
Speed = Annotated[
    float | None,
    typer.Option(
        "--speed", metavar="X", rich_help_panel=TRACE, help="Divide the arrival times by X."
    ),
]
Offline = Annotated[
    bool,
    typer.Option("--offline", rich_help_panel=TRACE, help="All requests arrive at time 0."),
]
JobClass = Annotated[
    list[str] | None,
    typer.Option(
        "--class", metavar="NAME", rich_help_panel=TRACE, help="Only this class; may be repeated."
    ),
]
OnError = Annotated[
    str | None,
    typer.Option(
        "--on-error",
        metavar="fail|skip",
        rich_help_panel=TRACE,
        help="What a bad row is: an error, or dropped and counted. Default: fail.",
    ),
]

Hardware = Annotated[
    str | None,
    typer.Option(
        "--hardware",
        metavar="NAME|FILE",
        show_default=False,
        rich_help_panel=ENGINE,
        help="Hardware profile, see `llmsched hardware list`. Default: that of the paper for its "
        "trace, else llama3-8b-a100, assumed.",
    ),
]
MaxNumSeqs = Annotated[
    int | None,
    typer.Option(
        "--max-num-seqs",
        metavar="N",
        rich_help_panel=ENGINE,
        help="Slots: sequences running at once.",
    ),
]
MaxNumBatchedTokens = Annotated[
    int | None,
    typer.Option(
        "--max-num-batched-tokens",
        metavar="N",
        rich_help_panel=ENGINE,
        help="Tokens a step may compute.",
    ),
]
BlockSize = Annotated[
    int | None,
    typer.Option(
        "--block-size", metavar="N", rich_help_panel=ENGINE, help="Tokens a KV-cache block holds."
    ),
]
NumGpuBlocks = Annotated[
    int | None,
    typer.Option(
        "--num-gpu-blocks",
        metavar="N",
        rich_help_panel=ENGINE,
        help="KV-cache blocks of the device.",
    ),
]
Lengths = Annotated[
    str | None,
    typer.Option(
        "--lengths",
        metavar="MODE",
        rich_help_panel=ENGINE,
        help="Output lengths that policies see: oracle (the true ones), mean, noisy:CV "
        "(noisy:0.3), or trace (its predicted_output_length). Default: trace where it has them, "
        "else oracle.",
    ),
]
Seed = Annotated[
    int | None,
    typer.Option("--seed", metavar="N", rich_help_panel=ENGINE, help="Seed of everything random."),
]

Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        rich_help_panel=OUTPUT,
        help="Write the result here, whole or not at all.",
    ),
]


PAPER_TRACE = "gsm8k-llama65b"
PAPER_HARDWARE = "llama65b-8gpu-paper"
ASSUMED_HARDWARE = "llama3-8b-a100"
"""For a trace of one's own: fitted, and it prices mixed steps, so that every policy can run."""


EngineKnob = Annotated[
    list[str] | None,
    typer.Option(
        "--engine",
        metavar="KNOB=VALUE",
        rich_help_panel=ENGINE,
        help="Any other knob (watermark, admission, reserve, victim, max_output_tokens, "
        "max_model_len, long_prefill_token_threshold); may be repeated.",
    ),
]
Concurrency = Annotated[
    int | None,
    typer.Option(
        "--concurrency",
        metavar="N",
        rich_help_panel=ENGINE,
        help="Closed loop of N users: ignore arrivals, the next request starts as one finishes.",
    ),
]
PlanFile = Annotated[
    Path | None,
    typer.Option(
        "--plan",
        metavar="PLAN.json",
        rich_help_panel=ENGINE,
        help="Replay on all replicas of a plan (`llmsched plan --replicas N --output PLAN.json`).",
    ),
]
Slo = Annotated[
    str | None,
    typer.Option(
        metavar="METRIC=MS,...",
        help="Limits on ttft_ms, tpot_ms, e2el_ms: attainment and goodput.",
    ),
]


def load_trace(source: str | None, reading: dict[str, Any]) -> Trace:
    """Load the trace that the command line names; the shipped GSM8K one by default."""
    from llmsched.finding import find_trace
    from llmsched.importers import TraceOptions, load

    return load(find_trace(PAPER_TRACE if source is None else source), TraceOptions(**reading))


def choose_hardware(hardware: str | None, trace: str | None) -> tuple[str, Choice]:
    """Return the profile to use and who chose it, by the options that name profile and trace."""
    if hardware is not None:
        return hardware, "named"
    if trace is None or (trace == PAPER_TRACE and not Path(trace).exists()):
        return PAPER_HARDWARE, "default"
    return ASSUMED_HARDWARE, "assumed"


def load_engine(
    hardware: str | None, engine: list[str] | None, *, trace: str | None, **knobs: int | None
) -> tuple[HardwareProfile, EngineConfig]:
    """Load the profile that the command line names, and its engine with the knobs given.

    Where it names none, that is the profile for this `trace`.

    Raises
    ------
    InputError
        An unknown profile or knob, or a value that the knob does not take.
    """
    from dataclasses import replace

    from llmsched.hardware import load_profile

    name, chosen = choose_hardware(hardware, trace)
    profile = replace(load_profile(name), chosen=chosen)
    return profile, replace(profile.engine, **engine_changes(engine, **knobs))


def parse_knobs(texts: list[str] | None) -> dict[str, Any]:
    """Read each ``KNOB=VALUE``.

    Raises
    ------
    InputError
        An unknown knob, or no value.
    """
    knobs: dict[str, Any] = {}
    for text in texts or []:
        name, value = _knob(text)
        if name in knobs:
            raise InputError(f"--engine: expected one value of {name}, got two")
        knobs[name] = value
    return knobs


def engine_changes(engine: list[str] | None, **knobs: int | None) -> dict[str, Any]:
    """Return the engine knobs that were given, by options of their own or by ``--engine``.

    Raises
    ------
    InputError
        An unknown knob, no value, or a knob given twice.
    """
    own, others = given(**knobs), parse_knobs(engine)
    for name in own.keys() & others.keys():
        option = "--" + name.replace("_", "-")
        raise InputError(f"--engine: expected one value of {name}, got another by {option}")
    return own | others


def _knob(text: str) -> tuple[str, object]:
    from dataclasses import fields

    from llmsched.config import EngineConfig

    name, equals, value = text.partition("=")
    known = [field.name for field in fields(EngineConfig)]
    name = name.replace("-", "_")
    if name not in known or not equals:
        raise InputError(
            f"--engine: expected KNOB=VALUE with one of {', '.join(known)}; got {text!r}"
        )
    for kind in (int, float):
        try:
            return name, kind(value)
        except ValueError:
            continue
    return name, None if value == "none" and name.startswith(("max_", "num_")) else value


def one_of(option: str, value: str, choices: tuple[str, ...]) -> str:
    """Return `value` if it is one of `choices`.

    Raises
    ------
    InputError
        It is not.
    """
    if value not in choices:
        raise InputError(f"{option}: expected one of {', '.join(choices)}; got {value!r}")
    return value


def parse_slo(text: str) -> dict[str, float]:
    """Read ``ttft_ms=200,tpot_ms=50``.

    Raises
    ------
    InputError
        An unknown metric, or a limit that is not a positive number.
    """
    from llmsched.metrics import SLO_METRICS

    limits: dict[str, float] = {}
    for part in text.split(","):
        name, _, value = part.partition("=")
        try:
            limit = float(value)
        except ValueError:
            limit = -1.0
        if name not in SLO_METRICS or not 0 < limit < float("inf"):
            wanted = " or ".join(f"{metric}=MS" for metric in SLO_METRICS)
            raise InputError(f"--slo: expected {wanted}, got {part!r}")
        if name in limits:
            raise InputError(f"--slo: expected one limit on {name}, got two")
        limits[name] = limit
    return limits


def trace_options(
    form: str | None,
    time_unit: str | None,
    limit: int | None,
    speed: float | None,
    offline: bool,
    classes: list[str] | None,
    on_error: str | None,
) -> dict[str, object]:
    """Return the trace options that were given, under the names of `importers.TraceOptions`."""
    options = {
        "format": form,
        "time_unit": time_unit,
        "limit": limit,
        "speed": speed,
        "offline": offline or None,
        "classes": tuple(classes) if classes else None,
        "on_error": on_error,
    }
    return given(**options)


def emit(text: str, output: Path | None = None, *, document: bool = False) -> None:
    """Print a result, or write it whole to `output`.

    A `document` is for a program: UTF-8 wherever it goes. Other text is for a reader, and shows
    what the terminal can show.

    Raises
    ------
    InputError
        The file or stdout cannot be written.
    """
    from llmsched.files import write_whole

    text = text if text.endswith("\n") else text + "\n"
    if output is not None:
        write_whole(output, text)
        return
    try:
        if document:
            write_document(text)
        else:
            sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        discard(sys.stdout)
    except OSError as error:  # a full disk behind a redirection
        discard(sys.stdout)
        raise InputError(f"stdout: cannot write: {error.strerror}") from error


def write_files(files: list[tuple[Path | None, Callable[[], str]]]) -> None:
    """Write the files that were asked for: all of them, or none if one cannot be written.

    Raises
    ------
    InputError
        A file cannot be written.
    """
    from llmsched.files import write_together

    write_together({path: text() for path, text in files if path is not None})


def given(**options: Any) -> dict[str, Any]:
    """Return the options that were given on the command line: those that are not None."""
    return {name: value for name, value in options.items() if value is not None}
