"""What is proven of latencies, as a row beneath those of the policies and in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llmsched.documents.row import Row
from llmsched.metric import HIGHER, METRICS
from llmsched.report.layout import figure

LABEL = "(lower bound)"


def bound_row(cell: Mapping[str, Any]) -> Row:
    """Return what no policy beats, by metric; empty where nothing is proven of all rows alike.

    The bound of the total is that of the requests that a policy completed: the same for all rows
    only if they completed the same ones.
    """
    rows: Sequence[Row] = cell["results"]
    total = rows[0].get("lower_bound_s")
    alike = all(row.get("lower_bound_s") == total for row in rows)
    proven = {} if total is None or not alike else {"makespan_s": total}
    proven |= {name: bound["value"] for name, bound in cell.get("bounds", {}).items()}
    return {"policy": LABEL, **proven} if proven else {}


def bounded(row: Row, name: str, form: str, scale: float) -> str:
    """Return a figure of any row; the bound of what is better the higher is the most there is."""
    text = figure(row, name, form, scale)
    return (
        f"≤{text}" if text and row["policy"] == LABEL and METRICS[name].better == HIGHER else text
    )


def scopes(proven: Mapping[str, Any]) -> str:
    """Say of which schedules the bounds hold, and what is proven of those that preempt little."""
    said = [f"Bounds hold for {next(iter(proven.values()))['scope']}."]
    for name, bound in proven.items():
        if limited := bound.get("limited"):
            metric = METRICS[name]
            value = f"{limited['value']:,.1f} ms"
            if metric.unit != "ms":
                value = f"{100 * limited['value']:.2f} %"
            side = "at most" if metric.better == HIGHER else "at least"
            said.append(f"For {limited['scope']}: {name} {side} {value}.")
    return " ".join(said)
