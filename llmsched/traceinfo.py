"""What a trace holds: its numbers as one record, and the page that shows them in a terminal."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llmsched.importers import Imported

WIDTH = 80
_BINS = 12
_BARS = "▁▂▃▄▅▆▇█"
_STATISTICS = ("mean", "std", "min", "p25", "p50", "p75", "p90", "p99", "max")


def describe(imported: Imported) -> dict[str, Any]:
    """Return the figures of a trace as a JSON-able record.

    Rates are per second, gaps (between arrivals) in seconds, lengths in tokens. What a trace that
    arrives at once has no value for is None.
    """
    trace = imported.trace
    span = float(trace.arrival[-1] - trace.arrival[0])
    gaps = np.diff(trace.arrival)
    spread = len(gaps) > 0 and span > 0
    classes = Counter(trace.klass.tolist()) if trace.klass is not None else {}
    declared = trace.max_output_tokens
    return {
        "name": trace.name,
        "sha256": trace.sha256,
        "format": imported.format,
        "rows": imported.rows,
        "dropped": dict(sorted(imported.dropped.items())),
        "notes": list(imported.notes),
        "requests": len(trace),
        "span_s": span,
        "rate_per_s": len(gaps) / span if spread else None,
        "gap_cv": float(gaps.std() / gaps.mean()) if spread else None,
        "simultaneous": int(np.count_nonzero(gaps == 0)),
        "input_tokens": _statistics(trace.input_tokens),
        "output_tokens": _statistics(trace.output_tokens),
        "total_input_tokens": int(trace.input_tokens.sum()),
        "total_output_tokens": int(trace.output_tokens.sum()),
        "max_output_tokens": None if declared is None else _statistics(declared[declared > 0]),
        "limits_declared": 0 if declared is None else int(np.count_nonzero(declared)),
        "classes": dict(sorted(classes.items())),
    }


def page(imported: Imported) -> str:
    """Return the page for people: the figures of :func:`describe` and histograms, 80 columns."""
    trace, facts = imported.trace, describe(imported)
    blocks = [
        "\n".join(_facts(facts)),
        _table(facts),
        _histogram("input tokens", trace.input_tokens),
        _histogram("output tokens", trace.output_tokens),
    ]
    if facts["span_s"] > 0:
        blocks.append(_arrivals(trace.arrival, facts["span_s"]))
    return "\n\n".join(blocks) + "\n"


def _facts(facts: dict[str, Any]) -> list[str]:
    kept = f"{facts['requests']:,} of {facts['rows']:,} rows"
    lines = [
        ("trace", facts["name"]),
        ("format", facts["format"]),
        ("requests", kept),
        *((f"dropped {n:,}", reason) for reason, n in facts["dropped"].items()),
        ("tokens", f"{facts['total_input_tokens']:,} in, {facts['total_output_tokens']:,} out"),
    ]
    if (limits := facts["max_output_tokens"]) is not None:
        between = f"{limits['min']:,} to {limits['max']:,} output tokens"
        declared = f"{facts['limits_declared']:,} of {facts['requests']:,} requests"
        lines.append(("limits", f"{between}, declared by {declared}"))
    if facts["rate_per_s"] is None:
        lines.append(("arrivals", "all at once"))
    else:
        lines += [
            ("span", f"{facts['span_s']:,.3f} s"),
            ("rate", f"{facts['rate_per_s']:,.4g} requests/s"),
            ("burstiness", f"{facts['gap_cv']:.2f} (std / mean of the gaps; Poisson: 1)"),
            ("together", f"{facts['simultaneous']:,} arrive at the same time as another"),
        ]
    if facts["classes"]:
        shown = ", ".join(f"{name or '(none)'} {n:,}" for name, n in facts["classes"].items())
        lines.append(("classes", shown))
    return [_clipped(f"{label:<13} {value}") for label, value in lines]


def _table(facts: dict[str, Any]) -> str:
    head = f"{'tokens':<8}" + "".join(f"{name:>8}" for name in _STATISTICS)
    rows = [
        f"{label:<8}" + "".join(_cell(facts[column][name]) for name in _STATISTICS)
        for label, column in (("input", "input_tokens"), ("output", "output_tokens"))
    ]
    return "\n".join([head, *rows])


def _cell(value: float) -> str:
    text = f"{value:.1f}"
    text = text if len(text) < 8 else f"{value:.0f}"
    text = text if len(text) < 8 else f"{value:.1e}"
    return f"{text:>8}"


def _statistics(column: NDArray[np.int64]) -> dict[str, float]:
    quantiles = np.quantile(column, (0.25, 0.5, 0.75, 0.9, 0.99)).tolist()
    least, most = int(column.min()), int(column.max())
    values = (float(column.mean()), float(column.std()), least, *quantiles, most)
    return dict(zip(_STATISTICS, values, strict=True))


def _histogram(title: str, column: NDArray[np.int64]) -> str:
    """Return horizontal bars over bins of equal ratio, which long tails need."""
    edges = np.unique(np.rint(np.geomspace(column.min(), column.max() + 1, _BINS + 1)))
    counts, _ = np.histogram(column, edges)
    bounds = zip(edges[:-1].astype(int).tolist(), (edges[1:].astype(int) - 1).tolist(), strict=True)
    labels = [f"{low:,} to {high:,}" if high > low else f"{low:,}" for low, high in bounds]
    margin = max(20, *map(len, labels))
    room, most = WIDTH - margin - 12, int(counts.max())
    lines = [title]
    for label, count in zip(labels, counts.tolist(), strict=True):
        bar = "█" * -(-room * count // most)
        lines.append(f"{label:>{margin}}{count:>11,} {bar}".rstrip())
    return "\n".join(lines)


def _arrivals(arrival: NDArray[np.float64], span: float) -> str:
    """Return one line of bars: how many requests arrive in each part of the span."""
    counts, _ = np.histogram(arrival, bins=WIDTH - 20, range=(0, span))
    most = int(counts.max())
    heights = np.ceil(counts * len(_BARS) / most).astype(int)
    bars = "".join(_BARS[height - 1] if height else " " for height in heights)
    return f"arrivals over {span:,.1f} s (at most {most:,} in {span / len(counts):,.3g} s)\n{bars}"


def _clipped(line: str) -> str:
    line = "".join(c if c.isprintable() else "?" for c in line)
    return line if len(line) <= WIDTH else line[: WIDTH - 3] + "..."
