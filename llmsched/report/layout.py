"""What the views of a result share: marks, names, and how numbers are written."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

from llmsched.metric import COUNT, METRICS, Metric

BETTER, WORSE, UNDECIDED = "✓", "✗", "~"


def written(metric: Metric) -> str:
    """Return the format of a metric's figures; counts are whole numbers."""
    return ",.0f" if metric.kind == COUNT else metric.form


def figure(row: Mapping[str, Any], name: str, form: str | None = None, scale: float = 1.0) -> str:
    """Return a row's metric as reports write it; empty where there is none.

    Parameters
    ----------
    form, scale
        Another form than the metric's own, and what its number is multiplied by besides.
    """
    metric, value = METRICS[name], row.get(name)
    return "" if value is None else f"{value * metric.scale * scale:z{form or written(metric)}}"


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
