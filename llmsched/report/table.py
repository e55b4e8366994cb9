"""The table for a terminal: what ran, a row a policy, what was published, what the gates say."""

from __future__ import annotations

from collections.abc import Sequence

from llmsched.comparison.document import Document, cell_name, cells_of
from llmsched.documents.row import Row
from llmsched.lengths import in_words
from llmsched.report.columns import Column, columns_of, rows_of
from llmsched.report.console import Grid, Part, page
from llmsched.report.delta import reference
from llmsched.report.facts import facts_of
from llmsched.report.family import family_parts
from llmsched.report.gates import change_parts, gate_lines
from llmsched.report.groups import group_parts, objective_lines
from llmsched.report.layout import BETTER, WORSE, policy_label, wrapped
from llmsched.report.lead import load_line, primary
from llmsched.report.matrix import matrix_parts
from llmsched.report.paired import LEGEND, paired_parts
from llmsched.report.proven import scopes
from llmsched.report.ranking import ranking

_POLICY = Column(("policy", ""), lambda row: policy_label(row["policy"]))


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
            parts = ["", *wrapped(line, width, "  ")]
            parts += [*wrapped(ranking(document, cells[0]), width, "  "), ""]
        parts += _policy_parts(document, cells[0], metrics, width)
    for cell in cells:
        parts += _group_parts(document, cell, metrics)
    if "family" in document:
        parts += family_parts(document, width)
    for cell in cells:
        if "paired" in cell:
            parts += ["", *paired_parts(document, cell, width, metrics)]
    if "paired" in cells[0]:
        parts += ["", *wrapped(LEGEND, width)]
    parts += change_parts(document, width)
    parts += gate_lines(document)
    parts += ["", *wrapped(document["note"], width)] if document["note"] else []
    return page(parts, title=title(document, cells), width=width, color=color)


def _group_parts(document: Document, cell: Row, metrics: Sequence[str]) -> list[Part]:
    parts = group_parts(cell["results"], document.get("by", ""), metrics)
    parts += objective_lines(cell["results"])
    return ["", f"{cell_name(cell)}:", *parts] if parts and cell["label"] else parts


def title(document: Document, cells: Sequence[Row]) -> str:
    """Return in one sentence what ran."""
    cell = cells[0]
    parts = [f"{document['scenario']}:"]
    every = [_facts(document, one) for one in cells]
    shared = {k: v for k, v in every[0].items() if all(facts[k] == v for facts in every)}
    if "lengths" not in shared and "lengths" not in cell["label"]:  # each trace has its own
        shared["lengths"] = " or ".join(dict.fromkeys(in_words(one["lengths"]) for one in cells))
    parts.append(", ".join(filter(None, shared.values())))
    if "cases" in document:
        parts.append(
            f"— means over {document['cases']['count']} cases ({document['cases']['draw']})"
        )
    return " ".join(parts)


def _facts(document: Document, cell: Row) -> dict[str, str]:
    trace = f"{_stem(cell['trace']['name'])} ({cell['trace']['requests']:,} requests)"
    return {"trace": trace, **facts_of(document, cell)}


def _stem(name: str) -> str:
    return name.removesuffix(".gz").removesuffix(".jsonl")


def _policy_parts(document: Document, cell: Row, metrics: Sequence[str], width: int) -> list[Part]:
    figures = columns_of(document, cell, metrics)
    rows = rows_of(cell, figures)
    notes = {}
    if published := document["published"]:
        sources = ", ".join(dict.fromkeys(row["source"] for row in published))
        notes[len(rows)] = [f"published, not simulated ({sources}):"]
        rows += ({"policy": row["policy"], **row["metrics"]} for row in published)
    columns = [
        (column.title, texts)
        for column in [_POLICY, *figures]
        if any(texts := [column.text(row) for row in rows])
    ]
    titles, cells = (zip(*part, strict=True) for part in zip(*columns, strict=True))
    parts: list[Part] = [Grid([*cells], [*titles], notes=notes)]
    if reference(document):
        parts += ["", f"{BETTER} better, {WORSE} worse than {reference(document)}"]
    if "bounds" in cell:
        parts += ["", *wrapped(scopes(cell["bounds"]), width)]
    return parts
