"""Which figures of a cell are shown, and which of them comes first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llmsched.metric import METRICS, Metric
from llmsched.regime import Load, describe, regime_of
from llmsched.report.layout import written

_LATENCY = (
    "mean_ttft_ms",
    "p99_ttft_ms",
    "mean_tpot_ms",
    "p99_tpot_ms",
    "mean_e2el_ms",
    "p99_e2el_ms",
)
_FAILED = ("refused", "aborted")
_RARE = (*_FAILED, "prefix_cache_hit_rate")
"""Shown where they come to anything."""

_ACRONYMS = ("ttft", "tpot", "itl", "e2el")


def leading(
    document: Mapping[str, Any], cell: Mapping[str, Any], chosen: Sequence[str] = ()
) -> tuple[str, ...]:
    """Return the metrics to show, the one that policies are judged by first.

    Parameters
    ----------
    chosen : sequence of str
        The metrics that somebody asked for, in place of those that the regime calls for.
    """
    if chosen:
        return tuple(dict.fromkeys(chosen))
    titled = [
        name
        for name, metric in METRICS.items()
        if metric.title is not None and (name not in _RARE or _most(cell["results"], name))
    ]
    first = primary(document, cell)
    if first == "makespan_s":
        shown = (first, *(["slo_attainment"] if document["slo"] else []), *titled)
    elif first == "completed":
        shown = (first, *_FAILED, *_LATENCY, *titled)
    else:
        service = ["slo_attainment", "max_itl_ms"] if document["slo"] else []
        shown = (first, *service[:1], *_LATENCY, *service[1:], *titled)
    return tuple(dict.fromkeys(shown))


def primary(document: Mapping[str, Any], cell: Mapping[str, Any]) -> str:
    """Return the metric that the policies of a cell are judged by.

    Where not all of them serve as many: goodput if there is an objective, else how many they serve,
    or refusing would pay. Else the total of a batch or an overloaded engine; below that goodput
    again, and the mean time to the first token without an objective.
    """
    calm = regime_of(_load(cell), cell["results"]) == "arrivals"
    unlike = len({row.get("completed") for row in cell["results"] if "completed" in row}) > 1
    if document["slo"] and (calm or unlike) and _has(cell, "request_goodput"):
        return "request_goodput"
    if unlike:
        return "completed"
    return "mean_ttft_ms" if calm else "makespan_s"


def _has(cell: Mapping[str, Any], name: str) -> bool:
    """Whether any row has a value; limits on statistics alone are no objective of a request."""
    return any(row.get(name) is not None for row in cell["results"])


def load_line(cell: Mapping[str, Any]) -> str:
    """Return the load of a cell in one line; empty for a batch."""
    return describe(_load(cell), cell["results"])


def load_ratio(cell: Mapping[str, Any]) -> str:
    """Return the load of a cell as a number; empty for a batch."""
    load = _load(cell)
    return "" if load is None else f"{load.ratio:.2f}"


def _load(cell: Mapping[str, Any]) -> Load | None:
    return Load(**cell["load"]) if "load" in cell else None


def heading(metric: Metric) -> tuple[str, str]:
    """Return the two lines over a metric's column; of one without a title of its own, its name."""
    if metric.title is not None:
        return metric.title
    first, *words = metric.name.split("_")
    if len(words) == 2 and words[0] in _ACRONYMS:
        return first, f"{words[0].upper()} {words[1]}"
    return "", metric.name


def short_heading(metric: Metric) -> str:
    """Return what a metric is called within a line: its heading without the unit."""
    words = heading_in_line(heading(metric)).split()
    return " ".join(word for word in words if word not in ("s", "ms", "%", "tok/s", "req/s"))


def heading_in_line(title: tuple[str, str]) -> str:
    """Return the two lines of a heading as one."""
    return " ".join(filter(None, title))


def form_of(
    metric: Metric, rows: Sequence[Mapping[str, Any]]
) -> tuple[tuple[str, str], float, str]:
    """Return a column's heading, what its figures are multiplied by, and how they are written.

    Totals under a second have their microseconds; times to a token of ten seconds and more on the
    mean are shown in seconds.
    """
    title, scale, form = heading(metric), 1.0, written(metric)
    if metric.name == "makespan_s" and _most(rows, metric.name) < 1:
        return title, scale, ".6f"
    span = metric.name.split("_")[1:2]
    long = span in (["ttft"], ["e2el"], ["queue"])
    if long and _most(rows, f"mean_{span[0]}_ms") >= 10_000:
        return (title[0], title[1].replace("ms", "s")), 1e-3, ",.2f"
    return title, scale, form


def _most(rows: Sequence[Mapping[str, Any]], name: str) -> float:
    return max((row.get(name) or 0.0) for row in rows)
