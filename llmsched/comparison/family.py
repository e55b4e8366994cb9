"""What all members of a scenario's family agree on: the range of each figure over them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from llmsched.documents.result import CHANGES
from llmsched.documents.row import Row
from llmsched.metric import METRICS

Cell = Mapping[str, Any]

_METRICS = ("makespan_s", "utilization", "output_throughput", "gap_percent")


def family_ranges(cells: Sequence[Cell], baseline: str | None) -> list[dict[str, Any]]:
    """Return, for each policy, the least and the greatest of its figures over the members.

    Parameters
    ----------
    cells : sequence of cell records
        The scenario's own and the other members', each with its `results`.
    baseline : str or None
        With one, also the change of the total time in percent of the baseline's in the same member,
        and that of the utilization in points.

    Returns
    -------
    list of dict
        ``policy`` and pairs [least, greatest]; a figure that some member lacks is left out.
    """
    members = [{row["policy"]: row for row in cell["results"]} for cell in cells]
    figures: dict[str, Callable[[Row, Row | None], float | None]] = {
        **{name: _plain(name) for name in _METRICS},
        **dict(zip(CHANGES, (_percent, _points), strict=True)),
    }
    ranges = []
    for policy in members[0]:
        found: dict[str, Any] = {"policy": policy}
        for name, figure in figures.items():
            values = [figure(rows[policy], rows.get(baseline or "")) for rows in members]
            known = [value for value in values if value is not None]
            if len(known) == len(values):
                found[name] = [min(known), max(known)]
        ranges.append(found)
    return ranges


def _plain(name: str) -> Callable[[Row, Row | None], float | None]:
    return lambda row, base: row.get(name)


def _percent(row: Row, base: Row | None) -> float | None:
    value, before = row.get("makespan_s"), (base or {}).get("makespan_s")
    if value is None or before is None:
        return None
    return METRICS["makespan_s"].percent(before, value)


def _points(row: Row, base: Row | None) -> float | None:
    value, before = row.get("utilization"), (base or {}).get("utilization")
    return None if value is None or before is None else 100 * (value - before)
