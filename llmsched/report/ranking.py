"""Which policies come first, and how much better any schedule could be, in one line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmsched.metric import HIGHER, METRICS
from llmsched.report.layout import figure, policy_label
from llmsched.report.lead import form_of, heading_in_line, primary
from llmsched.report.proven import bound_row

_NAMED = 3


def ranking(document: Mapping[str, Any], cell: Mapping[str, Any]) -> str:
    """Return the metric that policies are judged by, the best of them and the bound.

    Empty where no policy has a value. Equal ones stand in the order in which they ran.
    """
    metric = METRICS[primary(document, cell)]
    rows = [row for row in cell["results"] if row.get(metric.name) is not None]
    if not rows:
        return ""
    title, scale, form = form_of(metric, rows)
    best = sorted(rows, key=lambda row: metric.worsening(row[metric.name]))[:_NAMED]

    def told(row: Mapping[str, Any]) -> str:
        return figure(row, metric.name, form, scale)

    line = f"{heading_in_line(title)}, best first: "
    line += ", ".join(f"{policy_label(row['policy'])} {told(row)}" for row in best)
    bound = bound_row(cell)
    if text := told(bound):
        side = "at most" if metric.better == HIGHER else "no schedule beats"
        line += f"; {side} {text}"
    elif metric.name == "request_goodput" and (text := figure(bound, "slo_attainment")):
        line += f"; at most {text} % attain the objective"
    return line
