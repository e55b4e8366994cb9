"""What was run, for the title of a comparison: everything asked for that its figures depend on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmsched.comparison.document import Document
from llmsched.hardware.profile import ASSUMED
from llmsched.lengths import in_words

_CAPS = {"max_num_queued_reqs": "requests", "max_num_queued_tokens": "tokens"}


def facts_of(document: Document, cell: Mapping[str, Any]) -> dict[str, str]:
    """Return what a cell was run with, beside its trace; empty what nobody asked for."""
    trace = cell["trace"]
    return {
        "speed": _speed(trace.get("options", {})),
        "hardware": _hardware(cell),
        "slots": _slots(cell),
        "caps": _caps(cell["engine"]),
        "lengths": in_words(cell["lengths"]),
        "limits": trace.get("output_limits", ""),
        "timeout": _timeout(trace.get("options", {})),
        "unserved": trace.get("unserved", ""),
        "counted": trace.get("counted", ""),
        "objective": ", ".join(f"{name} <= {limit:g}" for name, limit in document["slo"].items()),
    }


def _hardware(cell: Mapping[str, Any]) -> str:
    """Return the profile's name, and that nobody chose it where that is so."""
    name = str(cell["hardware"].get("name", ""))
    return f"{name}{ASSUMED}" if cell.get("hardware_assumed") else name


def _slots(cell: Mapping[str, Any]) -> str:
    """Return the slots, with the replicas or the users of a closed loop if there are any."""
    slots, trace = f"{cell['engine']['max_num_seqs']} slots", cell["trace"]
    if "replicas" in trace:
        return f"{trace['replicas']} replicas of {slots}"
    return f"{slots}, {trace['concurrency']} users" if "concurrency" in trace else slots


def _caps(engine: Mapping[str, Any]) -> str:
    """Return beyond how long a queue requests are refused."""
    caps = [f"{engine[cap]:,} {what}" for cap, what in _CAPS.items() if engine.get(cap) is not None]
    return f"at most {' and '.join(caps)} queued" if caps else ""


def _speed(options: Mapping[str, Any]) -> str:
    speed = options.get("speed", 1)
    return "" if speed == 1 else f"arrivals {speed:g} times as fast"


def _timeout(options: Mapping[str, Any]) -> str:
    patience = options.get("timeout_ms")
    return "" if patience is None else f"clients leave after {patience:,.12g} ms"
