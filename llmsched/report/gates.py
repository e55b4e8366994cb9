"""What changed against an earlier result, and what the gates say, for the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from llmsched.comparison.document import Document, cell_name, cells_of, has_mixed_steps
from llmsched.metric import METRICS, NEITHER
from llmsched.report.console import Grid, Part
from llmsched.report.layout import BETTER, WORSE, wrapped

_MOST = 8


def change_parts(document: Document, width: int) -> list[Part]:
    """Return the largest changes against the earlier result, worse ones first."""
    if "against" not in document:
        return []
    against = document["against"]
    worse = [change for change in against["changes"] if change["worse"]]
    better = [change for change in reversed(against["changes"]) if not change["worse"]]
    counts = f"against {_base(document)}: {len(worse)} worse, {len(better)} better"
    parts: list[Part] = ["", *wrapped(counts, width, "  ")]
    for mark, group in ((WORSE, worse), (BETTER, better)):
        if rows := [_change(mark, change) for change in group[:_MOST]]:
            parts.append(Grid(rows, lead=2, words=3, indent=2))
        if (more := len(group) - _MOST) > 0:
            parts.append(f"  and {more} more (--format json has all)")
    for line in absent_lines(document):
        parts += wrapped(line, width, "  ")
    return parts


def absent(document: Document) -> Iterator[tuple[str, str, list[str]]]:
    """Yield which policies met no counterpart in the earlier result: the key there, why, who."""
    against = document.get("against", {})
    options = " and ".join(
        "--policies" if option == "policies" else f"--filter policy={pattern}"
        for option, pattern in document.get("selection", {}).items()
    )
    base = _base(document) if against else ""
    whys = {
        "new": f"not in {base}, not compared",
        "left_out": f"only in {base}, left out by {options}",
        "gone": f"only in {base}, no longer in this run",
    }
    for key, why in whys.items():
        if against.get(key):
            yield key, why, against[key]


def absent_lines(document: Document) -> list[str]:
    """Return a line for each reason why policies were not compared, so that none is forgotten."""
    return [f"{why}: {', '.join(policies)}" for _, why, policies in absent(document)]


def _base(document: Document) -> str:
    return PurePath(document["against"]["file"]).name


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


def doubt_lines(document: Document) -> list[str]:
    """Return one line on gates of a metric without a direction on the profile they were held on."""
    mixed = {cell_name(cell) for cell in cells_of(document) if has_mixed_steps(cell)}
    found = dict.fromkeys(
        verdict["gate"]
        for verdict in document["gates"]
        if (metric := METRICS.get(verdict.get("metric", "")))
        and metric.direction(verdict["cell"] in mixed) == NEITHER
    )
    if not found:
        return []
    return [
        f"gate {', '.join(found)}: where steps may be mixed, a slower policy may show the higher "
        "utilization; efficiency is never higher for a slower one"
    ]


def _where(verdict: Mapping[str, Any]) -> str:
    place = f"{verdict['cell']}: " if verdict["cell"] else ""
    return f"{place}{verdict['policy']} ({verdict['gate']})"


def _change(mark: str, change: Mapping[str, Any]) -> Sequence[str]:
    place = f"{change['cell']}: " if change["cell"] else ""
    return (
        mark,
        f"{place}{change['policy']}",
        change["metric"],
        f"{change['base']:z,.5g}",
        "→",
        f"{change['value']:z,.5g}",
        METRICS[change["metric"]].unit,
        percent_text(change),
    )


def percent_text(change: Mapping[str, Any]) -> str:
    """Return how far a value is from its base in percent; empty where the base is zero."""
    percent = METRICS[change["metric"]].percent(change["base"], change["value"])
    return "" if percent is None else f"{percent:+z.2f}%"
