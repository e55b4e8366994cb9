"""Comparing with an earlier result: whether that makes sense, and what the gates say."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import PurePath
from typing import Any

from llmsched.compare.document import Document, cell_name, cells_of
from llmsched.compare.gates import Gate, Row, Verdict, judge, number
from llmsched.compare.metric import METRICS, NEITHER
from llmsched.errors import InputError, NotComparableError
from llmsched.files import plain


def check_comparable(document: Document, base: Document, base_name: str) -> None:
    """Refuse to compare results of different experiments.

    Raises
    ------
    NotComparableError
        Trace, profile, engine knobs, lengths, seed, SLO or cases differ; all differences are named.
    """
    found = [*_differences({k: document.get(k) for k in _RUN}, {k: base.get(k) for k in _RUN})]
    ours, theirs = ({cell_name(c): c for c in cells_of(d)} for d in (document, base))
    found += [f"cell {name!r} only here" for name in ours.keys() - theirs.keys()]
    found += [f"cell {name!r} only there" for name in theirs.keys() - ours.keys()]
    for name in ours.keys() & theirs.keys():
        prefix = f"{name}: " if name else ""
        pair = (_identity(ours[name]), _identity(theirs[name]))
        found += [f"{prefix}{difference}" for difference in _differences(*pair)]
    if found:
        shown = "; ".join(sorted(found)[:6]) + (" ..." if len(found) > 6 else "")
        raise NotComparableError(f"{base_name}: not comparable: {shown}")


def judged(
    document: Document,
    gates: Sequence[Gate],
    base: Document | None = None,
    base_name: str | PurePath | None = None,
) -> Document:
    """Return the document with its changes against `base` and the verdicts of the gates.

    Raises
    ------
    NotComparableError, InputError
        See :func:`check_comparable` and :func:`judge_all`.
    """
    document = dict(document)
    if base is not None:
        check_comparable(document, base, str(base_name))
        before, here = _rows(base), _rows(document)
        document["against"] = {
            "file": plain(str(base_name)),
            "llmsched": base["llmsched"],
            "changes": changes(document, base),
            "new": _names(row for row in here if row not in before),
            "gone": _names(row for row in before if row not in here),
        }
    document["gates"] = [asdict(verdict) for verdict in judge_all(gates, document, base)]
    return document


def _rows(document: Document) -> list[tuple[str, str]]:
    return [(cell_name(cell), policy) for cell in cells_of(document) for policy in _by_policy(cell)]


def _names(rows: Iterable[tuple[str, str]]) -> list[str]:
    return list(dict.fromkeys(policy for _, policy in rows))


def judge_all(
    gates: Sequence[Gate], document: Document, base: Document | None = None
) -> list[Verdict]:
    """Hold every row against every gate that concerns it.

    Parameters
    ----------
    base : Document, optional
        An earlier result: each policy is compared with itself there, and one that was not there is
        not judged. Without it, the policies are compared with the document's baseline policy.

    Raises
    ------
    InputError
        A gate needs a baseline and there is none, or names a policy that did not run.
    NotComparableError
        A gate that compares with `base` finds none of its policies there.
    """
    verdicts: list[Verdict] = []
    for gate in gates:
        judged = list(_judge(gate, document, base))
        if not judged:
            raise NotComparableError(f"gate {gate.text!r}: no policy to compare with the baseline")
        verdicts += judged
    return verdicts


def changes(document: Document, base: Document) -> list[dict[str, Any]]:
    """Return every metric with a direction that differs from `base`, worst change first.

    `worsening_percent` is positive where the value got worse; None where the base is zero.
    """
    before = {cell_name(cell): _by_policy(cell) for cell in cells_of(base)}
    found = [
        {"cell": cell_name(cell), "policy": policy, **change}
        for cell in cells_of(document)
        for policy, row in _by_policy(cell).items()
        for change in _changes(row, before.get(cell_name(cell), {}).get(policy, {}))
    ]
    return sorted(found, key=lambda change: -_weight(change))


def _changes(row: Row, before: Row) -> Iterator[dict[str, Any]]:
    for metric in METRICS.values():
        value, base = number(row, metric), number(before, metric)
        if metric.better == NEITHER or value is None or base is None or value == base:
            continue
        worsening = metric.worsening(value - base)
        yield {
            "metric": metric.name,
            "base": base,
            "value": value,
            "worse": worsening > 0,
            "worsening_percent": 100 * worsening / abs(base) if base else None,
        }


def _weight(change: Mapping[str, Any]) -> float:
    percent = change["worsening_percent"]
    if percent is None:
        return math.inf if change["worse"] else -math.inf
    return float(percent)


def _judge(gate: Gate, document: Document, base: Document | None) -> Iterator[Verdict]:
    base_cells = {cell_name(cell): _by_policy(cell) for cell in cells_of(base)} if base else {}
    for cell in cells_of(document):
        rows = _by_policy(cell)
        if gate.policy is not None and gate.policy not in rows:
            raise InputError(
                f"gate {gate.text!r}: expected one of {', '.join(rows)}; got {gate.policy!r}"
            )
        for policy, row in rows.items():
            if gate.policy not in (None, policy):
                continue
            if not gate.relative:
                yield judge(gate, row, None, cell_name(cell))
            elif base is not None:
                before = base_cells.get(cell_name(cell), {}).get(policy)
                if before is not None:
                    yield judge(gate, row, before, cell_name(cell))
            elif policy != (baseline := _baseline(gate, document, rows)):
                yield judge(gate, row, rows[baseline], cell_name(cell))


def _baseline(gate: Gate, document: Document, rows: Mapping[str, Row]) -> str:
    baseline = document.get("baseline")
    if baseline is None:
        raise InputError(f"gate {gate.text!r}: needs --baseline POLICY or --against FILE")
    if baseline not in rows:
        raise InputError(f"baseline: expected one of {', '.join(rows)}; got {baseline!r}")
    return str(baseline)


def _by_policy(cell: Mapping[str, Any]) -> dict[str, Row]:
    return {row["policy"]: row for row in cell["results"]}


_REQUESTS = ("sha256", "requests", "concurrency", "replicas", "plan_sha256")
_RUN = ("schema_version", "seed", "slo", "cases")


def _identity(cell: Mapping[str, Any]) -> dict[str, Any]:
    """Return what two cells must share: not the names and notes, but everything that counts."""
    ignored = ("provenance", "name")
    return {
        "trace": {k: cell["trace"].get(k) for k in _REQUESTS},
        "hardware": {k: v for k, v in cell["hardware"].items() if k not in ignored},
        "engine": cell["engine"],
        "lengths": cell["lengths"],
    }


def _differences(ours: object, theirs: object, path: str = "") -> Iterator[str]:
    """Yield the places where two JSON values differ."""
    if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
        for key in [*ours, *(key for key in theirs if key not in ours)]:
            inner = f"{path}.{key}" if path else str(key)
            yield from _differences(ours.get(key), theirs.get(key), inner)
    elif ours != theirs:
        yield f"{path}: {_short(ours)} here, {_short(theirs)} there"


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 24 else text[:21] + "..."
