"""What somebody gave in Python as the objects that it stands for: names, paths, frames, knobs."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from llmsched.catalog import find
from llmsched.config import EngineConfig
from llmsched.contract import Policy
from llmsched.engine.limits import OnError
from llmsched.errors import InputError
from llmsched.finding import find_trace
from llmsched.hardware import HardwareProfile, load_profile
from llmsched.importers import TraceOptions, load
from llmsched.objective import check_limit
from llmsched.schema import checked, shown, some_of, within
from llmsched.trace import Trace

if TYPE_CHECKING:
    import pandas as pd

Requests: TypeAlias = "Trace | pd.DataFrame | str | os.PathLike[str]"
Hardware: TypeAlias = HardwareProfile | str | os.PathLike[str]
Knobs: TypeAlias = EngineConfig | Mapping[str, Any]

_COLUMNS = {
    "arrival": ("arrival", "arrival_s", "timestamp"),
    "input_tokens": ("input_tokens", "input_length"),
    "output_tokens": ("output_tokens", "output_length"),
    "id": ("id",),
    "job_class": ("job_class", "class"),
    "predicted_output_tokens": ("predicted_output_tokens", "predicted_output_length"),
    "max_output_tokens": ("max_output_tokens",),
    "timeout": ("timeout", "timeout_ms"),
    "priority": ("priority",),
    "session": ("session",),
    "turn": ("turn",),
    "delay": ("delay", "delay_ms"),
}
"""What a frame's columns may be called: as here, as in ``--requests``, as in a file."""

ON_ERROR: tuple[str, ...] = get_args(OnError)

_NEEDED = ("input_tokens", "output_tokens")


def load_trace(name_or_path: str | os.PathLike[str], **options: Any) -> Trace:
    """Read a trace as every command does.

    Parameters
    ----------
    options
        What `importers.TraceOptions` takes: format, limit, speed, offline and so on.

    Raises
    ------
    InputError
        There is no such trace or option, or the file cannot be read or accepted.

    Examples
    --------
    >>> len(load_trace("gsm8k-llama65b", limit=10))
    10
    """
    with within("options"):
        checked(options, some_of(TraceOptions))
    return load(find_trace(os.fspath(name_or_path)), TraceOptions(**options))


def trace_of(given: Requests) -> Trace:
    """Return the requests that somebody gave, in whatever form."""
    if isinstance(given, Trace):
        return given
    if isinstance(given, str | os.PathLike):
        return load_trace(given)
    if hasattr(given, "columns") and hasattr(given, "to_numpy"):
        return _of_frame(given)
    raise InputError(f"trace: expected a Trace, a DataFrame, a name or a path, got {shown(given)}")


def _of_frame(frame: pd.DataFrame) -> Trace:
    """Return the rows of a frame as requests."""
    found: dict[str, str] = {}
    for name, known in _COLUMNS.items():
        named = [column for column in known if column in frame.columns]
        if len(named) > 1:
            raise InputError(f"trace: expected one of the columns {', '.join(named)}, got both")
        found |= {name: named[0]} if named else {}
    for name in _NEEDED:
        if name not in found:
            there = ", ".join(map(str, frame.columns))
            raise InputError(f"trace: expected a column {name}, got {there or 'no columns'}")
    if "delay" not in found:  # a table of --requests has sessions, and when their turns did come
        found.pop("session", None)
        found.pop("turn", None)
    columns: dict[str, Any] = {name: frame[column].to_numpy() for name, column in found.items()}
    for name in ("arrival", "timeout", "delay"):
        if name in columns:
            in_ms = found[name] in ("timestamp", "timeout_ms", "delay_ms")
            columns[name] = _numbers(name, columns[name]) / (1e3 if in_ms else 1.0)
    if "timeout" in columns:  # as in a file, rows may lack it
        columns["timeout"] = np.where(np.isnan(columns["timeout"]), np.inf, columns["timeout"])
    if "priority" in columns:
        urgency = _numbers("priority", columns["priority"])
        columns["priority"] = np.where(np.isnan(urgency), 0.0, urgency)
    if "delay" in columns:
        columns["delay"] = np.where(np.isnan(columns["delay"]), 0.0, columns["delay"])
    if "session" in columns:
        columns["session"] = frame["session"].fillna("").to_numpy()
    for name in ("id", "job_class", "session"):
        if name in columns:
            columns[name] = [str(one) for one in columns[name]]
    arrival = columns.pop("arrival", np.zeros(len(frame)))
    return Trace.from_columns(arrival, name="frame", **columns)


def _numbers(name: str, column: NDArray[Any]) -> NDArray[np.float64]:
    """Return a column of numbers; spans of time and dates are not taken for some."""
    try:
        if column.dtype.kind not in "iufO":
            raise TypeError
        return column.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"trace: {name}: expected numbers, got {column.dtype}") from error


def hardware_of(given: Hardware) -> HardwareProfile:
    if isinstance(given, HardwareProfile):
        return given
    if isinstance(given, str | os.PathLike):
        return load_profile(os.fspath(given))
    raise InputError(f"hardware: expected a profile, a name or a path, got {shown(given)}")


def policy_of(given: Policy | str) -> Policy:
    if isinstance(given, Policy):
        return given
    if isinstance(given, str):
        return find(given)
    raise InputError(f"policy: expected a Policy or a name, got {shown(given)}")


_Knobs = some_of(EngineConfig)


def config_of(profile: HardwareProfile, given: Knobs | None) -> EngineConfig:
    """Return the engine's knobs: the profile's, with those that were given in their place."""
    if given is None:
        return profile.engine
    if isinstance(given, EngineConfig):
        return given
    if not isinstance(given, Mapping):
        raise InputError(f"config: expected an EngineConfig or knobs by name, got {shown(given)}")
    with within("config"):
        checked(dict(given), _Knobs)
        return replace(profile.engine, **given)


def names_of(given: Sequence[str]) -> tuple[str, ...]:
    several = isinstance(given, Sequence) and not isinstance(given, str)
    names = tuple(given) if several else ()
    if not names or not all(isinstance(name, str) for name in names):
        raise InputError(f"policies: expected a list of names, got {shown(given)}")
    if len(set(names)) < len(names):
        raise InputError(f"policies: expected different names, got {', '.join(names)}")
    return names


def limits_of(given: Mapping[str, float] | None) -> dict[str, float] | None:
    if given is None:
        return None
    if not isinstance(given, Mapping):
        raise InputError(f"slo: expected limits in ms by name, got {shown(given)}")
    for name, limit in given.items():
        if not isinstance(name, str):
            raise InputError(f"slo: expected the name of a limit, got {shown(name)}")
        check_limit(name)
        if not isinstance(limit, int | float) or not 0 < limit < float("inf"):
            raise InputError(f"slo: {name}: expected a number > 0, got {shown(limit)}")
    return dict(given)


def one_of(name: str, given: object, known: Sequence[str]) -> object:
    if given not in known:
        raise InputError(f"{name}: expected one of {', '.join(known)}; got {shown(given)}")
    return given


def whole(name: str, given: int) -> int:
    if not isinstance(given, int) or given < 0:
        raise InputError(f"{name}: expected an integer >= 0, got {shown(given)}")
    return given


def baseline_of(wanted: str | None, names: Sequence[str]) -> str:
    if wanted is None:
        return "vllm" if "vllm" in names else names[0]
    if wanted not in names:
        raise InputError(f"baseline: expected one of {', '.join(names)}; got {shown(wanted)}")
    return wanted
