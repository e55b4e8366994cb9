"""What changed against an earlier result, and what the gates say, for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from llmsched.compare.document import Document
from llmsched.compare.metric import METRICS
from llmsched.report.layout import BETTER, WORSE, align

_MOST = 8
_NOTICED = 0.1
"""Percent; smaller changes are counted, not listed."""


def change_lines(document: Document, width: int) -> list[str]:
    """Return the largest changes against the earlier result, worse ones first."""
    if "against" not in document:
        return []
    against = document["against"]
    changes = [c for c in against["changes"] if _percent(c) >= _NOTICED]
    worse = [change for change in changes if change["worse"]]
    better = [change for change in reversed(changes) if not change["worse"]]
    file = PurePath(against["file"]).name
    lines = ["", f"against {file}: {len(worse)} worse, {len(better)} better"]
    for mark, group in ((WORSE, worse), (BETTER, better)):
        lines += align([_change(mark, change) for change in group[:_MOST]]) if group else []
        if len(group) > _MOST:
            lines.append(f"  and {len(group) - _MOST} more (--format json has all)")
    if against["new"]:
        lines.append(f"not in {file}: {', '.join(against['new'])}")
    if against["gone"]:
        lines.append(f"only in {file}, not judged: {', '.join(against['gone'])}")
    return [line[:width] if len(line) > width else line for line in lines]


def gate_lines(document: Document) -> list[str]:
    """Return every breach, then how many gates passed."""
    verdicts = document.get("gates")
    if not verdicts:
        return []
    failed = [verdict for verdict in verdicts if not verdict["passed"]]
    lines = [""]
    lines += [f"{WORSE} FAILED {_where(verdict)}: {verdict['reason']}" for verdict in failed]
    passed = len(verdicts) - len(failed)
    mark = WORSE if failed else BETTER
    lines.append(f"{mark} gates: {passed} of {len(verdicts)} passed")
    return lines


def _where(verdict: Mapping[str, Any]) -> str:
    place = f"{verdict['cell']}: " if verdict["cell"] else ""
    return f"{place}{verdict['policy']} ({verdict['gate']})"


def _change(mark: str, change: Mapping[str, Any]) -> Sequence[str]:
    percent = (
        100 * (change["value"] - change["base"]) / abs(change["base"]) if change["base"] else None
    )
    place = f"{change['cell']}: " if change["cell"] else ""
    return (
        f"  {mark} {place}{change['policy']}",
        change["metric"],
        f"{change['base']:,.5g}",
        "→",
        f"{change['value']:,.5g}",
        METRICS[change["metric"]].unit,
        "" if percent is None else f"{percent:+.2f}%",
    )


def _percent(change: Mapping[str, Any]) -> float:
    percent = change["worsening_percent"]
    return float("inf") if percent is None else abs(float(percent))
