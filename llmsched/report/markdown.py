"""Markdown for pull requests and job summaries."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from llmsched.comparison.document import Document, cell_name, cells_of
from llmsched.documents.row import Row
from llmsched.metric import METRICS, NOTICED_PERCENT
from llmsched.report.clean import cleaned
from llmsched.report.columns import columns_of, rows_of
from llmsched.report.facts import facts_of
from llmsched.report.family import family_rows
from llmsched.report.gates import absent_lines, percent_text
from llmsched.report.groups import group_metrics, objective_lines
from llmsched.report.layout import BETTER, WORSE, figure
from llmsched.report.lead import heading, heading_in_line, leading, load_line
from llmsched.report.paired import told_pairs
from llmsched.report.proven import scopes
from llmsched.report.ranking import ranking

SUMMARY_LIMIT = 1024 * 1024
"""Bytes that GitHub accepts as the summary of one step."""

_SPECIAL = re.compile(r"[\\`*\[|]|(?<![^\W_])_|_(?![^\W_])")  # an underscore within a word is none
_CODE = re.compile(r"(`[^`]+`)")

_SERVICE = ("mean_ttft_ms", "p99_ttft_ms", "slo_attainment")
"""What paired differences show of the service, beside the total and a share."""


def render_markdown(document: Document, metrics: Sequence[str] = ()) -> str:
    """Return the verdict first, then the changes, then a table a cell."""
    blocks = [
        _head(document["scenario"]),
        *_gates(document),
        *_changes(document),
    ]
    blocks += [_cell(document, cell, metrics) for cell in cells_of(document)]
    if "family" in document:
        blocks.append(_family(document))
    if document["published"]:
        names = leading(document, cells_of(document)[0], metrics)
        blocks.append(_published(document["published"], names))
    if document["note"]:
        blocks.append(f"_{_prose(document['note'])}_")
    return "\n\n".join(blocks) + "\n"


def render_refusal(name: str, reason: str) -> str:
    """Return why the comparison `name` could not be made."""
    name, reason = cleaned([name, reason], printable=True)
    return f"{_head(name)}\n\n**{WORSE} not comparable:** {_plain(reason)}\n"


def fitted(text: str, limit: int = SUMMARY_LIMIT) -> str:
    """Return whole lines of a report within `limit` bytes, saying so if some are left out.

    Empty if not even that can be said.
    """
    if len(text.encode()) <= limit:
        return text
    notice = "\n… cut to the size that a job summary may have; the saved result has everything\n"
    room, kept = limit - len(notice.encode()), []
    if room < 0:
        return ""
    for line in text.splitlines(keepends=True):
        room -= len(line.encode())
        if room < 0:
            break
        kept.append(line)
    return "".join(kept) + notice


def _head(name: str) -> str:
    return f"## llmsched: {_plain(name)}"


def _gates(document: Document) -> list[str]:
    verdicts = document.get("gates")
    if not verdicts:
        return []
    failed = [verdict for verdict in verdicts if not verdict["passed"]]
    if not failed:
        return [f"**{BETTER} all {len(verdicts)} gates passed**"]
    rows = [[v["cell"], v["policy"], v["gate"], v["reason"]] for v in failed]
    head = f"**{WORSE} {len(failed)} of {len(verdicts)} gates failed**"
    return [head, _table(["case", "policy", "gate", "why"], rows, numeric=False)]


def _changes(document: Document) -> list[str]:
    if "against" not in document:
        return []
    against = document["against"]
    rows = [
        [
            WORSE if change["worse"] else BETTER,
            change["cell"],
            change["policy"],
            change["metric"],
            f"{change['base']:z,.5g}",
            f"{change['value']:z,.5g}",
            percent_text(change),
        ]
        for change in against["changes"]
    ]
    worse = sum(change["worse"] for change in against["changes"])
    head = f"Against {_plain(against['file'])} (llmsched {_plain(against['llmsched'])}): "
    head += f"{worse} metrics worse, {len(rows) - worse} better."
    blocks = ["\n".join([head, *(f"- {_plain(line)}" for line in absent_lines(document))])]
    if rows:
        columns = ["", "case", "policy", "metric", "base", "now", "change"]
        table = _table(columns, rows, numeric=False)
        blocks.append(f"<details><summary>all changes</summary>\n\n{table}\n\n</details>")
    return blocks


def _cell(document: Document, cell: Row, metrics: Sequence[str]) -> str:
    name, trace = cell_name(cell), cell["trace"]
    head = f"### {_plain(name)}\n\n" if name else ""
    facts = facts_of(document, cell)
    where = [_plain(f"{trace['name']} ({trace['requests']:,} requests)")]
    where += [_prose(fact) for fact in facts.values() if fact]
    blocks = [head + ", ".join(where)]
    if line := load_line(cell):
        blocks += filter(None, [_plain(line), _plain(ranking(document, cell))])
    blocks.append(_policies(document, cell, metrics))
    if "bounds" in cell:
        blocks.append(_plain(scopes(cell["bounds"])))
    blocks += _groups(document, cell, metrics)
    if "paired" in cell:
        blocks.append(_paired(document, cell, metrics))
    return "\n\n".join(blocks)


def _policies(document: Document, cell: Row, metrics: Sequence[str]) -> str:
    """Return a row a policy, then what none of them can beat."""
    columns = columns_of(document, cell, metrics)
    titles = [_plain(heading_in_line(column.title)) for column in columns]
    texts = [
        [row["policy"], *(column.text(row) for column in columns)] for row in rows_of(cell, columns)
    ]
    return _table(["policy", *titles], texts)


def _groups(document: Document, cell: Row, metrics: Sequence[str]) -> list[str]:
    """Return a table of the groups, and which limits on statistics are met."""
    names = group_metrics(cell["results"], metrics)
    rows = [
        [row["policy"], group["group"], *_values(group, names)]
        for row in cell["results"]
        for group in row.get("groups", ())
    ]
    columns = ["policy", document.get("by", ""), *_headings(names)]
    blocks = [_table(columns, rows)] if rows else []
    lines = [f"- {_plain(line)}" for line in objective_lines(cell["results"]) if line]
    return [*blocks, "\n".join(lines)] if lines else blocks


def _paired(document: Document, cell: Row, metrics: Sequence[str]) -> str:
    told = told_pairs(document, cell, metrics)
    rows = [
        [
            pair["policy"],
            pair["metric"],
            _signed(pair["mean"]),
            f"{_signed(pair['ci_low'])} … {_signed(pair['ci_high'])}",
            f"{pair['better']} / {pair['equal']} / {pair['worse']}",
            _signed(pair["worst"]),
        ]
        for name in dict.fromkeys([*told, *(() if metrics else _SERVICE)])
        for pair in cell["paired"]
        if pair["metric"] == name
    ]
    count = document["cases"]["count"]
    head = f"Paired differences from {_plain(document['baseline'])} over {count} cases "
    head += f"(a case whose difference is under {NOTICED_PERCENT} % counts as equal):"
    columns = ["policy", "metric", "mean", "95 % interval", "better / equal / worse", "worst"]
    return f"{head}\n\n{_table(columns, rows, numeric=False)}"


def _signed(value: float) -> str:
    return f"{value:+z,.0f}" if abs(value) >= 1000 else f"{value:+z.4g}"


def _family(document: Document) -> str:
    heading, (above, below, *rows) = family_rows(document)
    columns = [f"{one} {two}".strip() for one, two in zip(above, below, strict=True)]
    return f"{_plain(heading)}\n\n{_table(columns, rows)}"


def _published(published: Sequence[Mapping[str, Any]], names: Sequence[str]) -> str:
    rows = [[row["policy"], *_values(row["metrics"], names), row["source"]] for row in published]
    columns = ["published, not simulated", *_headings(names), "source"]
    return _table(columns, rows)


def _headings(names: Sequence[str]) -> list[str]:
    return [_plain(heading_in_line(heading(METRICS[name]))) for name in names]


def _values(row: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    return [figure(row, name) for name in names]


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, numeric: bool = True) -> str:
    used = [i for i in range(len(columns)) if any(row[i] for row in rows)]
    rule = ["---", *(["---:" if numeric else "---"] * (len(used) - 1))]
    body = [[_plain(row[i]) for i in used] for row in rows]
    lines = [[columns[i] for i in used], rule, *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _plain(text: str) -> str:
    """Return text on one line that Markdown shows as it is, in a table's cell as well."""
    return _escaped(" ".join(text.split()))


def _escaped(text: str) -> str:
    return _SPECIAL.sub(r"\\\g<0>", text).replace("&", "&amp;").replace("<", "&lt;")


def _prose(text: str) -> str:
    """Return text on one line that Markdown shows as it is but for its spans of code."""
    parts = _CODE.split(" ".join(text.split()))
    return "".join(part if i % 2 else _escaped(part) for i, part in enumerate(parts))
