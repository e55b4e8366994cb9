"""The paired differences of a study."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from llmsched.comparison.document import Document, cell_name, has_mixed_steps
from llmsched.metric import METRICS, NEITHER, NOTICED_PERCENT, Metric
from llmsched.report.console import Grid, Part
from llmsched.report.layout import BETTER, UNDECIDED, WORSE, policy_label, wrapped
from llmsched.report.lead import primary

LEGEND = (
    f"Δ mean of the paired differences ({BETTER} better, {WORSE} worse, {UNDECIDED} if its 95 % "
    f"confidence interval holds zero or it is under {NOTICED_PERCENT} %); where 95 % of the cases "
    f"lie; cases better than the baseline, where a difference under {NOTICED_PERCENT} % counts as "
    "equal; the least favourable case"
)
_SHARES = ("utilization", "efficiency")
_HIDDEN = 0.005
"""What two decimals would show as zero."""
_MOST_DECIMALS = 6


def told_pairs(
    document: Document, cell: Mapping[str, Any], chosen: Sequence[str] = ()
) -> tuple[str, ...]:
    """Return the metrics to show: those `chosen`, where any was compared.

    Else what policies are judged by, the total, and the first share with a direction on its
    profile. One share is enough: of the same requests, efficiency only restates the total.
    """
    present = {pair["metric"] for pair in cell["paired"]}
    if known := [name for name in chosen if name in present]:
        return tuple(dict.fromkeys(known))
    mixed = has_mixed_steps(cell)
    share = next(name for name in _SHARES if METRICS[name].direction(mixed) != NEITHER)
    return tuple(dict.fromkeys([primary(document, cell), "makespan_s", share]))


def paired_parts(
    document: Document, cell: Mapping[str, Any], width: int, chosen: Sequence[str] = ()
) -> list[Part]:
    """Return each policy's mean difference from the baseline, its interval, wins and worst case."""
    count = document["cases"]["count"]
    head = f"paired differences from {document['baseline']}, {count} cases"
    name = cell_name(cell)
    parts: list[Part] = [*wrapped(f"{name}: {head}" if name else head, width)]
    for metric in told_pairs(document, cell, chosen):
        rows = [_line(metric, pair) for pair in cell["paired"] if pair["metric"] == metric]
        if rows:
            parts += ["", Grid(rows, [_header(metric)])]
    return parts


def _header(metric: str) -> list[str]:
    unit = "points" if METRICS[metric].scale != 1 else METRICS[metric].unit
    return [
        ", ".join(filter(None, [metric, unit])),
        "Δ mean",
        "95 % interval",
        "95 % of cases",
        "wins",
        "worst",
    ]


def _line(metric: str, pair: Mapping[str, Any]) -> list[str]:
    worse = METRICS[metric].worsening(pair["mean"]) > 0
    decided = (pair["ci_low"] > 0 or pair["ci_high"] < 0) and _is_noticed(pair)
    mark = (WORSE if worse else BETTER) if decided else UNDECIDED
    cases = pair["better"] + pair["equal"] + pair["worse"]

    def signed(key: str) -> str:
        return _signed(pair[key], METRICS[metric])

    return [
        policy_label(pair["policy"]),
        f"{mark} {signed('mean')}",
        f"{signed('ci_low')} … {signed('ci_high')}",
        f"{signed('p2_5')} … {signed('p97_5')}",
        f"{100 * pair['better'] / cases:.0f}%",
        signed("worst"),
    ]


def _signed(value: float, metric: Metric) -> str:
    """Return a difference with two decimals, or as many as show that it is not zero."""
    decimals, scaled = 2, value * metric.scale
    if metric.noise < abs(value) and abs(scaled) < _HIDDEN:
        decimals = min(_MOST_DECIMALS, 1 - math.floor(math.log10(abs(scaled))))
    return f"{scaled:+z,.{decimals}f}"


def _is_noticed(pair: Mapping[str, Any]) -> bool:
    percent = pair["mean_percent"]
    return percent is None or abs(percent) >= NOTICED_PERCENT
