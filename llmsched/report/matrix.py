"""A matrix of comparisons as a pivot: a row a cell, a column a policy, one metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llmsched.comparison.document import cell_name, has_mixed_steps
from llmsched.comparison.gates import number
from llmsched.metric import COUNT, HIGHER, NEITHER, Metric, find_metric
from llmsched.report.console import Grid, Part
from llmsched.report.lead import load_ratio

BEST = "*"


def matrix_parts(cells: Sequence[Mapping[str, Any]], pivot: str) -> list[Part]:
    """Return the pivot under what it shows; the best are starred."""
    metric = find_metric(pivot)
    unit = f", {metric.unit}" if metric.unit else ""
    policies = _policies(cells)
    table = [[" × ".join(cells[0]["label"]), *policies]]
    table += [[cell_name(cell), *_values(cell, policies, metric)] for cell in cells]
    if metric.name == "makespan_s":
        table = _beside(table, ["bound", *map(_bound, cells)])
    if any(loads := [load_ratio(cell) for cell in cells]):
        table = _beside(table, ["load", *loads])
    titles, *rows = table
    return [f"{metric.name}{unit}{_legend(cells, metric)}", "", Grid(rows, [titles], names=32)]


def _legend(cells: Sequence[Mapping[str, Any]], metric: Metric) -> str:
    """Return which side is better, if one is, and in which cells."""
    directions = {metric.direction(has_mixed_steps(cell)) for cell in cells}
    if directions == {NEITHER}:
        return ""
    side = "higher" if metric.better == HIGHER else "lower"
    where = " where steps are never mixed" if NEITHER in directions else ""
    return f" ({side} is better{where}, {BEST} best of its row)"


def _policies(cells: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(row["policy"] for cell in cells for row in cell["results"]))


def _values(cell: Mapping[str, Any], policies: Sequence[str], metric: Metric) -> list[str]:
    values = {row["policy"]: number(row, metric) for row in cell["results"]}
    present = [value for value in values.values() if value is not None]
    judged = metric.direction(has_mixed_steps(cell)) != NEITHER
    best = min(present, key=metric.worsening, default=None) if judged else None
    return [_text(values.get(policy), best, metric) for policy in policies]


def _text(value: float | None, best: float | None, metric: Metric) -> str:
    if value is None:
        return "–"
    text = f"{value:,.2f}" if abs(value) >= 10 else f"{value:z.4g}"
    if metric.kind == COUNT and value == round(value):  # a mean over cases need not be
        text = f"{value:,.0f}"
    return f"{BEST}{text}" if value == best else text


def _beside(table: list[list[str]], column: Sequence[str]) -> list[list[str]]:
    """Return the table with a column after its labels."""
    return [[label, cell, *row] for (label, *row), cell in zip(table, column, strict=True)]


def _bound(cell: Mapping[str, Any]) -> str:
    bound = cell["results"][0].get("lower_bound_s")
    return "" if bound is None else f"{bound:,.2f}"
