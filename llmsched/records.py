"""What every JSON result carries, so that a report never needs a rerun."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from llmsched.config import EngineConfig
from llmsched.engine.limits import describe_output_limits
from llmsched.hardware import HardwareProfile
from llmsched.trace import Trace
from llmsched.version import __version__


def record_inputs(trace: Trace, hardware: HardwareProfile, engine: EngineConfig) -> dict[str, Any]:
    """Return version, trace (hash and counts), hardware with its provenance, and engine knobs.

    Of a profile that nobody chose it says so, for titles.
    """
    return {
        "llmsched": __version__,
        "trace": {**record_trace(trace), **record_output_limits(trace, engine)},
        "hardware": dict(hardware.document),
        **({"hardware_assumed": True} if hardware.chosen == "assumed" else {}),
        "engine": asdict(engine),
    }


def record_trace(trace: Trace) -> dict[str, Any]:
    """Return a trace's name, note, hash and counts."""
    return {
        "name": trace.name,
        "note": trace.note,
        "sha256": trace.sha256,
        "requests": len(trace),
        "input_tokens": int(trace.input_tokens.sum()),
        "output_tokens": int(trace.output_tokens.sum()),
    }


def record_output_limits(trace: Trace, engine: EngineConfig) -> dict[str, Any]:
    """Return where the output limits come from, if the engine reserves blocks for them."""
    words = describe_output_limits(trace, engine)
    return {"output_limits": words} if words else {}


def listed_groups(rows: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return what a row of JSON has of its groups, by their names."""
    groups = [{"group": name, **finite(row)} for name, row in rows.items()]
    return {"groups": groups} if groups else {}


def finite(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row as JSON has it: what is not a finite number is None."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in row.items()
    }
