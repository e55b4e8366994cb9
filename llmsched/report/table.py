"""The table for a terminal: what ran, a row a policy, what was published, what the gates say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from llmsched.comparison.document import Document, cell_name, cells_of, has_mixed_steps
from llmsched.documents.row import Row
from llmsched.lengths import in_words
from llmsched.metric import METRICS, NEITHER, Metric
from llmsched.report.console import Grid, Part, page
from llmsched.report.family import family_parts
from llmsched.report.gates import change_parts, gate_lines
from llmsched.report.groups import group_parts, objective_lines
from llmsched.report.layout import (
    BETTER,
    WORSE,
    counted_of,
    hardware_of,
    output_limits_of,
    policy_label,
    shortened,
    slots_of,
    unserved_of,
    wrapped,
)
from llmsched.report.lead import form_of, leading, load_line, primary, short_heading
from llmsched.report.matrix import matrix_parts
from llmsched.report.paired import LEGEND, paired_parts
from llmsched.report.proven import bound_row, bounded, scopes

_MANY_PERCENT = 1000
"""A change from which on it is easier to read as a factor."""


@dataclass(frozen=True)
class Column:
    """One column: the two lines of its title, and the text of a row's cell."""

    title: tuple[str, str]
    text: Callable[[Row], str]


def render_table(
    document: Document, *, width: int, color: bool, pivot: str | None, metrics: Sequence[str]
) -> str:
    """Return the comparison as a page of `width` columns."""
    cells = cells_of(document)
    parts: list[Part] = [""]
    if len(cells) > 1:
        for shown in [pivot] if pivot else dict.fromkeys(primary(document, c) for c in cells):
            parts += [*matrix_parts(cells, shown), ""]
        parts.pop()
    else:
        if line := load_line(cells[0]):
            parts = ["", *wrapped(line, width, "  "), ""]
        parts += _policy_parts(document, cells[0], metrics, width)
    for cell in cells:
        parts += _group_parts(document, cell)
    if "family" in document:
        parts += family_parts(document, width)
    for cell in cells:
        if "paired" in cell:
            parts += ["", *paired_parts(document, cell, width)]
    if "paired" in cells[0]:
        parts += ["", *wrapped(LEGEND, width)]
    parts += change_parts(document, width)
    parts += gate_lines(document)
    parts += ["", *wrapped(document["note"], width)] if document["note"] else []
    return page(parts, title=title(document, cells), width=width, color=color)


def _group_parts(document: Document, cell: Row) -> list[Part]:
    parts = group_parts(cell["results"], document.get("by", ""))
    parts += objective_lines(cell["results"])
    return ["", f"{cell_name(cell)}:", *parts] if parts and cell["label"] else parts


def title(document: Document, cells: Sequence[Row]) -> str:
    """Return in one sentence what ran."""
    cell = cells[0]
    parts = [f"{document['scenario']}:"]
    shared = {key: value for key, value in _facts(cell).items() if _same(cells, key)}
    if "lengths" not in shared and "lengths" not in cell["label"]:  # each trace has its own
        shared["lengths"] = " or ".join(dict.fromkeys(in_words(one["lengths"]) for one in cells))
    parts.append(", ".join(filter(None, shared.values())))
    if "cases" in document:
        parts.append(
            f"— means over {document['cases']['count']} cases ({document['cases']['draw']})"
        )
    return " ".join(parts)


def _same(cells: Sequence[Row], key: str) -> bool:
    return len({_facts(cell)[key] for cell in cells}) == 1


def _facts(cell: Row) -> dict[str, str]:
    return {
        "trace": f"{_stem(cell['trace']['name'])} ({cell['trace']['requests']:,} requests)",
        "hardware": hardware_of(cell),
        "slots": slots_of(cell),
        "lengths": in_words(cell["lengths"]),
        "limits": output_limits_of(cell),
        "unserved": unserved_of(cell),
        "counted": counted_of(cell),
    }


def _stem(name: str) -> str:
    return name.removesuffix(".gz").removesuffix(".jsonl")


def _policy_parts(document: Document, cell: Row, metrics: Sequence[str], width: int) -> list[Part]:
    rows = [*cell["results"]]
    if bound := bound_row(cell):
        rows.append(bound)
    notes = {}
    if published := document["published"]:
        sources = ", ".join(dict.fromkeys(row["source"] for row in published))
        notes[len(rows)] = [f"published, not simulated ({sources}):"]
        rows += ({"policy": row["policy"], **row["metrics"]} for row in published)
    columns = [
        (column.title, texts)
        for column in _columns(document, cell, metrics)
        if any(texts := [column.text(row) for row in rows])
    ]
    titles, cells = (zip(*part, strict=True) for part in zip(*columns, strict=True))
    parts: list[Part] = [Grid([*cells], [*titles], notes=notes)]
    if _reference(document):
        parts += ["", f"{BETTER} better, {WORSE} worse than {_reference(document)}"]
    if "bounds" in cell:
        parts += ["", *wrapped(scopes(cell["bounds"]), width)]
    return parts


def _columns(document: Document, cell: Row, metrics: Sequence[str]) -> list[Column]:
    """Return the policy, the metric that it is judged by with its change, and the others."""
    names = leading(document, cell, metrics)
    columns = [Column(("policy", ""), lambda row: policy_label(row["policy"]))]
    columns += [_figures(cell, METRICS[name]) for name in names]
    if _reference(document):
        versus = "base" if "against" in document else policy_label(_reference(document))
        title = f"Δ {short_heading(METRICS[names[0]])}", f"vs {shortened(versus, 8)}"
        columns.insert(2, Column(title, _delta(document, cell, names[0])))
    return columns


def _figures(cell: Row, metric: Metric) -> Column:
    """Return the column of a metric."""
    title, scale, form = form_of(metric, cell["results"])
    return Column(title, lambda row: bounded(row, metric.name, form, scale))


def _reference(document: Document) -> str:
    """Return the name of what rows are compared with; empty if nothing."""
    if "against" in document:
        return PurePath(document["against"]["file"]).name
    return str(document.get("baseline") or "")


def _delta(document: Document, cell: Row, metric: str) -> Callable[[Row], str]:
    """Return how a row's metric is shown against its reference."""
    policies = {row["policy"]: row for row in cell["results"]}
    before: dict[Any, float | None]
    if "against" in document:
        before = {policy: row.get(metric) for policy, row in policies.items()}
        before |= {
            change["policy"]: change["base"]
            for change in document["against"]["changes"]
            if change["metric"] == metric
        }
        new = set(document["against"]["new"])
    else:
        base = policies.get(document.get("baseline"), {}).get(metric)
        before, new = dict.fromkeys(policies, base), {document.get("baseline")}

    def text(row: Row) -> str:
        if row["policy"] not in policies or row is not policies[row["policy"]]:
            return ""
        if row["policy"] in new:
            return "new" if "against" in document else "–"
        base, value = before.get(row["policy"]), row.get(metric)
        return "" if base is None or value is None else marked(metric, value, base, mixed)

    mixed = has_mixed_steps(cell)
    return text


def marked(name: str, value: float, base: float, mixed: bool = False) -> str:
    """Return the change from `base` in percent, with a mark where it is better or worse."""
    metric = METRICS[name]
    if not metric.matters(base, value):
        return "="
    percent = metric.percent(base, value)
    change = "from 0" if percent is None else f"{percent:+z.2f}%"
    if percent is not None and percent >= _MANY_PERCENT:
        change = f"{1 + percent / 100:,.1f}x"
    if metric.direction(mixed) == NEITHER:
        return change
    return f"{WORSE if metric.worsening(value - base) > 0 else BETTER} {change}"
