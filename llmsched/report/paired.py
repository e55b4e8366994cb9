"""The paired differences of a study."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmsched.comparison.document import Document, cell_name, has_mixed_steps
from llmsched.metric import METRICS, NEITHER, NOTICED_PERCENT
from llmsched.report.console import Grid, Part
from llmsched.report.layout import BETTER, UNDECIDED, WORSE, policy_label, wrapped

LEGEND = (
    f"Δ mean of the paired differences ({BETTER} better, {WORSE} worse, {UNDECIDED} if its 95 % "
    f"confidence interval holds zero or it is under {NOTICED_PERCENT} %); where 95 % of the cases "
    "lie; cases better than the baseline; the least favourable case"
)
_SHARES = ("utilization", "efficiency")


def told_pairs(cell: Mapping[str, Any]) -> tuple[str, str]:
    """Return the metrics to show: the total, and the first share with a direction on its profile.

    One share is enough: of the same requests, efficiency only restates the total.
    """
    mixed = has_mixed_steps(cell)
    share = next(name for name in _SHARES if METRICS[name].direction(mixed) != NEITHER)
    return "makespan_s", share


def paired_parts(document: Document, cell: Mapping[str, Any], width: int) -> list[Part]:
    """Return each policy's mean difference from the baseline, its interval, wins and worst case."""
    count = document["cases"]["count"]
    head = f"paired differences from {document['baseline']}, {count} cases"
    name = cell_name(cell)
    parts: list[Part] = [*wrapped(f"{name}: {head}" if name else head, width)]
    for metric in told_pairs(cell):
        rows = [_line(metric, pair) for pair in cell["paired"] if pair["metric"] == metric]
        if rows:
            parts += ["", Grid(rows, [_header(metric)])]
    return parts


def _header(metric: str) -> list[str]:
    unit = "points" if metric in _SHARES else METRICS[metric].unit
    return [f"{metric}, {unit}", "Δ mean", "95 % interval", "95 % of cases", "wins", "worst"]


def _line(metric: str, pair: Mapping[str, Any]) -> list[str]:
    scale = 100.0 if metric in _SHARES else 1.0
    worse = METRICS[metric].worsening(pair["mean"]) > 0
    decided = (pair["ci_low"] > 0 or pair["ci_high"] < 0) and _is_noticed(pair)
    mark = (WORSE if worse else BETTER) if decided else UNDECIDED
    cases = pair["better"] + pair["equal"] + pair["worse"]

    def signed(key: str) -> str:
        return f"{pair[key] * scale:+z.2f}"

    return [
        policy_label(pair["policy"]),
        f"{mark} {signed('mean')}",
        f"{signed('ci_low')} … {signed('ci_high')}",
        f"{signed('p2_5')} … {signed('p97_5')}",
        f"{100 * pair['better'] / cases:.0f}%",
        signed("worst"),
    ]


def _is_noticed(pair: Mapping[str, Any]) -> bool:
    percent = pair["mean_percent"]
    return percent is None or abs(percent) >= NOTICED_PERCENT
