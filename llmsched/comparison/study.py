"""From a scenario to a study: everything loaded, and one task a cell, case and policy.

A cell is one point of the scenario's matrix (trace x hardware x engine knobs x lengths), or another
member of its family. A case is one draw of a cell's requests; a comparison without cases has one,
the trace as it is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from fnmatch import fnmatchcase
from functools import cached_property, lru_cache
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from llmsched.catalog import policy_files
from llmsched.comparison.axes import axes_of, load_hardware, load_trace, picked, replicas_of
from llmsched.comparison.gates import parse_gate
from llmsched.config import EngineConfig
from llmsched.contract import Policy
from llmsched.counted import EVERY, Counted
from llmsched.documents.result import Cases
from llmsched.engine.limits import OnError, Served, on_error_of, serve_some
from llmsched.engine.replicas import count_replicas
from llmsched.errors import InputError
from llmsched.grouping import grouped
from llmsched.hardware.presets import preset
from llmsched.hardware.profile import HardwareProfile
from llmsched.lengths import check_mode, chosen_mode
from llmsched.objective import check_classes, has_classes
from llmsched.regime import Load, load_of
from llmsched.scenario import Scenario, Seed, TraceSource
from llmsched.schema import checked
from llmsched.trace import Trace
from llmsched.version import __version__

if TYPE_CHECKING:
    from llmsched.engine.replicas import Assignment


@dataclass(frozen=True, eq=False)
class Cell:
    """One point of the matrix.

    Attributes
    ----------
    label : mapping
        What tells this cell from the others: the axes with more than one value.
    member : str
        Name in the scenario's family; empty for what the scenario itself describes.
    assignment : Assignment or None
        Which replica runs each request, where a plan says so.
    """

    label: Mapping[str, str]
    trace: Trace
    hardware: HardwareProfile
    engine: EngineConfig
    lengths: str
    source: TraceSource
    assignment: Assignment | None = None
    member: str = ""

    @property
    def name(self) -> str:
        """The label as one line, or the family's member; empty for the only cell of a study."""
        return self.member or ", ".join(self.label.values())

    @cached_property
    def load(self) -> Load | None:
        """What the arrivals that they take put on the engines; None of a batch."""
        replicas = count_replicas(self.assignment)
        users = self.source.concurrency
        return load_of(
            self.served().trace,
            self.hardware,
            self.engine,
            concurrency=users,
            total_speed=replicas,
        )

    @property
    def on_error(self) -> OnError:
        """What a request that can never fit is, by the option that reads the trace."""
        return on_error_of(self.source.options.get("on_error"))

    def served(self, policy: Policy | None = None) -> Served:
        """Return what the engine takes of the trace, with a policy's own knobs if it has some.

        Raises
        ------
        InputError
            As `serve_some`.
        """
        if policy is None or not policy.knobs:
            return _served(self)
        config = replace(self.engine, **dict(policy.knobs))
        return serve_some(self.trace, config, self.on_error, self.hardware.way_out)


@lru_cache(maxsize=2)
def _served(cell: Cell) -> Served:
    """Return what the engine takes under most policies; kept here, as a cell travels to workers."""
    return serve_some(cell.trace, cell.engine, cell.on_error, cell.hardware.way_out)


@dataclass(frozen=True, eq=False)
class Study:
    """Everything that a worker needs to compute any row of a comparison; pickles.

    Attributes
    ----------
    folder : Path or None
        Where the files of policies are looked for first: the scenario's folder.
    stalls : bool
        Whether rows say what interrupts streams; no row of a study that can be resumed is without.
    """

    cells: tuple[Cell, ...]
    policies: tuple[str, ...]
    seed: int = 0
    slo: Mapping[str, float] | None = None
    cases: Cases | None = None
    folder: Path | None = None
    counted: Counted = EVERY
    by: str | None = None
    stalls: bool = True

    def runs(self) -> Iterator[Run]:
        """Yield every task in the order of the results: cell, case, policy."""
        for cell in range(len(self.cells)):
            for case in range(self.cases.count if self.cases else 1):
                for policy in self.policies:
                    yield Run(cell, case, policy)

    def requests(self, task: Run) -> int:
        """Return how many requests a task replays."""
        return len(self.cells[task.cell].trace)

    def identity(self) -> dict[str, Any]:
        """Return what rows depend on beside cell, case and policy: only equal ones may be mixed.

        Of policies from files that is the file's content (not that of modules which it imports).
        """
        code = policy_files(self.policies, self.folder)
        return {
            **({"code": code} if code else {}),
            "llmsched": __version__,
            "seed": self.seed,
            "slo": dict(self.slo or {}),
            "draw": self.cases.draw if self.cases else None,
            **({} if self.by is None else {"by": self.by}),
            **self.counted.given,
            "cells": [
                hashlib.sha256(
                    orjson.dumps(
                        [
                            cell.trace.sha256,
                            cell.hardware.document,
                            asdict(cell.engine),
                            cell.lengths,
                            cell.source.concurrency,
                            None
                            if cell.assignment is None
                            else cell.assignment.replica_of.tolist(),
                        ]
                    )
                ).hexdigest()
                for cell in self.cells
            ],
        }


@dataclass(frozen=True, order=True)
class Run:
    """One row to compute: indices of the cell and the case, and the policy's name."""

    cell: int
    case: int
    policy: str


def prepare(
    scenario: Scenario, filters: Mapping[str, str] | None = None, *, stalls: bool = True
) -> Study:
    """Load a scenario's traces and profiles and lay out its matrix.

    Parameters
    ----------
    filters : mapping, optional
        Glob patterns by axis (trace, hardware, lengths, policy or a knob's name): only the cells
        and policies that match all of them stay. That for member picks from the family, which may
        leave the scenario alone.
    stalls : bool
        As `Study`.

    Raises
    ------
    InputError
        An input cannot be read, a knob is out of range, a filter names no axis or leaves nothing.
    """
    with scenario.blamed("cases"):
        _check_draw(scenario)
    with scenario.blamed("seed"):
        checked(scenario.seed, Seed)
    axes = axes_of(scenario)
    wanted = dict(filters or {})
    policy_pattern = wanted.pop("policy", "*")
    member_pattern = wanted.pop("member", "*") if scenario.family else "*"
    lengths_pattern = "*" if scenario.lengths else wanted.pop("lengths", "*")
    chosen = picked(axes, wanted, ("member", "policy") if scenario.family else ("policy",))
    sources = chosen["trace"]
    with scenario.blamed("trace"):
        traces = {name: load_trace(source, scenario.seed) for name, source in sources.items()}
    with scenario.blamed("hardware"):
        machines = {
            name: load_hardware(source, scenario.chosen)
            for name, source in chosen["hardware"].items()
        }
    cells = []
    for names in product(*chosen.values()):
        point = dict(zip(chosen, names, strict=True))
        trace, hardware = traces[point["trace"]], machines[point["hardware"]]
        lengths = chosen_mode(trace, chosen["lengths"][point["lengths"]])
        if not fnmatchcase(lengths, lengths_pattern):
            continue
        with scenario.blamed("lengths"):
            check_mode(trace, lengths)
        knobs = {knob: chosen[knob][point[knob]] for knob in scenario.engine}
        with scenario.blamed("trace"):
            assignment = replicas_of(sources[point["trace"]], trace)
        cells.append(
            Cell(
                label={axis: point[axis] for axis, values in axes.items() if len(values) > 1},
                trace=trace,
                hardware=hardware,
                engine=_engine(scenario, hardware, knobs),
                lengths=lengths,
                source=sources[point["trace"]],
                assignment=assignment,
            )
        )
    cells += _family(scenario, cells, member_pattern)
    _check_sessions(scenario, cells)
    policies = [name for name in _policies(scenario, cells) if fnmatchcase(name, policy_pattern)]
    if not cells or not policies:
        raise InputError(f"{scenario.source}: the filter leaves nothing to run")
    with scenario.blamed("warmup" if scenario.warmup is not None else "window"):
        counted = _counted(scenario, cells)
    return Study(
        tuple(cells),
        tuple(policies),
        scenario.seed,
        scenario.slo,
        scenario.cases,
        scenario.folder,
        counted,
        _by(scenario, cells, policies),
        stalls,
    )


def _engine(
    scenario: Scenario, hardware: HardwareProfile, knobs: Mapping[str, Any]
) -> EngineConfig:
    """Return a profile's engine with what a server would set, and then with the knobs given."""
    with scenario.blamed("engine_like"):
        like = preset(scenario.engine_like, hardware.gpu)
    return replace(hardware.engine, **{**like, **knobs})


def _check_sessions(scenario: Scenario, cells: Sequence[Cell]) -> None:
    """Refuse to resample requests that follow each other."""
    for cell in cells:
        if scenario.cases and scenario.cases.draw == "bootstrap" and cell.trace.delay is not None:
            with scenario.blamed("cases"):
                expected = "draw: expected lengths, as turns of sessions follow each other"
                raise InputError(f"{expected}, got bootstrap of {cell.trace.name}")


def _counted(scenario: Scenario, cells: Sequence[Cell]) -> Counted:
    """Return which requests count, having refused what leaves none of a cell's."""
    counted = Counted(scenario.warmup, scenario.window)
    for cell in cells:
        if cell.source.concurrency is None and cell.trace.delay is None:
            counted.rows(cell.trace.arrival)
    return counted


def _by(scenario: Scenario, cells: Sequence[Cell], policies: Sequence[str]) -> str | None:
    """Return the groups with rows of their own; where a limit or gate names a class, the classes.

    Raises
    ------
    InputError
        A trace does not have what they are made of, or lacks a class that has a limit.
    """
    classes = {cell.name: cell.trace.classes[0] for cell in cells}
    with scenario.blamed("slo"):
        for known in classes.values():
            check_classes(scenario.slo, known)
    by = scenario.by
    if by is None:
        gates = [parse_gate(text).whom for text in scenario.gates]
        named = any(whom is not None and whom not in policies for whom in gates)
        if not has_classes(scenario.slo) and not (named and all(classes.values())):
            return None
        by = "class"
    with scenario.blamed("by"):
        for cell in cells:
            grouped(cell.trace, by)
    return by


def _family(scenario: Scenario, cells: Sequence[Cell], pattern: str) -> list[Cell]:
    """Return a cell for each other member of the scenario's family whose name matches `pattern`.

    Raises
    ------
    InputError
        The scenario is a matrix: which of its cells would the members be like?
    """
    if not scenario.family or not cells:
        return []
    if len(cells) > 1 or cells[0].label:
        raise InputError(f"{scenario.source}: family: expected a scenario without a matrix")
    found = []
    for member in (one for one in scenario.family if fnmatchcase(one.name, pattern)):
        source = member.trace or cells[0].source
        with scenario.blamed(f"family: {member.name}"):
            trace = load_trace(source, scenario.seed) if member.trace else cells[0].trace
            hardware = load_hardware(member.hardware)
        knobs: dict[str, Any] = {knob: values[0] for knob, values in scenario.engine.items()}
        found.append(
            replace(
                cells[0],
                trace=trace,
                hardware=hardware,
                engine=_engine(scenario, hardware, knobs),
                lengths=chosen_mode(trace, next(iter(scenario.lengths), None)),
                source=source,
                member=member.name,
            )
        )
    return found


def _check_draw(scenario: Scenario) -> None:
    """Refuse cases that would all be the same."""
    draw = scenario.cases.draw if scenario.cases else ""
    if draw in ("bootstrap", "synthetic") and any(source.plan for source in scenario.traces):
        raise InputError(f"plan: expected without cases drawn by {draw}: it is for one trace")
    if draw == "synthetic":
        for source in scenario.traces:
            if not source.generate or "seed" in source.generate:
                raise InputError("draw: synthetic: expected synthetic traces without a seed")
    modes = scenario.lengths or ("none",)
    if draw == "lengths" and not all(mode.startswith("noisy:") for mode in modes):
        raise InputError(f"draw: lengths: expected lengths noisy:CV, got {', '.join(modes)}")


def _policies(scenario: Scenario, cells: Sequence[Cell]) -> tuple[str, ...]:
    """Return the policies asked for, or all that every cell's hardware can run."""
    from llmsched.catalog import find

    if not scenario.policies:
        return default_policies(cells)
    with scenario.blamed("policies"):
        for name in scenario.policies:
            find(name, scenario.folder)
    return scenario.policies


def default_policies(cells: Sequence[Cell]) -> tuple[str, ...]:
    """Return all named policies that every cell's hardware can run."""
    from llmsched.policies import NAMED

    mixed = all(cell.hardware.step_time.mixed for cell in cells)
    return tuple(name for name, policy in NAMED.items() if mixed or not policy.rule.mixed)
