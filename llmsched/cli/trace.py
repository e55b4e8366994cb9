"""`llmsched trace`: describe, convert, generate and sample traces."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from llmsched.cli.command import GroupedCommands, GroupedHelp
from llmsched.cli.inputs import PAPER_TRACE, given, one_of
from llmsched.cli.options import Output, flag_of, flagged, grouped
from llmsched.cli.output import emit
from llmsched.cli.progress import phase
from llmsched.cli.reading import Reading, TraceArgument
from llmsched.cli.streams import terminal
from llmsched.errors import InputError
from llmsched.notes import say

if TYPE_CHECKING:
    from llmsched.importers import Imported
    from llmsched.trace import Trace

app = typer.Typer(
    cls=GroupedCommands,
    help="Traces: describe one, convert, generate, sample.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

_NEEDED = ("requests", "input_length", "output_length", "prefix_length", "seed")

Target = Annotated[
    str, typer.Argument(metavar="OUT", help="File to write (.gz, .zst: compressed); - is stdout.")
]
To = Annotated[
    str | None,
    typer.Option(
        "--to",
        metavar="FORMAT",
        help="native, mooncake, vidur or azure. Default: native; a .csv must be told.",
    ),
]


@app.command(cls=GroupedHelp)
@grouped
def info(
    *,
    trace: TraceArgument = None,
    format: Annotated[
        str, typer.Option("--format", metavar="table|json", help="How to print it.")
    ] = "table",
    reading: Reading,
    output: Output = None,
) -> None:
    """Describe a trace: counts, rate, burstiness, lengths."""
    import json

    from llmsched.files import claim

    claim([("--output", output)])
    if format not in ("table", "json"):
        raise InputError(f"--format: expected one of table, json; got {format!r}")
    imported = _read(trace or PAPER_TRACE, reading)
    from llmsched.report.trace import trace_page
    from llmsched.traceinfo import describe

    if format == "json":
        emit(json.dumps(describe(imported), indent=2), output, document=True)
    else:
        emit(trace_page(imported, **terminal(output)), output)


@app.command(cls=GroupedHelp)
def formats(
    format: Annotated[
        str, typer.Option("--format", metavar="table|markdown", help="As what.")
    ] = "table",
) -> None:
    """List the formats that are read: what each one is, and where it is known from."""
    from llmsched.report.trace_formats import format_list, format_page

    form = one_of("--format", format, ("table", "markdown"))
    emit(format_list(**terminal()) if form == "table" else format_page(), document=form != "table")


@app.command(cls=GroupedHelp)
@grouped
def convert(
    *,
    trace: Annotated[str, typer.Argument(metavar="IN", help="Trace file, or - for stdin.")],
    target: Target,
    to: To = None,
    reading: Reading,
) -> None:
    """Convert a trace of any known format."""
    _claim(target)
    imported = _read(trace, reading)
    _write(imported.trace, target, to)


@app.command(cls=GroupedHelp)
@grouped
def sample(
    *,
    trace: Annotated[str, typer.Argument(metavar="IN", help="Trace file, or - for stdin.")],
    target: Target,
    requests: Annotated[int, typer.Option("--requests", "-n", metavar="N", help="How many.")],
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Seed of the draw.")] = 0,
    to: To = None,
    reading: Reading,
) -> None:
    """Draw some of the requests, at their own times."""
    _claim(target)
    imported = _read(trace, reading)
    from llmsched.synthesize import sampled

    _write(sampled(imported.trace, requests, seed), target, to)


@app.command(cls=GroupedHelp)
def generate(
    target: Target,
    requests: Annotated[
        int | None, typer.Option("--requests", "-n", metavar="N", help="How many.")
    ] = None,
    arrivals: Annotated[
        str | None,
        typer.Option(
            "--arrivals",
            metavar="SPEC",
            help="offline (all at once, the default; also for `simulate --concurrency`), "
            "poisson:RATE or gamma:RATE:CV, in requests per second.",
        ),
    ] = None,
    input_length: Annotated[
        str | None,
        typer.Option(
            "--input-length",
            metavar="SPEC",
            help="fixed:N, uniform:LOW:HIGH, lognormal:MEAN:STD[:CAP], gamma:MEAN:STD[:CAP] or "
            "beta:MEAN:STD:MOST (on 0..MOST), in tokens.",
        ),
    ] = None,
    output_length: Annotated[
        str | None, typer.Option("--output-length", metavar="SPEC", help="The same for outputs.")
    ] = None,
    turns: Annotated[
        str | None,
        typer.Option(
            "--turns",
            metavar="SPEC",
            help="Requests of a session, in the same forms: --arrivals are those of sessions, and "
            "a prompt holds all that was said before it and --input-length more.",
        ),
    ] = None,
    delay_ms: Annotated[
        str | None,
        typer.Option(
            "--delay-ms",
            metavar="SPEC",
            help="From the end of a turn to the next one, in ms: tools, or time to think.",
        ),
    ] = None,
    prefixes: Annotated[
        str | None,
        typer.Option(
            "--prefixes",
            metavar="N[:EXPONENT]",
            help="Prompts begin with one of N shared prefixes (system prompts), drawn evenly or by "
            "Zipf's law, and --input-length is what follows; a session keeps its own. Writes "
            "hash_ids.",
        ),
    ] = None,
    prefix_length: Annotated[
        str | None,
        typer.Option("--prefix-length", metavar="SPEC", help="Tokens of each, in the same forms."),
    ] = None,
    hash_block_size: Annotated[
        int | None,
        typer.Option(
            "--hash-block-size", metavar="N", help="Tokens of a block in hash_ids. Default: 16."
        ),
    ] = None,
    like: Annotated[
        str | None,
        typer.Option("--like", metavar="FILE", help="Follow this trace in all that is not given."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Seed of the draw.")] = 0,
    to: To = None,
) -> None:
    """Generate a synthetic trace from a seed."""
    from llmsched.finding import find_trace
    from llmsched.synthesize import generate as synthetic

    _claim(target)
    settings = given(
        requests=requests,
        arrivals=arrivals,
        input_length=input_length,
        output_length=output_length,
        turns=turns,
        delay_ms=delay_ms,
        prefixes=prefixes,
        prefix_length=prefix_length,
        hash_block_size=hash_block_size,
        like=None if like is None else find_trace(like),
    )
    with flagged({name: flag_of(name) for name in {*settings, *_NEEDED}}, "generate: "):
        trace = synthetic(**settings, seed=seed)
    _write(trace, target, to)


def _claim(target: str) -> None:
    from llmsched.files import claim

    claim([("OUT", target)])


def _read(source: str, reading: Reading) -> Imported:
    """Read the trace and tell on stderr what was sorted or dropped."""
    from llmsched.finding import find_trace
    from llmsched.importers import TraceOptions, read, tell

    path = find_trace(source)
    with phase("loading") as progress:
        imported = read(path, TraceOptions(**reading.given), progress.read)
    tell(path, imported)
    return imported


def _write(trace: Trace, target: str, to: str | None) -> None:
    """Write the trace and tell on stderr what its format has no place for."""
    from llmsched import exporters

    if to is None and target.removesuffix(".gz").removesuffix(".zst").endswith(".csv"):
        raise InputError(f"--to: expected azure or vidur for {target}, which may be either")
    form = to or "native"
    if target == "-":
        emit(exporters.text(trace, form), document=True)
        lost = exporters.lost(trace, form)
    else:
        lost = exporters.write(trace, target, form)
    if lost:
        where = "<stdout>" if target == "-" else target
        say(f"{where}: {form} has no place for {', '.join(lost)}")
