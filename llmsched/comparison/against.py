"""Comparing with an earlier result: whether that makes sense, and what the gates say."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import PurePath
from typing import Any

from msgspec import to_builtins
from msgspec.structs import replace

from llmsched.comparison.document import Document, cell_name, cells_of, has_mixed_steps
from llmsched.comparison.gates import Gate, Scope, judge, judge_gone, number
from llmsched.documents.result import Verdict
from llmsched.documents.row import Row
from llmsched.errors import InputError, NotComparableError
from llmsched.files import plain
from llmsched.metric import judged_metrics


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
    document.pop("against", None)  # what a saved result was compared with before
    if base is not None:
        check_comparable(document, base, str(base_name))
        here, there = _policies(document), _policies(base)
        missing = [policy for policy in there if there[policy] - here.get(policy, set())]
        document["against"] = {
            "file": plain(str(base_name)),
            "llmsched": base["llmsched"],
            "changes": changes(document, base),
            "new": [policy for policy in here if here[policy] - there.get(policy, set())],
            "left_out": [policy for policy in missing if _is_left_out(policy, document)],
            "gone": [policy for policy in missing if not _is_left_out(policy, document)],
        }
    document["gates"] = to_builtins(judge_all(gates, document, base))
    return document


def _policies(document: Document) -> dict[str, set[str]]:
    """Return the cells that each policy has a row in."""
    found: dict[str, set[str]] = {}
    for cell in cells_of(document):
        for policy in _by_policy(cell):
            found.setdefault(policy, set()).add(cell_name(cell))
    return found


def _is_left_out(policy: str, document: Document) -> bool:
    """Return whether `--policies` or `--filter` kept a policy from running that exists.

    Otherwise the scenario or the program no longer has it. A policy from a file counts as existing:
    whoever only compares results does not load what they name.
    """
    selection = document.get("selection", {})
    chosen = policy in selection.get("policies", [policy])
    chosen = chosen and fnmatchcase(policy, selection.get("filter", "*"))
    return not chosen and (".py:" in policy or _exists(policy))


def _exists(policy: str) -> bool:
    from llmsched.catalog import find

    try:
        find(policy)
    except InputError:
        return False
    return True


def judge_all(
    gates: Sequence[Gate], document: Document, base: Document | None = None
) -> list[Verdict]:
    """Hold every row against every gate that concerns it.

    Parameters
    ----------
    base : Document, optional
        An earlier result: each policy is compared with itself there, and one that was not there is
        not judged; one that is only there, though no option left it out, fails. Without it, the
        policies are compared with the document's baseline policy.

    Raises
    ------
    InputError
        A gate needs a baseline and there is none, or names a policy that did not run.
    NotComparableError
        A gate finds nothing to judge: none of its policies in `base`, or none but the baseline.
    """
    verdicts: list[Verdict] = []
    for gate in gates:
        judged = list(_judge(gate, document, base))
        if not judged:
            raise NotComparableError(f"gate {gate.text!r}: no policy to compare with the baseline")
        verdicts += judged
    return verdicts


def changes(document: Document, base: Document) -> list[dict[str, Any]]:
    """Return every change of a metric with a direction that matters, worst change first.

    `worsening_percent` is positive where the value got worse; None where the base is zero.
    """
    before = {cell_name(cell): _by_policy(cell) for cell in cells_of(base)}
    found = [
        {"cell": cell_name(cell), "policy": policy, **change}
        for cell in cells_of(document)
        for policy, row in _by_policy(cell).items()
        for change in _changes(
            row, before.get(cell_name(cell), {}).get(policy, {}), has_mixed_steps(cell)
        )
    ]
    return sorted(found, key=lambda change: -_weight(change))


def _changes(row: Row, before: Row, mixed: bool) -> Iterator[dict[str, Any]]:
    for metric in judged_metrics(mixed):
        value, base = number(row, metric), number(before, metric)
        if value is None or base is None:
            continue
        if not metric.matters(base, value):
            continue
        percent = metric.percent(base, value)
        yield {
            "metric": metric.name,
            "base": base,
            "value": value,
            "worse": metric.worsening(value - base) > 0,
            "worsening_percent": None if percent is None else metric.worsening(percent),
        }


def _weight(change: Mapping[str, Any]) -> float:
    percent = change["worsening_percent"]
    if percent is None:
        return math.inf if change["worse"] else -math.inf
    return float(percent)


def _judge(gate: Gate, document: Document, base: Document | None) -> Iterator[Verdict]:
    base_cells = {cell_name(cell): _by_policy(cell) for cell in cells_of(base)} if base else {}
    for cell in cells_of(document):
        name, rows = cell_name(cell), _by_policy(cell)
        there = base_cells.get(name, {})
        gone = {p: there[p] for p in there if p not in rows and not _is_left_out(p, document)}
        groups = _groups(rows)
        scope = gate.scope({**rows, **gone}, groups)
        if scope is None and name and gate.scope(rows, _groups_anywhere(document)):
            continue  # another cell's trace has that group
        if scope is None:
            known = ", ".join([*rows, *groups])
            raise InputError(f"gate {gate.text!r}: expected one of {known}; got {gate.whom!r}")
        if scope.group is not None:
            rows, there, gone = (_of_group(some, scope.group) for some in (rows, there, gone))
        for policy in (p for p in (*rows, *gone) if scope.policy in (None, p)):
            if policy in gone:
                yield judge_gone(gate, gone[policy], name)
            elif not gate.relative:
                yield judge(gate, rows[policy], None, name)
            elif base is not None:
                if policy in there:
                    verdict = judge(gate, rows[policy], there[policy], name)
                    yield _told_of_groups(verdict, scope, document, base)
            elif policy != (baseline := _baseline(gate, document, rows)):
                yield judge(gate, rows[policy], rows[baseline], name)


def _told_of_groups(verdict: Verdict, scope: Scope, document: Document, base: Document) -> Verdict:
    """Return the verdict, saying how to get a base that has the group where it has none."""
    by = document.get("by")
    without = scope.group is not None and by is not None and base.get("by") != by
    if not without or verdict.value is None or verdict.base is not None:
        return verdict
    return replace(verdict, reason=f"{verdict.reason}: save the base with --by {by}")


def _groups(rows: Mapping[str, Row]) -> list[str]:
    return list(dict.fromkeys(g["group"] for row in rows.values() for g in row.get("groups", ())))


def _groups_anywhere(document: Document) -> list[str]:
    return [group for cell in cells_of(document) for group in _groups(_by_policy(cell))]


def _of_group(rows: Mapping[str, Row], group: str) -> dict[str, Row]:
    """Return the rows of one group, under the names of their policies; empty where one has none."""
    return {
        policy: next((g for g in row.get("groups", ()) if g["group"] == group), {})
        | {"policy": policy}
        for policy, row in rows.items()
    }


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
_RUN = ("schema_version", "seed", "slo", "cases", "warmup", "window")


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
