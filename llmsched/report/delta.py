"""How far the rows of a comparison are from what they are compared with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePath
from typing import Any

from llmsched.comparison.document import Document, has_mixed_steps
from llmsched.documents.row import Row
from llmsched.metric import METRICS, NEITHER
from llmsched.report.layout import BETTER, WORSE

_MANY_PERCENT = 1000
"""A change from which on it is easier to read as a factor."""


def reference(document: Document) -> str:
    """Return the name of what rows are compared with; empty if nothing."""
    if "against" in document:
        return PurePath(document["against"]["file"]).name
    return str(document.get("baseline") or "")


def delta(document: Document, cell: Row, metric: str) -> Callable[[Row], str]:
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
