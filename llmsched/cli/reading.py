"""How a command reads a trace: the options behind `llmsched.importers.TraceOptions`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmsched.cli.inputs import PAPER_TRACE, given
from llmsched.cli.options import TRACE, Group, flagged
from llmsched.cli.progress import phase

if TYPE_CHECKING:
    from llmsched.trace import Trace

_OTHERWISE = {"format": "--trace-format", "classes": "--class", "since": "--from"}

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
Columns = Annotated[
    str | None,
    typer.Option(
        "--columns",
        metavar="ROLE=COLUMN,...",
        rich_help_panel=TRACE,
        help="Which column is what, in any table: arrival=ts:ms,input=a,output=b; also id, class, "
        "limit, predicted, timeout, model, session, turn, delay, ttft, latency, first_token, "
        "last_token.",
    ),
]
RunNumber = Annotated[
    int | None,
    typer.Option(
        "--run",
        metavar="K",
        rich_help_panel=TRACE,
        help="Which benchmark run of the file, where it holds several.",
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
Since = Annotated[
    str | None,
    typer.Option(
        "--from", metavar="TIME", rich_help_panel=TRACE, help="Arrivals from then on: 90, 10m, 2h."
    ),
]
Until = Annotated[
    str | None,
    typer.Option("--until", metavar="TIME", rich_help_panel=TRACE, help="Arrivals before then."),
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
        "--class",
        metavar="NAME",
        rich_help_panel=TRACE,
        help="Only it (see --by); may be repeated.",
    ),
]
OnError = Annotated[
    str | None,
    typer.Option(
        "--on-error",
        metavar="fail|skip",
        rich_help_panel=TRACE,
        help="What a row that cannot be read is, and a request that can never fit into the KV "
        "cache: an error, or dropped or refused, and counted. Default: fail.",
    ),
]
TimeoutMs = Annotated[
    float | None,
    typer.Option(
        "--timeout-ms",
        metavar="MS",
        rich_help_panel=TRACE,
        help="Clients give up after so long, waiting or running, whatever the trace's timeout_ms "
        "say: their requests are aborted when the step in flight ends.",
    ),
]


@dataclass(frozen=True, kw_only=True)
class Recognising(Group):
    """What a file is taken for."""

    trace_format: TraceFormat = None
    columns: Columns = None
    run: RunNumber = None
    time_unit: TimeUnit = None
    on_error: OnError = None

    @property
    def _options(self) -> dict[str, Any]:
        """What was given, under the names of `importers.TraceOptions`."""
        return given(
            format=self.trace_format,
            columns=self.columns,
            run=self.run,
            time_unit=self.time_unit,
            on_error=self.on_error,
        )

    @property
    def given(self) -> dict[str, Any]:
        """What was given, under the names of `importers.TraceOptions`.

        Raises
        ------
        InputError
            A value that its option does not take; the message names the option.
        """
        from llmsched.importers import TraceOptions

        options = self._options
        with flagged(_OTHERWISE):
            TraceOptions(**options)
        return options


@dataclass(frozen=True, kw_only=True)
class Reading(Recognising):
    """How a trace is read."""

    since: Since = None
    until: Until = None
    limit: Limit = None
    speed: Speed = None
    offline: Offline = False
    job_class: JobClass = None
    timeout_ms: TimeoutMs = None

    @property
    def _options(self) -> dict[str, Any]:
        return super()._options | given(
            since=self.since,
            until=self.until,
            limit=self.limit,
            speed=self.speed,
            offline=self.offline or None,
            classes=tuple(self.job_class) if self.job_class else None,
            timeout_ms=self.timeout_ms,
        )

    def load(self, source: str | None) -> Trace:
        """Load the trace that the command line names; the shipped GSM8K one by default."""
        from llmsched.finding import find_trace
        from llmsched.importers import TraceOptions, load

        path = find_trace(PAPER_TRACE if source is None else source)
        with phase("loading") as progress:
            return load(path, TraceOptions(**self.given), progress.read)
