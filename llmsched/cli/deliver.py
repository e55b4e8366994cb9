"""What `compare` and `report` share: where a result goes, and how its gates end the program.

The verdict comes first: whatever happens to a report of it (a full disk, a reader that has left),
a failed gate exits 1 and an impossible comparison exits 3.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypedDict

import typer

from llmsched.cli import options
from llmsched.cli.doubts import warn_each
from llmsched.cli.inputs import one_of
from llmsched.cli.output import emit
from llmsched.cli.streams import terminal
from llmsched.errors import InputError, NotComparableError
from llmsched.notes import say

if TYPE_CHECKING:
    from llmsched.comparison.document import Document

_SUFFIXES = {
    ".csv": "csv",
    ".json": "json",
    ".md": "markdown",
    ".txt": "table",
    ".xml": "junit",
    "": "json",
}


GATES = "Gates"

Against = Annotated[
    Path | None,
    typer.Option(metavar="FILE", rich_help_panel=GATES, help="Compare with this saved result."),
]
FailOn = Annotated[
    list[str] | None,
    typer.Option(
        metavar="[POLICY:][GROUP:]METRIC:LIMIT",
        rich_help_panel=GATES,
        help="Exit 1 beyond a limit: makespan_s:2% (worsening), p99_ttft_ms:+50 (change), "
        "slo_attainment:0.95 (level); may be repeated.",
    ),
]
Format = Annotated[
    str | None,
    typer.Option(
        "--format",
        "-f",
        metavar="NAME",
        rich_help_panel=options.OUTPUT,
        help="table, json, csv, markdown, junit, customSmallerIsBetter, customBiggerIsBetter "
        "or bencher. Default: table; for --output by its suffix, json without one.",
    ),
]
Pivot = Annotated[
    str | None,
    typer.Option(
        "--pivot",
        metavar="METRIC",
        show_default=False,
        rich_help_panel=options.OUTPUT,
        help="What a matrix shows. Default: makespan_s of batches and overload, else mean_ttft_ms, "
        "or request_goodput with --slo.",
    ),
]
Metrics = Annotated[
    str | None,
    typer.Option(
        "--metrics",
        metavar="A,B,...",
        show_default=False,
        rich_help_panel=options.OUTPUT,
        help="What a table shows, the first one with its change. Default: as the load calls for.",
    ),
]


class View(TypedDict):
    """What of a result a table shows."""

    pivot: str | None
    metrics: list[str]


@dataclass(frozen=True, kw_only=True)
class Delivery(options.Group):
    """In which format a result is shown or saved, and where."""

    format: Format = None
    pivot: Pivot = None
    metrics: Metrics = None
    output: options.Output = None

    @property
    def saved_format(self) -> str:
        """The format of a saved result, by its suffix where none is asked for.

        Raises
        ------
        InputError
            A suffix that stands for no format.
        """
        if self.format is not None or self.output is None:
            return self.format or "table"
        suffix = self.output.suffix.lower()
        if suffix not in _SUFFIXES:
            known = ", ".join(filter(None, _SUFFIXES))
            raise InputError(f"--output: expected {known}, or --format NAME; got {suffix!r}")
        return _SUFFIXES[suffix]

    @property
    def is_plain(self) -> bool:
        """Whether a result is only shown, with the figures that its load calls for."""
        asked = (self.output, self.pivot, self.metrics)
        return self.format in (None, "table") and not any(asked)

    @property
    def view(self) -> View:
        """What of a result is shown.

        Raises
        ------
        InputError
            There is no such metric.
        """
        from llmsched.metric import find_metric
        from llmsched.schema import within

        with within("--pivot", ": "):
            pivot = None if self.pivot is None else find_metric(self.pivot).name
        with within("--metrics", ": "):
            names = [] if self.metrics is None else self.metrics.split(",")
            return {"pivot": pivot, "metrics": [find_metric(name.strip()).name for name in names]}

    def check(self, resume: Path | None = None) -> None:
        """Refuse before the run what would fail after it, or replace what it is judged by.

        Raises
        ------
        InputError
            An unknown format or metric, or an output that cannot be one.
        """
        from llmsched.files import claim
        from llmsched.report import FORMATS

        if self.format is not None:
            one_of("--format", self.format, FORMATS)
        _ = self.saved_format  # or the run would end with nowhere to put its result
        claim([("--output", self.output), ("--resume", resume)])
        _ = self.view

    def finish(self, document: Document, *, table: bool = False, summary: bool = True) -> None:
        """Show or save a result, add it to GitHub's job summary, and exit 1 if a gate failed.

        Parameters
        ----------
        table : bool
            Whether a result that is saved is shown as well.

        Raises
        ------
        InputError
            It cannot be delivered, and no gate failed.
        """
        from llmsched.report import render
        from llmsched.report.gates import doubt_lines

        failed = [verdict for verdict in document["gates"] if not verdict["passed"]]
        if summary:
            _summarize(render(document, "markdown", **self.view))
        warn_each(doubt_lines(document))
        shown = None
        try:
            shown = self._deliver(document, table)
        except InputError as error:
            if not failed:
                raise
            say(f"llmsched: {error}")
        if shown != "table":
            _remark(document)
        if failed:
            raise typer.Exit(1)

    def _deliver(self, document: Document, table: bool) -> str | None:
        """Save or print a result and return the format printed."""
        from llmsched.report import render

        shown: str | None = self.format or "table"
        if self.output is not None:
            text = render(document, self.saved_format, **self.view)
            emit(text, self.output)
            shown = "table" if table else None
        if shown is not None:
            text = render(document, shown, **terminal(), **self.view)
            emit(text, document=shown != "table")
        return shown


@contextmanager
def refusal_told(name: str, delivery: Delivery) -> Iterator[None]:
    """Leave why a comparison cannot be made where its verdict would have been."""
    from llmsched.report import junit, markdown

    try:
        yield
    except NotComparableError as error:
        _summarize(markdown.render_refusal(name, str(error)))
        if delivery.saved_format == "junit":
            try:
                emit(junit.render_refusal(name, str(error)), delivery.output)
            except InputError as unwritten:
                say(f"llmsched: {unwritten}")
        raise


def _remark(document: Document) -> None:
    """Say on stderr what nobody may overlook and not every format has room for."""
    from llmsched.report.gates import absent_lines

    for verdict in document["gates"]:
        if not verdict["passed"]:
            say(f"FAILED {verdict['policy']}: {verdict['reason']}")
    for line in absent_lines(document):
        say(line)


def _summarize(markdown: str) -> None:
    """Append to the summary of a GitHub Actions step, as far as it may grow."""
    from llmsched.files import is_in_use
    from llmsched.report.markdown import SUMMARY_LIMIT, fitted

    path = os.environ.get("GITHUB_STEP_SUMMARY")
    if not path:
        return None
    name = f"llmsched: warning: GITHUB_STEP_SUMMARY: {path}"
    if os.path.exists(path) and Path(path).is_fifo():  # opening one waits for a reader
        return say(f"{name}: expected a file, got a pipe")
    if is_in_use(path):
        return say(f"{name}: expected a file of its own, got an input or an output of this run")
    try:
        with Path(path).open("ab") as stream:
            text = fitted(markdown, SUMMARY_LIMIT - stream.tell())
            stream.write(text.encode())
    except OSError as error:
        say(f"{name}: cannot write: {error.strerror}")
    else:
        if not text:
            say(f"{name}: no room left")
