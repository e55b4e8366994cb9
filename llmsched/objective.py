"""Service-level objectives: which names of limits there are, and what a row says of them.

A limit is called ``[CLASS:]METRIC`` and is in milliseconds. On a latency of a request (``ttft_ms``)
it is kept or broken by each request; on a statistic (``p99_ttft_ms``) it is met or missed by all
requests together, or by those of the class. The last colon separates, so a class may have others
in its name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from llmsched.errors import InputError
from llmsched.metric import LOWER, METRICS, SLO_METRICS, find_metric

STATISTICS = tuple(
    name for name, metric in METRICS.items() if metric.unit == "ms" and metric.better == LOWER
)


def split(name: str) -> tuple[str, str]:
    """Return the class that a limit is for, empty for all of them, and what it limits."""
    group, _, metric = name.rpartition(":")
    return group, metric


def check_limit(name: str) -> None:
    """Refuse a limit on what is not measured.

    Raises
    ------
    InputError
        It is no latency and no statistic of one, or one that no class has.
    """
    group, metric = split(name)
    if not group and ":" in name:
        raise InputError(f"slo: expected a class before the colon, got {name!r}")
    if metric in SLO_METRICS:
        return
    if metric not in STATISTICS:
        known = f"{', '.join(SLO_METRICS)} or a statistic like p99_ttft_ms"
        raise InputError(f"slo: expected one of {known}, got {metric!r}")
    if group and METRICS[metric].whole_only:
        raise InputError(f"slo: {metric} is known of the whole replay alone, not of {group!r}")


def check_classes(names: Iterable[str], known: Sequence[str]) -> None:
    """Refuse a limit for a class that the trace does not have.

    Raises
    ------
    InputError
        The message lists those it has.
    """
    for name in names:
        group, _ = split(name)
        if group and group not in known:
            have = f"one of {', '.join(known)}" if known else "none: the trace has no classes"
            raise InputError(f"slo: class: expected {have}; got {group!r}")


def has_classes(slo: Mapping[str, float]) -> bool:
    """Return whether any limit is for a class."""
    return any(split(name)[0] for name in slo)


def alike(slo: Mapping[str, float] | None) -> dict[str, float]:
    """Return the limits that all requests have alike; none if a class has its own."""
    limits = {name: limit for name, limit in (slo or {}).items() if split(name)[1] in SLO_METRICS}
    return {} if has_classes(limits) else limits


def held(slo: Mapping[str, float], row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return which limits on statistics a row meets, that of a class by the row's group of it.

    What has no value is missed.
    """
    groups = {group["group"]: group for group in row.get("groups", ())}
    found = []
    for name, limit in slo.items():
        group, metric = split(name)
        if metric not in SLO_METRICS:
            value = (groups.get(group, {}) if group else row).get(metric)
            met = value is not None and value <= limit + find_metric(metric).noise
            found.append({"objective": name, "limit": limit, "value": value, "met": met})
    return found
