"""What a scenario's matrix is made of: the values of its axes, and the files behind them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from llmsched.errors import InputError
from llmsched.finding import find_trace
from llmsched.hardware.load import load_profile, overridden
from llmsched.hardware.profile import Choice, HardwareProfile
from llmsched.importers import TraceOptions, load
from llmsched.scenario import HardwareSource, Scenario, TraceSource
from llmsched.synthesize import generate
from llmsched.trace import Trace

if TYPE_CHECKING:
    from llmsched.engine.replicas import Assignment


def axes_of(scenario: Scenario) -> dict[str, dict[str, Any]]:
    """Return the values of every axis by their names in labels."""
    axes: dict[str, dict[str, Any]] = {
        "trace": _named((source.name or _stem(source.file), source) for source in scenario.traces),
        "hardware": _named((_hardware_name(source), source) for source in scenario.hardware),
    }
    for knob, values in scenario.engine.items():
        axes[knob] = {"no limit" if value is None else str(value): value for value in values}
    axes["lengths"] = {mode: mode for mode in scenario.lengths} or {"as the trace has them": None}
    return axes


def _named(pairs: Iterator[tuple[str, Any]]) -> dict[str, Any]:
    """Return a mapping, with a number after a name that is taken."""
    named: dict[str, Any] = {}
    for name, value in pairs:
        named[name if name not in named else f"{name} #{len(named) + 1}"] = value
    return named


def _stem(file: str | None) -> str:
    name = str(file or "").rpartition("/")[2]
    return name.removesuffix(".gz").rpartition(".")[0] or name


def _hardware_name(source: HardwareSource) -> str:
    return source.name or (_stem(source.profile) if "/" in source.profile else source.profile)


def load_trace(source: TraceSource, seed: int) -> Trace:
    """Load a trace, or generate a synthetic one from `seed` unless it names its own.

    Raises
    ------
    InputError
        An unknown option or setting, or a file that cannot be read or accepted.
    """
    if source.generate is not None:
        settings: dict[str, Any] = {"seed": seed, **source.generate}
        return replace(generate(**settings), name=str(source.name))
    assert source.file is not None
    return load(find_trace(source.file), TraceOptions(**source.options))


def replicas_of(source: TraceSource, trace: Trace) -> Assignment | None:
    if source.plan is None:
        return None
    from llmsched.planning.stored import read_replicas

    return read_replicas(source.plan, trace)


def load_hardware(source: HardwareSource, chosen: Choice = "named") -> HardwareProfile:
    """Load a profile and apply the scenario's overrides, which its record will then name."""
    profile = replace(load_profile(source.profile), chosen=chosen)
    if not source.override:
        return profile
    return overridden(profile, source.override, source.name, source.profile)


def picked(
    axes: Mapping[str, dict[str, Any]], wanted: Mapping[str, str], others: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Return the values of each axis whose names match the pattern for it."""
    for axis in wanted:
        if axis not in axes:
            known = ", ".join([*axes, *others])
            raise InputError(f"filter: expected one of {known}; got {axis!r}")
    return {
        axis: {name: v for name, v in values.items() if fnmatchcase(name, wanted.get(axis, "*"))}
        for axis, values in axes.items()
    }
