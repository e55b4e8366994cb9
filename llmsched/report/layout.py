"""What the views of a result share: marks, names, and how numbers are written."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

from llmsched.hardware.profile import ASSUMED
from llmsched.metric import METRICS

BETTER, WORSE, UNDECIDED = "✓", "✗", "~"


def figure(row: Mapping[str, Any], name: str, form: str | None = None, scale: float = 1.0) -> str:
    """Return a row's metric as reports write it; empty where there is none.

    Parameters
    ----------
    form, scale
        Another form than the metric's own, and what its number is multiplied by besides.
    """
    metric, value = METRICS[name], row.get(name)
    return "" if value is None else f"{value * metric.scale * scale:z{form or metric.form}}"


def hardware_of(cell: Mapping[str, Any]) -> str:
    """Return the profile's name, and that nobody chose it where that is so."""
    name = str(cell["hardware"].get("name", ""))
    return f"{name}{ASSUMED}" if cell.get("hardware_assumed") else name


def slots_of(cell: Mapping[str, Any]) -> str:
    """Return the slots, with the replicas or the users of a closed loop if there are any."""
    slots, trace = f"{cell['engine']['max_num_seqs']} slots", cell["trace"]
    if "replicas" in trace:
        return f"{trace['replicas']} replicas of {slots}"
    return f"{slots}, {trace['concurrency']} users" if "concurrency" in trace else slots


def output_limits_of(cell: Mapping[str, Any]) -> str:
    """Return where the output limits that were reserved for come from; empty if none were."""
    return str(cell["trace"].get("output_limits", ""))


def unserved_of(cell: Mapping[str, Any]) -> str:
    """Return who is refused and whose answers are cut; empty if nobody's."""
    return str(cell["trace"].get("unserved", ""))


def counted_of(cell: Mapping[str, Any]) -> str:
    """Return which requests metrics are of; empty if of all."""
    return str(cell["trace"].get("counted", ""))


def shortened(text: str, limit: int) -> str:
    """Return the text with its middle cut out if it is longer than `limit`."""
    if len(text) <= limit:
        return text
    head = (limit - 1) // 2
    return f"{text[:head]}…{text[len(text) - (limit - 1 - head) :]}"


def policy_label(spec: str) -> str:
    """Return a policy's name without the files its parts come from."""
    return "+".join(part.rpartition(".py:")[2] for part in spec.split("+"))


def wrapped(text: str, width: int, indent: str = "") -> list[str]:
    """Return a paragraph as lines of at most `width`."""
    return textwrap.wrap(text, width, subsequent_indent=indent, break_on_hyphens=False)
