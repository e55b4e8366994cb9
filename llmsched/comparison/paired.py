"""Paired differences: each policy against the baseline on the same cases."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from llmsched.documents.row import Row
from llmsched.metric import COUNT, METRICS, Metric, judged_metrics

CONFIDENCE = 0.95


def mean_row(rows: Sequence[Row]) -> Row:
    """Return the mean of each metric over the cases; None where a case has no value."""
    first = rows[0]
    if len(rows) == 1:
        return first
    mean: Row = {
        name: value if isinstance(value, str) else _mean([row[name] for row in rows])
        for name, value in first.items()
        if name != "groups"
    }
    return mean | _mean_groups(rows)


def _mean_groups(rows: Sequence[Row]) -> Row:
    """Return the means of each group over the cases that have it: one may be drawn in none.

    Counts are means over all cases, so that those of the groups add up.
    """
    by_name: dict[str, list[Row]] = {}
    for row in rows:
        for group in row.get("groups", ()):
            by_name.setdefault(group["group"], []).append(group)
    means = [mean_row(of_group) for of_group in by_name.values()]
    for group, of_group in zip(means, by_name.values(), strict=True):
        share = len(of_group) / len(rows)
        for name, value in group.items():
            if name in METRICS and METRICS[name].kind == COUNT and value is not None and share < 1:
                group[name] = value * share
    return {"groups": means} if means else {}


def paired_differences(
    policy: Sequence[Row], baseline: Sequence[Row], mixed: bool
) -> list[dict[str, float | int | str | None]]:
    """Compare a policy with the baseline, case by case, in every metric with a direction.

    Parameters
    ----------
    policy, baseline : sequences of rows, shape (cases,)
        Row i of both comes from the same case.
    mixed : bool
        Whether their profile has mixed steps: it decides which metrics have a direction.

    Returns
    -------
    list of dict
        For each metric that has a value in every case: the mean of the differences (policy minus
        baseline, in the metric's unit) with its confidence interval (Student's t), the central 95 %
        of the differences, their mean in percent of the baseline's mean, the numbers of cases
        better, equal (:meth:`Metric.matters`) and worse, and the least favourable case.
    """
    return [
        _summary(metric, ours, theirs)
        for metric in judged_metrics(mixed)
        if (ours := _column(policy, metric)) is not None
        and (theirs := _column(baseline, metric)) is not None
    ]


def _summary(
    metric: Metric, ours: NDArray[np.float64], theirs: NDArray[np.float64]
) -> dict[str, float | int | str | None]:
    difference = ours - theirs
    worse = np.array([metric.worsening(change) for change in difference])
    tie = ~np.array([metric.matters(b, v) for b, v in zip(theirs, ours, strict=True)])
    mean, half = float(difference.mean()), _half_width(difference)
    low, high = np.percentile(difference, [2.5, 97.5])
    base = float(theirs.mean())
    worst = int(worse.argmax())
    return {
        "metric": metric.name,
        "mean": mean,
        "ci_low": mean - half,
        "ci_high": mean + half,
        "p2_5": float(low),
        "p97_5": float(high),
        "mean_percent": metric.percent(base, base + mean),
        "better": int((~tie & (worse < 0)).sum()),
        "equal": int(tie.sum()),
        "worse": int((~tie & (worse > 0)).sum()),
        "worst": float(difference[worst]),
        "worst_case": worst,
    }


def _half_width(difference: NDArray[np.float64]) -> float:
    from scipy.special import stdtrit  # here, because a comparison without cases need not wait

    n = len(difference)
    spread = float(difference.std(ddof=1)) / math.sqrt(n)
    return float(stdtrit(n - 1, (1 + CONFIDENCE) / 2)) * spread


def _column(rows: Sequence[Mapping[str, object]], metric: Metric) -> NDArray[np.float64] | None:
    values = [row.get(metric.name) for row in rows]
    if not all(isinstance(value, int | float) for value in values):
        return None
    return np.array(values, dtype=np.float64)


def _mean(values: Sequence[object]) -> float | None:
    numbers = [value for value in values if isinstance(value, int | float)]
    return math.fsum(numbers) / len(values) if len(numbers) == len(values) else None
