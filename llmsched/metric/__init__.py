"""The table of metrics: `entries` has them, `entry` says what one is."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from types import MappingProxyType

from llmsched.errors import InputError
from llmsched.metric.entries import RECORDED
from llmsched.metric.entry import (
    COUNT,
    HIGHER,
    LOWER,
    NEITHER,
    NOTICED_PERCENT,
    REAL,
    SHARE,
    SLO_METRICS,
    SLO_SPANS,
    Limited,
    Measured,
    Metric,
)

__all__ = [
    "COUNT",
    "HIGHER",
    "LOWER",
    "METRICS",
    "NEITHER",
    "NOTICED_PERCENT",
    "REAL",
    "RECORDED",
    "SHARE",
    "SLO_METRICS",
    "SLO_SPANS",
    "Limited",
    "Measured",
    "Metric",
    "find_metric",
    "judged_metrics",
]

METRICS: Mapping[str, Metric] = MappingProxyType(
    {metric.name: metric for metric in sorted(RECORDED, key=lambda metric: metric.rank)}
)
"""The metrics by name, in the order of a report."""


def judged_metrics(mixed: bool) -> list[Metric]:
    """Return the metrics that are better or worse on a profile with or without mixed steps."""
    return [metric for metric in METRICS.values() if metric.direction(mixed) != NEITHER]


def find_metric(name: str) -> Metric:
    """Return a metric by name.

    Raises
    ------
    InputError
        There is none; the message names the closest, or all.
    """
    if name in METRICS:
        return METRICS[name]
    if near := get_close_matches(name, METRICS, n=1):
        raise InputError(f"expected a metric, got {name!r} (did you mean {near[0]}?)")
    raise InputError(f"expected one of {', '.join(METRICS)}; got {name!r}")
