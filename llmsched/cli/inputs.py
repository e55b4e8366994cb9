"""What words on the command line mean: hardware, knobs, objectives, one of several choices."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from llmsched.errors import InputError

if TYPE_CHECKING:
    from llmsched.hardware.profile import Choice

PAPER_TRACE = "gsm8k-llama65b"
PAPER_HARDWARE = "llama65b-8gpu-paper"
ASSUMED_HARDWARE = "llama3-8b-a100"
"""For a trace of one's own: fitted, and it prices mixed steps, so that every policy can run."""


def choose_hardware(hardware: str | None, trace: str | None) -> tuple[str, Choice]:
    """Return the profile to use and who chose it, by the options that name profile and trace."""
    if hardware is not None:
        return hardware, "named"
    if trace is None or (trace == PAPER_TRACE and not os.path.exists(trace)):
        return PAPER_HARDWARE, "default"
    return ASSUMED_HARDWARE, "assumed"


def parse_knobs(texts: list[str] | None) -> dict[str, Any]:
    """Read each ``KNOB=VALUE``.

    Raises
    ------
    InputError
        An unknown knob, or no value.
    """
    knobs: dict[str, Any] = {}
    for text in texts or []:
        name, value = _knob(text)
        if name in knobs:
            raise InputError(f"--engine: expected one value of {name}, got two")
        knobs[name] = value
    return knobs


def _knob(text: str) -> tuple[str, object]:
    from dataclasses import fields

    from llmsched.config import EngineConfig

    name, equals, value = text.partition("=")
    known = [field.name for field in fields(EngineConfig)]
    name = name.replace("-", "_")
    if name not in known or not equals:
        raise InputError(
            f"--engine: expected KNOB=VALUE with one of {', '.join(known)}; got {text!r}"
        )
    for kind in (int, float):
        try:
            return name, kind(value)
        except ValueError:
            continue
    return name, None if value == "none" and name.startswith(("max_", "num_")) else value


def one_of(option: str, value: str, choices: tuple[str, ...]) -> str:
    """Return `value` if it is one of `choices`.

    Raises
    ------
    InputError
        It is not.
    """
    if value not in choices:
        raise InputError(f"{option}: expected one of {', '.join(choices)}; got {value!r}")
    return value


def parse_slo(text: str) -> dict[str, float]:
    """Read ``chat:ttft_ms=200,tpot_ms=50``: the last colon and the last = of each part separate.

    Raises
    ------
    InputError
        An unknown metric, or a limit that is not a positive number.
    """
    from llmsched.metric import SLO_METRICS
    from llmsched.objective import STATISTICS, check_limit, split

    limits: dict[str, float] = {}
    for part in text.split(","):
        name, equals, value = part.rpartition("=")
        try:
            limit = float(value)
        except ValueError:
            limit = -1.0
        known = split(name)[1] in (*SLO_METRICS, *STATISTICS)
        if not equals or not known or not 0 < limit < float("inf"):
            wanted = " or ".join(f"{metric}=MS" for metric in SLO_METRICS)
            raise InputError(f"--slo: expected {wanted}, got {part!r}")
        check_limit(name)
        if name in limits:
            raise InputError(f"--slo: expected one limit on {name}, got two")
        limits[name] = limit
    return limits


def given(**options: Any) -> dict[str, Any]:
    """Return the options that were given on the command line: those that are not None."""
    return {name: value for name, value in options.items() if value is not None}
