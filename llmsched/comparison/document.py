"""The result of a comparison as one JSON document; every report is a view of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
from msgspec import to_builtins

from llmsched.catalog import find
from llmsched.comparison.family import family_ranges
from llmsched.comparison.paired import mean_row, paired_differences
from llmsched.comparison.run import Rows
from llmsched.comparison.study import Cell, Study
from llmsched.documents.result import check_comparison
from llmsched.documents.row import Row
from llmsched.engine.replicas import count_replicas
from llmsched.errors import InputError, NotComparableError
from llmsched.grouping import grouped
from llmsched.hardware.kinds import prices_mixed
from llmsched.latency_bounds import are_due, bounds_record, latency_bounds
from llmsched.objective import alike, held
from llmsched.reading import read_whole
from llmsched.records import listed_groups, record_inputs, record_output_limits
from llmsched.regime import record_load
from llmsched.scenario import Scenario
from llmsched.version import __version__

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
    document |= {} if study.by is None else {"by": study.by}
    document |= study.counted.given
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
    given = cell.source.concurrency is None and cell.trace.delay is None
    arrival = cell.trace.arrival if given else None
    if words := study.counted.words(arrival, len(cell.trace)):
        record["trace"]["counted"] = words
    for policy in study.policies:  # its own knobs may reserve blocks
        config = replace(cell.engine, **dict(find(policy, study.folder).knobs))
        record["trace"] |= record_output_limits(cell.trace, config)
    record["trace"] |= _unserved(study, cell)
    record["results"] = [
        _result(study, cell, policy, of_policy) for policy, of_policy in by_policy.items()
    ]
    if bounds := _bounds(scenario, study, cell, record["results"]):
        record["bounds"] = bounds
    base = by_policy.get(scenario.baseline or "")
    if study.cases is not None and base:
        record["paired"] = [
            {"policy": policy, **difference}
            for policy, of_policy in by_policy.items()
            if policy != scenario.baseline
            for difference in paired_differences(of_policy, base, has_mixed_steps(record))
        ]
    return record


def _unserved(study: Study, cell: Cell) -> Document:
    """Return who is refused and who is cut, and by which policies where their own knobs decide."""
    words = {
        name: cell.served(find(name, study.folder)).describe(cell.engine) for name in study.policies
    }
    every = list(dict.fromkeys(words.values()))
    if len(every) > 1:
        groups = {said: [name for name in words if words[name] == said] for said in every if said}
        every = ["; ".join(f"{', '.join(names)}: {said}" for said, names in groups.items())]
    return {"unserved": every[0]} if any(every) else {}


def _result(study: Study, cell: Cell, policy: str, rows: Sequence[Row]) -> Row:
    """Return the row of a policy: the mean of its cases, and which limits on statistics it meets.

    One that has not run has a row of only its name, and of the names of its groups.
    """
    if not rows:
        names = () if study.by is None else grouped(cell.trace, study.by).names
        return {"policy": policy, **listed_groups({name: {} for name in names})}
    row = mean_row(rows)
    objectives = held(study.slo or {}, row)
    return {**row, "objectives": objectives} if objectives else row


def _bounds(scenario: Scenario, study: Study, cell: Cell, rows: Sequence[Row]) -> Document:
    """Return what no schedule beats of the cell's latencies, once its rows are there.

    Of several cases each would have its own.
    """
    replicas = count_replicas(cell.assignment)
    concurrency = cell.source.concurrency
    asked = scenario.latency_bound
    if study.cases is not None or not are_due(cell.trace, concurrency, replicas, asked=asked):
        return {}
    done = [row for row in rows if "makespan_s" in row]
    if not done:
        return {}
    bounds = latency_bounds(
        cell.served().trace,
        cell.hardware,
        cell.engine,
        concurrency=concurrency,
        replicas=replicas,
        slo=alike(study.slo),
    )
    return bounds_record(bounds, done)


def _records(cell: Cell) -> Document:
    """Return what the rows of a cell were computed from, so that a report needs no rerun."""
    how = {"options": cell.source.options, "generate": cell.source.generate}
    given = {key: dict(value) for key, value in how.items() if value}
    records = record_inputs(cell.trace, cell.hardware, cell.engine)
    del records["llmsched"]  # it is the whole document's
    trace = {**records["trace"], **given, **_presented(cell)}
    return {**records, "trace": trace, "lengths": cell.lengths, **record_load(cell.load)}


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
    if "policy_detail" in document:
        raise InputError(f"{path}: expected a result of llmsched compare, got one of simulate")
    if document["schema_version"] != SCHEMA_VERSION:
        raise NotComparableError(
            f"{path}: schema_version: expected {SCHEMA_VERSION}, got {document['schema_version']!r}"
        )
    check_comparison(document, str(path))
    return document
