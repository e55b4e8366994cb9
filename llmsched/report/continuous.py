"""Formats of continuous-benchmarking services: github-action-benchmark and Bencher."""

from __future__ import annotations

from collections.abc import Iterator

from llmsched.comparison.document import Document, cell_name, cells_of, dump, has_mixed_steps
from llmsched.comparison.gates import number
from llmsched.metric import HIGHER, LOWER, Metric, judged_metrics
from llmsched.report.gates import absent_lines


def render_smaller(document: Document) -> str:
    """Return github-action-benchmark's `customSmallerIsBetter`: where lower is better."""
    return _custom(document, LOWER)


def render_bigger(document: Document) -> str:
    """Return github-action-benchmark's `customBiggerIsBetter`: where higher is better."""
    return _custom(document, HIGHER)


def render_bencher(document: Document) -> str:
    """Return Bencher Metric Format: a benchmark a cell and policy, a measure a metric.

    See https://bencher.dev/docs/reference/bencher-metric-format/. A metric without a value is left
    out: the format has no way to say so.
    """
    benchmarks: dict[str, dict[str, dict[str, float]]] = {}
    for name, metric, value in _values(document):
        benchmarks.setdefault(name, {})[metric.name] = {"value": value}
    return dump(benchmarks)


def _custom(document: Document, better: str) -> str:
    extra = "; ".join([f"llmsched {document['llmsched']}", *absent_lines(document)])
    entries = [
        {"name": f"{name}/{metric.name}", "unit": metric.unit, "value": value, "extra": extra}
        for name, metric, value in _values(document)
        if metric.better == better
    ]
    return dump(entries)


def _values(document: Document) -> Iterator[tuple[str, Metric, float]]:
    """Yield every value that is better or worse than another: services only track those."""
    for cell in cells_of(document):
        for row in cell["results"]:
            where = [document["scenario"], cell_name(cell), row["policy"]]
            for metric in judged_metrics(has_mixed_steps(cell)):
                value = number(row, metric)
                if value is not None:
                    yield "/".join(filter(None, where)), metric, value
