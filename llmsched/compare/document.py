"""The result of a comparison as one JSON document; every report is a view of it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
from msgspec import to_builtins

from llmsched import __version__
from llmsched.catalog import find
from llmsched.compare.family import family_ranges
from llmsched.compare.measure import Row
from llmsched.compare.paired import mean_row, paired_differences
from llmsched.compare.run import Rows
from llmsched.compare.study import Cell, Study
from llmsched.engine.replicas import count_replicas
from llmsched.errors import InputError, NotComparableError
from llmsched.hardware.kinds import prices_mixed
from llmsched.reading import read_whole
from llmsched.records import record_inputs, record_output_limits
from llmsched.scenario import Scenario

SCHEMA_VERSION = 1

Document = dict[str, Any]


def build_document(scenario: Scenario, study: Study, rows: Rows) -> Document:
    """Return the document of a study; a policy that has not run has a row of only its name.

    A study of one cell has that cell's records at the top; one of several has them under `cells`.
    Other members of the scenario's family are not among them: `results` are the scenario's own.
    """
    every = [_cell(scenario, study, i, rows) for i in range(len(study.cells))]
    cells = [cell for cell in every if "member" not in cell]
    document: Document = {
        "schema_version": SCHEMA_VERSION,
        "llmsched": __version__,
        "scenario": scenario.name,
        "note": scenario.note,
        "seed": study.seed,
        "slo": dict(study.slo or {}),
        "baseline": scenario.baseline,
    }
    if study.cases is not None:
        document["cases"] = to_builtins(study.cases)
    if len(cells) == 1:
        document |= {key: value for key, value in cells[0].items() if key != "label"}
    else:
        document["cells"] = cells
    if members := [cell for cell in every if "member" in cell]:
        document["family"] = {
            "members": members,
            "ranges": family_ranges([*cells, *members], scenario.baseline),
        }
    document["published"] = to_builtins(scenario.published)
    document["gates"] = []
    return document


def _cell(scenario: Scenario, study: Study, index: int, rows: Rows) -> Document:
    cell = study.cells[index]
    by_policy: dict[str, list[Row]] = {policy: [] for policy in study.policies}
    for task, row in rows.items():
        if task.cell == index:
            by_policy[task.policy].append(row)
    name: Document = {"member": cell.member} if cell.member else {"label": dict(cell.label)}
    record: Document = {**name, **_records(cell)}
    for policy in study.policies:  # its own knobs may reserve blocks
        config = replace(cell.engine, **dict(find(policy, study.folder).knobs))
        record["trace"] |= record_output_limits(cell.trace, config)
    record["results"] = [
        mean_row(of_policy) if of_policy else {"policy": policy}
        for policy, of_policy in by_policy.items()
    ]
    base = by_policy.get(scenario.baseline or "")
    if study.cases is not None and base:
        record["paired"] = [
            {"policy": policy, **difference}
            for policy, of_policy in by_policy.items()
            if policy != scenario.baseline
            for difference in paired_differences(of_policy, base, has_mixed_steps(record))
        ]
    return record


def _records(cell: Cell) -> Document:
    """Return what the rows of a cell were computed from, so that a report needs no rerun."""
    how = {"options": cell.source.options, "generate": cell.source.generate}
    given = {key: dict(value) for key, value in how.items() if value}
    records = record_inputs(cell.trace, cell.hardware, cell.engine)
    del records["llmsched"]  # it is the whole document's
    trace = {**records["trace"], **given, **_presented(cell)}
    return {**records, "trace": trace, "lengths": cell.lengths}


def _presented(cell: Cell) -> Document:
    """Return how the requests reach the engines, if not by their arrivals to one."""
    presented: Document = {}
    if cell.source.concurrency is not None:
        presented["concurrency"] = cell.source.concurrency
    if cell.assignment is not None:
        presented["replicas"] = count_replicas(cell.assignment)
        presented["plan_sha256"] = hashlib.sha256(cell.assignment.replica_of.tobytes()).hexdigest()
    return presented


def cells_of(document: Mapping[str, Any]) -> list[Document]:
    """Return the cells of a document; the only one of a plain comparison has an empty label."""
    return list(document["cells"]) if "cells" in document else [{"label": {}, **document}]


def cell_name(cell: Mapping[str, Any]) -> str:
    """Return a cell's label as one line."""
    return ", ".join(cell["label"].values())


def has_mixed_steps(cell: Mapping[str, Any]) -> bool:
    """Return whether a cell's profile has steps of prefill and decode, from its own record."""
    step_time = cell["hardware"].get("step_time")
    return isinstance(step_time, Mapping) and prices_mixed(step_time)


def dump(document: Mapping[str, Any] | Sequence[Any]) -> str:
    """Return a document as JSON text; a value that is not finite is null."""
    return (
        orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY).decode()
        + "\n"
    )


def read_document(path: str | Path) -> Document:
    """Read a saved result.

    Raises
    ------
    InputError
        The file cannot be read or holds no comparison.
    NotComparableError
        It has another schema version.
    """
    try:
        document = orjson.loads(read_whole(path))
    except orjson.JSONDecodeError as error:
        raise InputError(f"{path}: expected a JSON result, got: {error}") from error
    if not isinstance(document, dict) or "schema_version" not in document:
        raise InputError(f"{path}: expected a result of llmsched compare, got something else")
    if document["schema_version"] != SCHEMA_VERSION:
        raise NotComparableError(
            f"{path}: schema_version: expected {SCHEMA_VERSION}, got {document['schema_version']!r}"
        )
    _check_shape(document, str(path))
    return document


def _check_shape(document: Document, path: str) -> None:
    """Refuse what the reports could not read; the full schema is in docs/comparison.schema.json."""
    for key, kind in _RUN.items():
        if not isinstance(document.get(key), kind):
            raise InputError(f"{path}: {key}: expected a comparison's, got none")
    for i, verdict in enumerate(document["gates"]):
        _check_entry(verdict, _VERDICT, f"{path}: gates[{i}]")
    if "against" in document:
        _check_entry(document["against"], _AGAINST, f"{path}: against")
    if "family" in document:
        _check_family(document["family"], path)
    if "cells" not in document:
        _check_cell(document, _CELL, path, "")
        return
    if not isinstance(document["cells"], list) or not document["cells"]:
        raise InputError(f"{path}: cells: expected a list of comparisons")
    for i, cell in enumerate(document["cells"]):
        _check_cell(cell, _CELL | {"label": dict}, path, f"cells[{i}].")
    _check_once(path, "cells: expected each label", map(cell_name, document["cells"]))


def _check_cell(cell: object, kinds: Mapping[str, type], path: str, where: str) -> None:
    if not isinstance(cell, dict):
        raise InputError(f"{path}: cells: expected a list of comparisons")
    for key, kind in kinds.items():
        if not isinstance(cell.get(key), kind):
            raise InputError(f"{path}: {where}{key}: expected a comparison's, got none")
    if not cell["results"] or not all(map(_is_row, cell["results"])):
        raise InputError(f"{path}: {where}results: expected rows with policy and makespan_s")
    policies = [row["policy"] for row in cell["results"]]
    _check_once(path, f"{where}results: expected each policy", policies)
    for row in cell["results"]:
        for name, value in row.items():
            if name != "policy" and value is not None and not _is_number(value):
                place = f"{path}: {where}results: {row['policy']}: {name}"
                raise InputError(f"{place}: expected a number or null, got {value!r}")


def _check_family(family: object, path: str) -> None:
    _check_entry(family, {"members": list, "ranges": list}, f"{path}: family")
    assert isinstance(family, dict)
    for i, member in enumerate(family["members"]):
        _check_cell(member, _CELL | {"member": str}, path, f"family.members[{i}].")
    for i, entry in enumerate(family["ranges"]):
        place = f"{path}: family.ranges[{i}]"
        _check_entry(entry, {"policy": str}, place)
        for metric, ends in entry.items():
            if metric != "policy" and not _is_range(ends):
                raise InputError(f"{place}.{metric}: expected two numbers, got {ends!r}")


def _is_range(ends: object) -> bool:
    return isinstance(ends, list) and len(ends) == 2 and all(map(_is_number, ends))


def _check_once(path: str, what: str, names: Iterable[str]) -> None:
    """Refuse a name that is there twice: which of the two would a gate judge?"""
    for name, count in Counter(names).items():
        if count > 1:
            raise InputError(f"{path}: {what} once, got {name!r} twice")


def _check_entry(entry: object, kinds: Mapping[str, type], place: str) -> None:
    if not isinstance(entry, dict) or not all(isinstance(entry.get(k), kinds[k]) for k in kinds):
        raise InputError(f"{place}: expected an object with {', '.join(kinds)}")


def _is_row(row: object) -> bool:
    return (
        isinstance(row, dict)
        and isinstance(row.get("policy"), str)
        and _is_number(row.get("makespan_s"))
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_RUN: dict[str, type] = {
    "llmsched": str,
    "scenario": str,
    "note": str,
    "slo": dict,
    "published": list,
    "gates": list,
}
_CELL: dict[str, type] = {
    "trace": dict,
    "hardware": dict,
    "engine": dict,
    "lengths": str,
    "results": list,
}
_VERDICT: dict[str, type] = {
    "gate": str,
    "cell": str,
    "policy": str,
    "passed": bool,
    "reason": str,
}
_AGAINST: dict[str, type] = {
    "file": str,
    "llmsched": str,
    "changes": list,
    "new": list,
    "gone": list,
}
