"""Gates: limits on metrics that fail a run.

A gate reads ``[POLICY:][GROUP:]METRIC:LIMIT``. With a group, a class by its name, it is on that
group's row (``chat:p99_ttft_ms:2000``). The limit is one of

- a plain number, a level: ``slo_attainment:0.95`` wants at least that where higher is better, and
  at most that where lower is better;
- a plain percentage, the worsening allowed against the baseline: ``makespan_s:2%``;
- a signed number or percentage, the limit of the change itself: ``p99_ttft_ms:+50`` allows 50 ms
  more, ``hybrid:makespan_s:-5%`` wants at least 5 % less.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple

from llmsched.documents.result import Verdict
from llmsched.documents.row import Row
from llmsched.errors import InputError
from llmsched.metric import HIGHER, NEITHER, Metric, find_metric

_LIMIT = re.compile(r"(?P<sign>[+-]?)(?P<number>\d+(\.\d+)?|\.\d+)(?P<percent>%?)")
_SLACK = 1e-9  # relative; beside a metric's noise: a value at its limit but for rounding passes


class Scope(NamedTuple):
    """Whose rows a gate is held against: None is every policy, and all requests."""

    policy: str | None = None
    group: str | None = None


@dataclass(frozen=True)
class Gate:
    """One limit on one metric, for one policy or for all, of all requests or of a group.

    Attributes
    ----------
    limit : float
        A level in the metric's unit, or the change of the metric allowed: positive is an increase.
    relative : bool
        Whether `limit` is a change against the baseline.
    percent : bool
        Whether that change is in percent of the baseline's value.
    text : str
        The gate as written.
    whom : str or None
        What it is on, as written: a policy, a group, or both; see `scope`.
    """

    text: str
    metric: Metric
    limit: float
    relative: bool
    percent: bool
    whom: str | None = None

    def scope(self, policies: Collection[str], groups: Collection[str]) -> Scope | None:
        """Return which policy and group it is on, by those there are; None if it is on neither.

        Raises
        ------
        InputError
            A policy and a group have that name.
        """
        if self.whom is None:
            return Scope()
        if self.whom in policies and self.whom in groups:
            both = f"{self.whom!r} is a policy and a group"
            raise InputError(f"gate {self.text!r}: expected POLICY:GROUP:METRIC:LIMIT: {both}")
        if self.whom in policies:
            return Scope(policy=self.whom)
        if self.whom in groups:
            return Scope(group=self.whom)
        for policy in policies:
            group = self.whom.removeprefix(f"{policy}:")
            if group != self.whom and group in groups:
                return Scope(policy, group)
        return None

    def threshold(self, base: float | None) -> float | None:
        """Return the worst value that passes; None if the baseline has no value."""
        if not self.relative:
            return self.limit
        if base is None:
            return None
        return base + (abs(base) * self.limit / 100 if self.percent else self.limit)


def parse_gate(text: str) -> Gate:
    """Read a gate.

    Raises
    ------
    InputError
        It does not have the form above, or names a metric that does not exist or has no direction.
    """
    whom, _, metric_name = text.rpartition(":")[0].rpartition(":")
    limit = _LIMIT.fullmatch(text.rpartition(":")[2])
    if not metric_name or limit is None:
        raise InputError(
            "expected [POLICY:][GROUP:]METRIC:LIMIT with a limit like 2%, +50 or 0.95, "
            f"got {text!r}"
        )
    try:
        metric = find_metric(metric_name)
    except InputError as error:
        raise InputError(f"gate {text!r}: {error}") from error
    if metric.better == NEITHER:
        raise InputError(f"gate {text!r}: {metric.name} has no better direction, so no gate")
    percent, signed = bool(limit["percent"]), bool(limit["sign"])
    bound = float(limit["sign"] + limit["number"])
    if percent and not signed:
        bound = metric.worsening(bound)
    return Gate(text, metric, bound, percent or signed, percent, whom or None)


def judge(gate: Gate, row: Row, base_row: Row | None, cell: str = "") -> Verdict:
    """Say whether a row passes a gate. A missing value never passes."""
    value, base = number(row, gate.metric), None
    if gate.relative:
        base = None if base_row is None else number(base_row, gate.metric)
    threshold = gate.threshold(base)
    passed, reason = _compare(gate.metric, value, threshold)
    if gate.percent and base is not None and abs(base) <= gate.metric.noise:
        reason += ": any percentage of a base of 0 is 0"
    return Verdict(
        gate=gate.text,
        cell=cell,
        policy=str(row["policy"]),
        metric=gate.metric.name,
        value=value,
        base=base,
        threshold=threshold,
        passed=passed,
        reason=reason,
    )


def judge_gone(gate: Gate, base_row: Row, cell: str = "") -> Verdict:
    """Return the verdict on a policy that only the baseline has: nothing shows that it passes."""
    policy = str(base_row["policy"])
    return Verdict(
        gate=gate.text,
        cell=cell,
        policy=policy,
        metric=gate.metric.name,
        value=None,
        base=number(base_row, gate.metric),
        threshold=None,
        passed=False,
        reason=f"{policy} is in the baseline, but no longer in this run",
    )


def _compare(metric: Metric, value: float | None, threshold: float | None) -> tuple[bool, str]:
    if value is None:
        return False, f"{metric.name} has no value in this run"
    if threshold is None:
        return False, f"{metric.name} has no value in the baseline"
    unit = f" {metric.unit}" if metric.unit else ""
    margin = max(metric.noise, _SLACK * max(abs(value), abs(threshold)))
    passed = metric.worsening(value - threshold) <= margin
    side = "at least" if metric.better == HIGHER else "at most"
    return passed, f"{metric.name} {value:z.6g}{unit}, limit {side} {threshold:z.6g}{unit}"


def number(row: Row, metric: Metric) -> float | None:
    """Return a row's value of a metric; None if it is missing, null or NaN."""
    value = row.get(metric.name)
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        return None
    return float(value)
