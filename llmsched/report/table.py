"""The table for a terminal: what ran, a row a policy, what was published, what the gates say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from llmsched.compare.document import Document, cell_name, cells_of
from llmsched.documents.row import Row
from llmsched.lengths import in_words
from llmsched.metric import METRICS
from llmsched.report.console import Grid, Part, page
from llmsched.report.family import family_parts
from llmsched.report.gates import change_parts, gate_lines
from llmsched.report.groups import group_parts, objective_lines
from llmsched.report.layout import (
    BETTER,
    WORSE,
    counted_of,
    figure,
    hardware_of,
    output_limits_of,
    policy_label,
    shortened,
    slots_of,
    wrapped,
)
from llmsched.report.matrix import matrix_parts
from llmsched.report.paired import LEGEND, paired_parts


@dataclass(frozen=True)
class Column:
    """One column: the two lines of its title, and the text of a row's cell."""

    title: tuple[str, str]
    text: Callable[[Row], str]


def render_table(document: Document, *, width: int, color: bool, pivot: str) -> str:
    """Return the comparison as a page of `width` columns."""
    cells = cells_of(document)
    parts: list[Part] = [""]
    if len(cells) > 1:
        parts += matrix_parts(cells, pivot)
    else:
        parts += _policy_parts(document, cells[0])
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
        "counted": counted_of(cell),
    }


def _stem(name: str) -> str:
    return name.removesuffix(".gz").removesuffix(".jsonl")


def _policy_parts(document: Document, cell: Row) -> list[Part]:
    rows = [*cell["results"]]
    bound = rows[0].get("lower_bound_s")
    if bound is not None:
        rows.append({"policy": "(lower bound)", "makespan_s": bound})
    notes = {}
    if published := document["published"]:
        sources = ", ".join(dict.fromkeys(row["source"] for row in published))
        notes[len(rows)] = [f"published, not simulated ({sources}):"]
        rows += ({"policy": row["policy"], **row["metrics"]} for row in published)
    columns = [
        (column.title, texts)
        for column in _columns(document, cell)
        if any(texts := [column.text(row) for row in rows])
    ]
    titles, cells = (zip(*part, strict=True) for part in zip(*columns, strict=True))
    parts: list[Part] = [Grid([*cells], [*titles], notes=notes)]
    if _reference(document):
        parts += ["", f"{BETTER} better, {WORSE} worse than {_reference(document)}"]
    return parts


def _columns(document: Document, cell: Row) -> list[Column]:
    """Return the columns: the total and what is asked for, then what has a title, by its rank."""
    first = ["makespan_s", "slo_attainment"] if document["slo"] else ["makespan_s"]
    titled = [metric.name for metric in METRICS.values() if metric.title is not None]
    figures = [_figures(cell, name) for name in dict.fromkeys([*first, *titled])]
    columns = [Column(("policy", ""), lambda row: policy_label(row["policy"])), *figures]
    if _reference(document):
        versus = "base" if "against" in document else policy_label(_reference(document))
        columns.insert(2, Column(("Δ total", f"vs {shortened(versus, 8)}"), _delta(document, cell)))
    return columns


def _figures(cell: Row, name: str) -> Column:
    """Return the column of a metric: long times to a first token in seconds, short totals whole."""
    title = METRICS[name].title or ("", name)
    scale, form = 1.0, None
    if name == "makespan_s" and _most(cell, name) < 1:
        form = ".6f"
    elif name.endswith("_ttft_ms") and _most(cell, "mean_ttft_ms") >= 10_000:
        title, scale, form = (title[0], title[1].replace("ms", "s")), 1e-3, ",.2f"
    return Column(title, lambda row: figure(row, name, form, scale))


def _most(cell: Row, name: str) -> float:
    return max((row.get(name) or 0.0) for row in cell["results"])


def _reference(document: Document) -> str:
    """Return the name of what rows are compared with; empty if nothing."""
    if "against" in document:
        return PurePath(document["against"]["file"]).name
    return str(document.get("baseline") or "")


def _delta(document: Document, cell: Row) -> Callable[[Row], str]:
    """Return how a row's total time is shown against its reference."""
    policies = {row["policy"]: row for row in cell["results"]}
    if "against" in document:
        before = {
            change["policy"]: change["base"]
            for change in document["against"]["changes"]
            if change["metric"] == "makespan_s"
        }
        new = set(document["against"]["new"])
    else:
        base = policies.get(document.get("baseline"), {}).get("makespan_s")
        before, new = dict.fromkeys(policies, base), {document.get("baseline")}

    def text(row: Row) -> str:
        if row["policy"] not in policies or row is not policies[row["policy"]]:
            return ""
        if row["policy"] in new:
            return "new" if "against" in document else "–"
        base = before.get(row["policy"], row["makespan_s"])
        return marked("makespan_s", row["makespan_s"], base)

    return text


def marked(name: str, value: float, base: float) -> str:
    """Return the change from `base` in percent, with a mark for better or worse."""
    metric = METRICS[name]
    if not metric.matters(base, value):
        return "="
    mark = WORSE if metric.worsening(value - base) > 0 else BETTER
    percent = metric.percent(base, value)
    return f"{mark} from 0" if percent is None else f"{mark} {percent:+z.2f}%"
