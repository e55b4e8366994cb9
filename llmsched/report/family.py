"""The ranges over a family of reconstructions, under the table of the one that is shown whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llmsched.comparison.document import Document
from llmsched.report.console import Grid, Part
from llmsched.report.layout import policy_label, wrapped

_COLUMNS = (
    (("total", "s"), "makespan_s", "z,.2f", 1.0),
    (("Δ total", "%"), "makespan_percent", "+z.2f", 1.0),
    (("util", "%"), "utilization", "z.2f", 100.0),
    (("Δ util", "points"), "utilization_points", "+z.2f", 1.0),
    (("gap to", "bound, %"), "gap_percent", "z.2f", 1.0),
)


def family_parts(document: Document, width: int) -> list[Part]:
    """Return a row a policy with the ranges of its figures over all members."""
    heading, (above, below, *rows) = family_rows(document)
    return ["", *wrapped(heading, width), Grid(rows, (above, below))]


def family_rows(document: Document) -> tuple[str, list[list[str]]]:
    """Return what the ranges are over, and their table with its two lines of titles."""
    family = document["family"]
    names = ", ".join(member["member"] for member in family["members"])
    heading = f"over {1 + len(family['members'])} reconstructions (the one above, {names}):"
    titles = [
        ["policy" if not line else "", *(title[line] for title, *_ in _COLUMNS)] for line in (0, 1)
    ]
    rows = [_row(entry, str(document.get("baseline"))) for entry in family["ranges"]]
    return heading, [*titles, *rows]


def _row(entry: Mapping[str, Any], baseline: str) -> list[str]:
    cells = [policy_label(entry["policy"])]
    for _, name, form, scale in _COLUMNS:
        change = name.endswith(("percent", "points")) and not name.startswith("gap")
        is_base = change and entry["policy"] == baseline
        cells.append("–" if is_base else _range(entry.get(name), form, scale))
    return cells


def _range(ends: Sequence[float] | None, form: str, scale: float) -> str:
    if ends is None:
        return ""
    least, greatest = (f"{end * scale:{form}}" for end in ends)
    return least if least == greatest else f"{least} … {greatest}"
