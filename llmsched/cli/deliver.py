"""What `compare` and `report` share: where a result goes, and how its gates end the program.

The verdict comes first: whatever happens to a report of it (a full disk, a reader that has left),
a failed gate exits 1 and an impossible comparison exits 3.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from llmsched.cli import common
from llmsched.cli.doubts import warn
from llmsched.errors import InputError, NotComparableError
from llmsched.notes import say

if TYPE_CHECKING:
    from llmsched.compare.document import Document

_SUFFIXES = {".csv": "csv", ".md": "markdown", ".xml": "junit", ".txt": "table"}


def check_delivery(
    form: str | None, output: Path | None, pivot: str, resume: Path | None = None
) -> None:
    """Refuse before the run what would fail after it, or replace what it is judged by.

    Raises
    ------
    InputError
        An unknown format or metric, or an output that cannot be one.
    """
    from llmsched.files import claim
    from llmsched.metric import find_metric
    from llmsched.report import FORMATS

    if form is not None:
        common.one_of("--format", form, FORMATS)
    claim([("--output", output), ("--resume", resume)])
    try:
        find_metric(pivot)
    except InputError as error:
        raise InputError(f"--pivot: {error}") from error


@contextmanager
def refusal_told(name: str, form: str | None, output: Path | None) -> Iterator[None]:
    """Leave why a comparison cannot be made where its verdict would have been."""
    from llmsched.report import junit, markdown

    try:
        yield
    except NotComparableError as error:
        _summarize(markdown.render_refusal(name, str(error)))
        if (form or _saved_format(output)) == "junit":
            try:
                common.emit(junit.render_refusal(name, str(error)), output)
            except InputError as unwritten:
                say(f"llmsched: {unwritten}")
        raise


def finish(
    document: Document,
    form: str | None,
    output: Path | None,
    pivot: str,
    *,
    table: bool = False,
    summary: bool = True,
) -> None:
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
    from llmsched.report.clean import cleaned
    from llmsched.report.gates import doubt_lines

    failed = [verdict for verdict in document["gates"] if not verdict["passed"]]
    if summary:
        _summarize(render(document, "markdown"))
    warn(doubt_lines(cleaned(document, printable=True)))
    shown = None
    try:
        shown = _deliver(document, form, output, pivot, table)
    except InputError as error:
        if not failed:
            raise
        say(f"llmsched: {error}")
    if shown != "table":
        _remark(document)
    if failed:
        raise typer.Exit(1)


def _deliver(
    document: Document, form: str | None, output: Path | None, pivot: str, table: bool
) -> str | None:
    """Save or print a result and return the format printed."""
    from llmsched.report import render

    shown: str | None = form or "table"
    if output is not None:
        text = render(document, form or _saved_format(output), pivot=pivot)
        common.emit(text, output)
        shown = "table" if table else None
    if shown is not None:
        width = shutil.get_terminal_size((80, 24)).columns
        text = render(document, shown, width=width, color=_colors(), pivot=pivot)
        common.emit(text, document=shown != "table")
    return shown


def _remark(document: Document) -> None:
    """Say on stderr what nobody may overlook and not every format has room for."""
    from llmsched.report.clean import cleaned
    from llmsched.report.gates import absent_lines

    document = cleaned(document, printable=True)
    for verdict in document["gates"]:
        if not verdict["passed"]:
            say(f"FAILED {verdict['policy']}: {verdict['reason']}")
    for line in absent_lines(document):
        say(line)


def _saved_format(output: Path | None) -> str:
    return "table" if output is None else _SUFFIXES.get(output.suffix, "json")


def _colors() -> bool:
    return (
        sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    )


def _summarize(markdown: str) -> None:
    """Append to the summary of a GitHub Actions step, as far as it may grow."""
    from llmsched.files import is_in_use
    from llmsched.report.markdown import SUMMARY_LIMIT, fitted

    path = os.environ.get("GITHUB_STEP_SUMMARY")
    if not path:
        return None
    name = f"llmsched: warning: GITHUB_STEP_SUMMARY: {path}"
    if Path(path).is_fifo():  # opening one waits for a reader
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
