"""The table for a terminal: what ran, a row a policy, what was published, what the gates say."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from llmsched.compare.document import Document, cells_of
from llmsched.lengths import in_words
from llmsched.metric import METRICS
from llmsched.report.family import family_lines
from llmsched.report.gates import change_lines, gate_lines
from llmsched.report.layout import (
    BETTER,
    WORSE,
    align,
    cut,
    hardware_of,
    output_limits_of,
    paint,
    policy_label,
    slots_of,
    wrapped,
)
from llmsched.report.matrix import matrix_lines
from llmsched.report.paired import LEGEND, paired_lines

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Column:
    """One column: the two lines of its title, and the text of a row's cell."""

    title: tuple[str, str]
    text: Callable[[Row], str]


def render_table(document: Document, *, width: int, color: bool, pivot: str) -> str:
    """Return the comparison as lines of at most `width` columns, but for a long policy's name."""
    cells = cells_of(document)
    lines = [*wrapped(title(document, cells), width, "  "), ""]
    if len(cells) > 1:
        lines += matrix_lines(cells, pivot, width)
    else:
        lines += _policy_lines(document, cells[0], width)
    if "family" in document:
        lines += family_lines(document, width)
    for cell in cells:
        if "paired" in cell:
            lines += ["", *paired_lines(document, cell, width)]
    if "paired" in cells[0]:
        lines += ["", *wrapped(LEGEND, width)]
    lines += change_lines(document, width)
    lines += gate_lines(document)
    lines += ["", *wrapped(document["note"], width)] if document["note"] else []
    text = "\n".join(lines) + "\n"
    return paint(text) if color else text


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
    }


def _stem(name: str) -> str:
    return name.removesuffix(".gz").removesuffix(".jsonl")


def _policy_lines(document: Document, cell: Row, width: int) -> list[str]:
    rows = [*cell["results"]]
    bound = rows[0].get("lower_bound_s")
    if bound is not None:
        rows.append({"policy": "(lower bound)", "makespan_s": bound})
    published = [{"policy": row["policy"], **row["metrics"]} for row in document["published"]]
    lines = align(cut(_texts(_columns(document, cell), [*rows, *published]), width))
    if published:
        sources = ", ".join(dict.fromkeys(row["source"] for row in document["published"]))
        lines.insert(2 + len(rows), f"published, not simulated ({sources}):")
    if _reference(document):
        lines += ["", f"{BETTER} better, {WORSE} worse than {_reference(document)}"]
    return lines


def _texts(columns: Sequence[Column], rows: Sequence[Row]) -> list[list[str]]:
    titles = [[column.title[line] for column in columns] for line in (0, 1)]
    return [*titles, *([column.text(row) for column in columns] for row in rows)]


def _columns(document: Document, cell: Row) -> list[Column]:
    """Return the columns, most important first."""
    seconds = max((row.get("mean_ttft_ms") or 0.0) for row in cell["results"]) >= 10_000
    unit, scale, form = ("s", 1000.0, ",.2f") if seconds else ("ms", 1.0, ",.0f")
    longest = max((row.get("makespan_s") or 0.0) for row in cell["results"])

    versus = "base" if "against" in document else policy_label(_reference(document), 8)

    def number(metric: str, form: str, scale: float = 1.0) -> Callable[[Row], str]:
        def text(row: Row) -> str:
            value = row.get(metric)
            return "" if value is None else f"{value / scale:z{form}}"

        return text

    columns = [
        Column(("policy", ""), lambda row: policy_label(row["policy"], 20)),
        Column(("total", "s"), number("makespan_s", ",.2f" if longest >= 1 else ".6f")),
        Column(("Δ total", f"vs {versus}"), _delta(document, cell)),
        Column(("util", "%"), number("utilization", ".2f", 0.01)),
        Column(("eff", "%"), number("efficiency", ".2f", 0.01)),
        Column(("output", "tok/s"), number("output_throughput", ",.0f")),
        Column(("mean", f"TTFT {unit}"), number("mean_ttft_ms", form, scale)),
        Column(("p99", f"TTFT {unit}"), number("p99_ttft_ms", form, scale)),
        Column(("gap to", "bound %"), number("gap_percent", ".2f")),
        Column(("mean", "TPOT ms"), number("mean_tpot_ms", ",.2f")),
        Column(("p99", "TPOT ms"), number("p99_tpot_ms", ",.2f")),
        Column(("", "steps"), number("steps", ",.0f")),
        Column(("", "preempted"), number("preemptions", ",.0f")),
    ]
    if document["slo"]:
        columns.insert(3, Column(("SLO", "%"), number("slo_attainment", ".1f", 0.01)))
    return columns if _reference(document) else [*columns[:2], *columns[3:]]


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
