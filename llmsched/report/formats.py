"""One document in each format."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from llmsched.comparison.document import Document, dump
from llmsched.errors import InputError
from llmsched.report.clean import cleaned
from llmsched.report.continuous import render_bencher, render_bigger, render_smaller
from llmsched.report.junit import render_junit
from llmsched.report.markdown import render_markdown
from llmsched.report.rows import render_csv
from llmsched.report.table import render_table

_FORMATS: Mapping[str, Callable[[Document], str]] = MappingProxyType(
    {
        "json": dump,
        "csv": render_csv,
        "markdown": render_markdown,
        "junit": render_junit,
        "customSmallerIsBetter": render_smaller,
        "customBiggerIsBetter": render_bigger,
        "bencher": render_bencher,
    }
)
FORMATS = ("table", *_FORMATS)


def render(
    document: Document,
    form: str,
    *,
    width: int = 80,
    color: bool = False,
    pivot: str | None = None,
    metrics: Sequence[str] = (),
) -> str:
    """Return the document in one of :data:`FORMATS`.

    Parameters
    ----------
    width, color, pivot
        For the table: columns of the terminal, whether it shows colours, and the metric that a
        matrix is shown by: what its policies are judged by unless named.
    metrics
        For the table and Markdown: the metrics to show, in place of those that the load calls for.

    Raises
    ------
    InputError
        An unknown format or metric, or a document that holds nothing to show in this format.
    """
    document = cleaned(document, printable=form != "json")
    if form == "table":
        return render_table(document, width=width, color=color, pivot=pivot, metrics=metrics)
    if form == "markdown":
        return render_markdown(document, metrics)
    if form not in _FORMATS:
        raise InputError(f"format: expected one of {', '.join(FORMATS)}; got {form!r}")
    return _FORMATS[form](document)
