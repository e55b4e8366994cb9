"""What a trace holds: its numbers as one record."""

from __future__ import annotations

from collections import Counter
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llmsched.config import EngineConfig
from llmsched.importers import Imported
from llmsched.prefixes import reuse
from llmsched.sessions import NO_SESSION
from llmsched.trace import Trace

CACHE_BLOCK = EngineConfig.block_size
"""Tokens of a block of the cache of which `describe` tells; vLLM's default."""

STATISTICS = ("mean", "std", "min", "p25", "p50", "p75", "p90", "p99", "max")


def describe(imported: Imported) -> dict[str, Any]:
    """Return the figures of a trace as a JSON-able record.

    Rates are per second, gaps (between arrivals) in seconds, lengths in tokens. What a trace that
    arrives at once has no value for is None.
    """
    trace = imported.trace
    span = float(trace.arrival[-1] - trace.arrival[0])
    gaps = np.diff(trace.arrival)
    spread = len(gaps) > 0 and span > 0
    classes = Counter(trace.job_class.tolist()) if trace.job_class is not None else {}
    declared = trace.max_output_tokens
    return {
        "name": trace.name,
        "sha256": trace.sha256,
        "format": imported.format,
        "rows": imported.rows,
        "dropped": dict(sorted(imported.dropped.items())),
        "notes": list(imported.notes),
        "read_as": [
            {"what": fact.what, "value": fact.value, "sure": fact.sure} for fact in imported.facts
        ],
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
        "sessions": _sessions(trace),
        "priorities": _priorities(trace),
        "prefixes": _prefixes(trace),
    }


def _sessions(trace: Trace) -> dict[str, Any] | None:
    """Return how many sessions there are, their turns, and the delays between these in ms."""
    if trace.session is None or trace.delay is None:
        return None
    turns = Counter(trace.session[trace.session != NO_SESSION].tolist())
    return {
        "count": len(turns),
        "requests": turns.total(),
        "turns": _statistics(np.array(list(turns.values()))),
        "delay_ms": _statistics(1e3 * trace.delay[trace.previous >= 0]),
    }


def _priorities(trace: Trace) -> dict[str, int] | None:
    """Return how many levels of urgency there are, and the most and the least urgent one."""
    if trace.priority is None:
        return None
    levels = np.unique(trace.priority)
    return {"levels": len(levels), "min": int(levels[0]), "max": int(levels[-1])}


def _prefixes(trace: Trace) -> dict[str, Any] | None:
    """Return who says what prompts share, and the most that a cache may save of them.

    None where nobody says anything, so that a cache finds nothing.
    """
    found = reuse(trace, CACHE_BLOCK)
    if found is None:
        return None
    named = trace.hash_ids is not None and trace.hash_block_size > 0
    saved = int(found.later.sum())
    return {
        "said_by": "block ids" if named else "sessions",
        "hash_block_size": trace.hash_block_size if named else None,
        "ids": len(set(chain.from_iterable(trace.hash_ids or ()))) if named else None,
        "block_size": CACHE_BLOCK,
        "most_cached_tokens": saved,
        "most_cached_share": saved / int(trace.input_tokens.sum()),
    }


def _statistics(column: NDArray[np.int64] | NDArray[np.float64]) -> dict[str, float]:
    quantiles = np.quantile(column, (0.25, 0.5, 0.75, 0.9, 0.99)).tolist()
    least, most = column.min().item(), column.max().item()
    values = (float(column.mean()), float(column.std()), least, *quantiles, most)
    return dict(zip(STATISTICS, values, strict=True))
