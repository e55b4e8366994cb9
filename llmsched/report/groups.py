"""Rows of classes and lengths beneath those of policies, and limits on statistics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llmsched.metric import METRICS
from llmsched.report.console import Grid, Part
from llmsched.report.layout import BETTER, WORSE, figure, policy_label
from llmsched.report.lead import heading

_SHOWN = (
    "offered",
    "completed",
    "slo_attainment",
    "mean_ttft_ms",
    "p99_ttft_ms",
    "mean_tpot_ms",
    "p99_tpot_ms",
    "mean_e2el_ms",
    "p99_e2el_ms",
)
"""Metrics of a group; of those offered only where not all were completed."""

_FAIRNESS = {"jain_index": "Jain's index", "service_ratio": "most over least"}


def group_metrics(
    results: Sequence[Mapping[str, Any]], chosen: Sequence[str] = ()
) -> tuple[str, ...]:
    """Return the metrics of groups to show: of the `chosen` ones those that a group can have."""
    if known := [name for name in chosen if not METRICS[name].whole_only]:
        return tuple(dict.fromkeys(known))
    groups = [group for row in results for group in row.get("groups", ())]
    every = all(group.get("offered") == group.get("completed") for group in groups)
    return tuple(name for name in _SHOWN if name != "offered" or not every)


def group_parts(
    results: Sequence[Mapping[str, Any]], by: str, chosen: Sequence[str] = ()
) -> list[Part]:
    """Return a table with a row a policy and group, and what classes get; nothing without any."""
    names = group_metrics(results, chosen)
    rows = [
        [
            policy_label(row["policy"]) if place == 0 else "",
            group["group"],
            *(figure(group, name) for name in names),
        ]
        for row in results
        for place, group in enumerate(row.get("groups", ()))
    ]
    if not rows:
        return []
    titles = [["policy", by.partition(":")[0]], ["", ""]]
    for name in names:
        for line, word in zip(titles, heading(METRICS[name]), strict=True):
            line.append(word)
    used = [i for i in range(len(titles[0])) if i < 2 or any(row[i] for row in rows)]
    grid = Grid(
        [[row[i] for i in used] for row in rows],
        [[line[i] for i in used] for line in titles],
        lead=2,
        words=2,
    )
    return ["", grid, *_fairness(results)]


def _fairness(results: Sequence[Mapping[str, Any]]) -> list[Part]:
    """Return what the classes of each policy get of service per second, where there are several."""
    rows = [
        [policy_label(row["policy"]), *(figure(row, name, ".3f") for name in _FAIRNESS)]
        for row in results
        if row.get("jain_index") is not None
    ]
    if not rows:
        return []
    return ["", Grid(rows, [["class service per request-second", *_FAIRNESS.values()]])]


def objective_lines(results: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return for each limit on a statistic which policies meet and miss it."""
    found = [(row["policy"], one) for row in results for one in row.get("objectives", ())]
    return ["", *(_objective(policy, one) for policy, one in found)] if found else []


def _objective(policy: str, one: Mapping[str, Any]) -> str:
    mark, word = (BETTER, "met") if one["met"] else (WORSE, "missed")
    metric = METRICS[one["objective"].rpartition(":")[2]]
    value = "no value" if one["value"] is None else f"{one['value']:z,.1f} {metric.unit}"
    limit = f"{one['objective']} <= {one['limit']:g}"
    return f"{mark} {word} {policy_label(policy)}: {limit}, {value}"
