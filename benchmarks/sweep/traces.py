"""Traces to draw from: pieces of the real ones, and the shapes that schedulers stumble over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from llmsched.importers import TraceOptions, read
from llmsched.trace import Trace, nanoseconds, seconds

FOLDER = Path(__file__).resolve().parents[2] / "traces"
"""The shipped traces and no others: a case must be the same one everywhere."""

SIZES = {1: 0.1, 3: 0.2, 8: 0.24, 20: 0.24, 60: 0.15, 150: 0.05, 400: 0.015, 3_000: 0.005}
"""Requests of a trace, and how often: faults are found by many small cases, not by few big ones."""
SPEEDS = (1.0, 4.0, 1000.0)
"""From what was recorded to crowded."""


@dataclass(frozen=True, eq=False)
class Drawn:
    """A trace, and the words with which the command line reads it; none if it is in no file."""

    trace: Trace
    kind: str
    words: tuple[str, ...] = ()


def draw(rng: Generator) -> Drawn:
    """Draw a trace."""
    if rng.random() < 0.25:
        return _real(rng)
    name = str(rng.choice(list(GENERATED)))
    arrival, prompt, output = GENERATED[name](rng)
    # On the grid of nanoseconds that trace files have, so that a written trace is the same one.
    exact = seconds(nanoseconds(np.sort(arrival.astype(np.float64))))
    return Drawn(Trace.from_columns(exact, prompt, output, name=name), name)


@lru_cache
def files() -> tuple[Path, ...]:
    """Return the shipped trace files, sorted by name."""
    return tuple(sorted(FOLDER.glob("*.jsonl*")))


@lru_cache(maxsize=64)
def _read(path: Path, options: TraceOptions) -> Trace:
    return read(path, options).trace


def _real(rng: Generator) -> Drawn:
    path = files()[rng.integers(len(files()))]
    offline = bool(rng.random() < 0.4)
    options = TraceOptions(speed=1.0 if offline else float(rng.choice(SPEEDS)), offline=offline)
    whole = _read(path, options)
    size = min(_size(rng), len(whole))
    kind = path.name.partition(".")[0]
    if rng.random() < 0.5:
        words = [str(path), "--limit", str(size), "--speed", f"{options.speed:g}"]
        words += ["--offline"] if options.offline else []
        return Drawn(whole.take(np.arange(size)), kind, tuple(words))
    start = int(rng.integers(len(whole) - size + 1))
    rows = slice(start, start + size)
    arrival = seconds(nanoseconds(whole.arrival[rows]) - nanoseconds(whole.arrival[start]))
    piece = Trace.from_columns(
        arrival, whole.input_tokens[rows], whole.output_tokens[rows], name=kind
    )
    return Drawn(piece, kind)


Columns = tuple[NDArray[np.floating[Any]], NDArray[np.int64], NDArray[np.int64]]


def _tokens(rng: Generator, n: int, most: int) -> NDArray[np.int64]:
    return rng.integers(1, most + 1, n)


def _size(rng: Generator) -> int:
    return int(rng.choice(list(SIZES), p=list(SIZES.values())))


def _some(rng: Generator) -> int:
    return min(400, _size(rng))


def _tiny(rng: Generator) -> Columns:
    n = int(rng.integers(1, 6))
    arrival = np.cumsum(rng.choice([0.0, 0.0, 0.0, 0.01, 0.5], n))
    return arrival, _tokens(rng, n, 20), _tokens(rng, n, int(rng.choice([1, 5, 30])))


def _at_once(rng: Generator) -> Columns:
    n = _some(rng)
    return np.zeros(n), _tokens(rng, n, int(rng.choice([4, 60, 600]))), _tokens(rng, n, 80)


def _bursts(rng: Generator) -> Columns:
    n = _some(rng)
    arrival = rng.choice([0.0, 0.5, 3.0, 30.0], n) + rng.choice([0.0, 0.0, 0.013], n)
    return arrival, _tokens(rng, n, 100), _tokens(rng, n, 40)


def _ties(rng: Generator) -> Columns:
    """Arrivals and lengths on a coarse grid: much happens at the same instant."""
    n = _some(rng)
    grid = float(rng.choice([0.01, 0.068892343, 1.0]))
    return grid * rng.integers(0, 12, n), 8 * rng.integers(1, 5, n), 4 * rng.integers(1, 5, n)


def _single_tokens(rng: Generator) -> Columns:
    n = _some(rng)
    output = np.where(rng.random(n) < 0.8, 1, _tokens(rng, n, 9))
    return rng.exponential(0.02, n).cumsum() * rng.integers(0, 2), _tokens(rng, n, 50), output


def _huge_prompts(rng: Generator) -> Columns:
    n = int(rng.integers(1, 13))
    prompt = np.where(rng.random(n) < 0.4, rng.integers(2_000, 60_000, n), _tokens(rng, n, 200))
    return rng.exponential(1.0, n).cumsum() * rng.integers(0, 2), prompt, _tokens(rng, n, 40)


def _equal_lengths(rng: Generator) -> Columns:
    n = _some(rng)
    ones = np.ones(n, dtype=np.int64)
    prompt, output = int(rng.choice([1, 16, 100, 512])), int(rng.choice([1, 2, 17, 128]))
    return np.zeros(n) if rng.random() < 0.7 else 0.05 * np.arange(n), prompt * ones, output * ones


def _heavy_tails(rng: Generator) -> Columns:
    n = _some(rng)
    prompt = np.minimum(20_000, 1 + 30 * rng.pareto(1.1, n)).astype(np.int64)
    output = np.minimum(2_000, 1 + rng.lognormal(3, 1.5, n)).astype(np.int64)
    return rng.gamma(0.1, 2.0, n).cumsum() * rng.integers(0, 2), prompt, output


def _long_outputs(rng: Generator) -> Columns:
    n = int(rng.integers(1, 7))
    return rng.exponential(5.0, n).cumsum(), _tokens(rng, n, 30), rng.integers(1, 3_000, n)


GENERATED: dict[str, Callable[[Generator], Columns]] = {
    "tiny": _tiny,
    "at once": _at_once,
    "bursts": _bursts,
    "ties": _ties,
    "single tokens": _single_tokens,
    "huge prompts": _huge_prompts,
    "equal lengths": _equal_lengths,
    "heavy tails": _heavy_tails,
    "long outputs": _long_outputs,
}
"""Arrivals, prompts and outputs by the shape's name."""
