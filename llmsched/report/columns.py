"""The columns of a comparison: the metric that policies are judged by, its change, the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from llmsched.comparison.document import Document
from llmsched.documents.row import Row
from llmsched.metric import METRICS, Metric
from llmsched.report.delta import delta, reference
from llmsched.report.layout import policy_label, shortened
from llmsched.report.lead import form_of, leading, short_heading
from llmsched.report.proven import bound_row, bounded


@dataclass(frozen=True)
class Column:
    """One column: the two lines of its title, and the text of a row's cell."""

    title: tuple[str, str]
    text: Callable[[Row], str]


def columns_of(document: Document, cell: Row, metrics: Sequence[str]) -> list[Column]:
    """Return the columns of figures; those of `metrics` where some are named."""
    names = leading(document, cell, metrics)
    columns = [_figures(cell, METRICS[name]) for name in names]
    if reference(document):
        versus = "base" if "against" in document else policy_label(reference(document))
        title = f"Δ {short_heading(METRICS[names[0]])}", f"vs {shortened(versus, 8)}"
        columns.insert(1, Column(title, delta(document, cell, names[0])))
    return columns


def rows_of(cell: Row, columns: Sequence[Column]) -> list[Row]:
    """Return the rows of the policies, and what none of them beats where any column has it."""
    bound = bound_row(cell)
    shown = bool(bound) and any(column.text(bound) for column in columns)
    return [*cell["results"], *([bound] if shown else [])]


def _figures(cell: Row, metric: Metric) -> Column:
    """Return the column of a metric."""
    title, scale, form = form_of(metric, cell["results"])
    return Column(title, lambda row: bounded(row, metric.name, form, scale))
