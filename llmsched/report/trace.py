"""What a trace holds, for a reader: its figures, and histograms of its lengths and arrivals."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llmsched.importers import Imported
from llmsched.report.console import PLAIN_WIDTH, Grid, Part, page
from llmsched.traceinfo import STATISTICS, describe

_BINS = 12
_BARS = "▁▂▃▄▅▆▇█"
_MOST_BARS = 120


def trace_page(imported: Imported, *, width: int = PLAIN_WIDTH, color: bool = False) -> str:
    """Return the figures of `traceinfo.describe`, and histograms, as a page of `width` columns."""
    trace, facts = imported.trace, describe(imported)
    lengths = [
        [label, *(length(facts[column][name]) for name in STATISTICS)]
        for label, column in (("input", "input_tokens"), ("output", "output_tokens"))
    ]
    parts: list[Part] = [
        Grid([*_facts(facts)], text=True),
        "",
        Grid(lengths, [["tokens", *STATISTICS]]),
        "",
        *_histogram("input tokens", trace.input_tokens, width),
        "",
        *_histogram("output tokens", trace.output_tokens, width),
    ]
    if facts["span_s"] > 0:
        parts += ["", *_arrivals(trace.arrival, facts["span_s"], width)]
    return page(parts, width=width, color=color)


def length(tokens: float) -> str:
    """Return a length as it is shown: with one decimal below a thousand."""
    return f"{tokens:,.0f}" if tokens >= 1000 else f"{tokens:.1f}"


def _facts(facts: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "trace", facts["name"]
    yield "format", facts["format"]
    yield "requests", f"{facts['requests']:,} of {facts['rows']:,} rows"
    yield from ((f"dropped {n:,}", reason) for reason, n in facts["dropped"].items())
    yield from ((one["what"], f"{one['value']} ({one['sure']})") for one in facts["read_as"])
    yield "tokens", f"{facts['total_input_tokens']:,} in, {facts['total_output_tokens']:,} out"
    if (limits := facts["max_output_tokens"]) is not None:
        between = f"{limits['min']:,} to {limits['max']:,} output tokens"
        declared = f"{facts['limits_declared']:,} of {facts['requests']:,} requests"
        yield "limits", f"{between}, declared by {declared}"
    if facts["rate_per_s"] is None:
        yield "arrivals", "all at once"
    else:
        span = f"{facts['span_s']:,.6f}".rstrip("0").rstrip(".") + " s"
        yield "span", span if facts["sessions"] is None else f"{span}, if answers took no time"
        yield "rate", f"{facts['rate_per_s']:,.4g} requests/s"
        yield "burstiness", f"{facts['gap_cv']:.2f} (std / mean of the gaps; Poisson: 1)"
        yield "together", f"{facts['simultaneous']:,} arrive at the same time as another"
    if (sessions := facts["sessions"]) is not None:
        turns, delay = sessions["turns"], sessions["delay_ms"]
        yield "sessions", f"{sessions['count']:,} of {sessions['requests']:,} requests"
        yield "turns", f"{turns['mean']:,.1f} in the mean, at most {turns['max']:,}"
        between = (
            f"{delay['mean']:,.1f} ms in the mean, {delay['min']:,.1f} to {delay['max']:,.1f} ms"
        )
        yield "delays", f"{between} from the end of a turn to the next one"
    yield from _shared(facts["prefixes"])
    if (levels := facts["priorities"]) is not None:
        between = f"{levels['min']:,} to {levels['max']:,}"
        yield "priorities", f"{levels['levels']:,} levels, {between}: lower is sooner"
    if facts["classes"]:
        yield (
            "classes",
            ", ".join(f"{name or '(none)'} {n:,}" for name, n in facts["classes"].items()),
        )


def _shared(prefixes: dict[str, Any] | None) -> Iterator[tuple[str, str]]:
    """Yield who says what prompts share, and what a cache that forgets nothing makes of it."""
    if prefixes is None:
        yield "prefixes", "no block ids or sessions: prefix caching finds nothing"
        return
    if prefixes["ids"] is None:
        yield "prefixes", "sessions: a prompt begins with what was said before it"
    else:
        size = f"{prefixes['hash_block_size']:,}"
        yield "prefixes", f"{prefixes['ids']:,} ids name blocks of {size} tokens"
    share = f"{100 * prefixes['most_cached_share']:.1f} % of prompt tokens"
    room = f"blocks of {prefixes['block_size']}, room for all"
    yield "cache", f"saves at most {share} ({room})"


def _histogram(title: str, column: NDArray[np.int64], width: int) -> Iterator[Part]:
    """Yield horizontal bars over bins of equal ratio, which long tails need."""
    edges = np.unique(np.rint(np.geomspace(column.min(), column.max() + 1, _BINS + 1)))
    counts, _ = np.histogram(column, edges)
    bounds = zip(edges[:-1].astype(int).tolist(), (edges[1:].astype(int) - 1).tolist(), strict=True)
    labels = [f"{low:,} to {high:,}" if high > low else f"{low:,}" for low, high in bounds]
    shown = [f"{count:,}" for count in counts.tolist()]
    room = width - max(map(len, labels)) - max(map(len, shown)) - 6
    bars = -(-min(room, _MOST_BARS) * counts // counts.max())
    drawn = ["█" * bar for bar in bars.tolist()]
    yield title
    yield Grid([*zip(labels, shown, drawn, strict=True)], words=0, text=True, indent=2)


def _arrivals(arrival: NDArray[np.float64], span: float, width: int) -> Iterator[Part]:
    """Yield one line of bars: how many requests arrive in each part of the span."""
    counts, _ = np.histogram(arrival, bins=min(width - 20, _MOST_BARS), range=(0, span))
    most = int(counts.max())
    heights = np.ceil(counts * len(_BARS) / most).astype(int)
    yield f"arrivals over {span:,.1f} s (at most {most:,} in {span / len(counts):,.3g} s)"
    yield "".join(_BARS[height - 1] if height else " " for height in heights)
