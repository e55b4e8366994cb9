"""What was run, for the title of a comparison: everything asked for that its figures depend on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmsched.comparison.document import Document
from llmsched.hardware.kinds import prices_mixed
from llmsched.hardware.profile import ASSUMED
from llmsched.lengths import in_words

HIT_RATE = "prefix_cache_hit_rate"
_CAPS = {"max_num_queued_reqs": "requests", "max_num_queued_tokens": "tokens"}


def facts_of(document: Document, cell: Mapping[str, Any]) -> dict[str, str]:
    """Return what a cell was run with, beside its trace; empty what nobody asked for."""
    trace = cell["trace"]
    return {
        "speed": _speed(trace.get("options", {})),
        "hardware": _hardware(cell),
        "slots": _slots(cell),
        "caps": _caps(cell["engine"]),
        "features": _features(cell),
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


def _features(cell: Mapping[str, Any]) -> str:
    """Return which of vLLM's features were on, for every row whose rule has them."""
    engine, step_time = cell["engine"], cell["hardware"].get("step_time")
    mixed = isinstance(step_time, Mapping) and prices_mixed(step_time)
    on = {
        "prefix caching": any(row.get(HIT_RATE) is not None for row in cell["results"]),
        "async scheduling": mixed and engine.get("async_scheduling", False),
    }
    return " and ".join(name for name, is_on in on.items() if is_on)


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
