"""Traces out: one function a format, each the inverse of the importer of the same name.

Times are written as exact decimals of the trace's time grid (see :func:`llmsched.clock.seconds`),
so that reading the file again gives the same arrivals to the last bit. A later turn of a session
has a delay in place of a time.
"""

from __future__ import annotations

import gzip
import importlib
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import orjson
from numpy.typing import NDArray

from llmsched.clock import nanoseconds
from llmsched.errors import InputError
from llmsched.files import write_whole
from llmsched.sessions import turn_numbers
from llmsched.trace import Trace

_ID, _CLASS, _PREDICTED, _HASHES = "id", "class", "predicted_output_length", "hash_ids"
_LIMIT = "max_output_tokens"
_BLOCK = "hash_block_size"
MOONCAKE_BLOCK = 512
"""Tokens of a block that an id names in Mooncake's format, which has no place to say another."""
_TIMEOUT, _PRIORITY = "timeout_ms", "priority"
_SESSION, _TURN, _DELAY = "session", "turn", "delay_ms"


def write(trace: Trace, path: str | Path, to: str = "native") -> tuple[str, ...]:
    """Write `trace` to `path` in the format `to`, compressed if it ends in .gz or .zst.

    Parameters
    ----------
    trace : Trace
    path : str or Path
        Written whole or not at all.
    to : {"native", "mooncake", "vidur", "azure"}

    Returns
    -------
    tuple of str
        The fields of the trace that the format has no place for.

    Raises
    ------
    InputError
        There is no such format, or the file cannot be written.
    """
    data = text(trace, to).encode()
    suffix = Path(path).suffix
    if suffix == ".gz":
        data = gzip.compress(data, mtime=0)  # no time of day: the same trace is the same bytes
    elif suffix == ".zst":
        data = _zstd(data)
    write_whole(path, data)
    return lost(trace, to)


def text(trace: Trace, to: str) -> str:
    """Return `trace` in the format `to`; parameters and errors as in :func:`write`."""
    return "\n".join(_writer(to)[0](trace)) + "\n"


def lost(trace: Trace, to: str) -> tuple[str, ...]:
    """Return the fields of `trace` that the format `to` has no place for."""
    there = {
        _ID: not trace.id.counts_from_0,  # ids that count the rows come back by themselves
        _CLASS: trace.job_class is not None,
        _PREDICTED: trace.predicted_output_tokens is not None,
        _LIMIT: trace.max_output_tokens is not None,
        _TIMEOUT: trace.timeout is not None,
        _PRIORITY: trace.priority is not None,
        _SESSION: trace.session is not None,
        _DELAY: trace.delay is not None,
        _HASHES: trace.hash_ids is not None,
    }
    kept = set(_writer(to)[1])
    if to == "mooncake" and not _are_mooncakes(trace):
        kept.discard(_HASHES)
    return tuple(name for name, is_there in there.items() if is_there and name not in kept)


def _native(trace: Trace) -> Iterator[str]:
    ids: Iterable[bytes] = map(orjson.dumps, trace.id)
    rest = zip(_rows(trace, dated=trace.previous < 0), _extras(trace), strict=True)
    for name, (row, extra) in zip(ids, rest, strict=True):
        yield f'{{"id":{name.decode()},{row}{extra}}}'


def _mooncake(trace: Trace) -> Iterator[str]:
    if trace.hash_ids is None or not _are_mooncakes(trace):
        yield from (f"{{{row}}}" for row in _rows(trace))
        return
    for row, hashes in zip(_rows(trace), trace.hash_ids, strict=True):
        yield f'{{{row},"hash_ids":{orjson.dumps(hashes).decode()}}}'


def _vidur(trace: Trace) -> Iterator[str]:
    yield "arrived_at,num_prefill_tokens,num_decode_tokens"
    for ns, prompt, output in _numbers(trace):
        yield f"{_decimal(ns, 9)},{prompt},{output}"


def _azure(trace: Trace) -> Iterator[str]:
    """Yield Azure's columns; a trace has no calendar, so its time 0 is the start of 1970."""
    yield "TIMESTAMP,ContextTokens,GeneratedTokens"
    digits = 7 if all(ns % 100 == 0 for ns, *_ in _numbers(trace)) else 9
    for ns, prompt, output in _numbers(trace):
        whole, fraction = divmod(ns, 10**9)
        date = datetime.fromtimestamp(whole, UTC).strftime("%Y-%m-%d %H:%M:%S")
        yield f"{date}.{f'{fraction:09d}'[:digits]},{prompt},{output}"


_KEPT = (_ID, _CLASS, _PREDICTED, _LIMIT, _TIMEOUT, _PRIORITY, _SESSION, _DELAY, _HASHES)
_WRITERS: dict[str, tuple[Callable[[Trace], Iterator[str]], tuple[str, ...]]] = {
    "native": (_native, _KEPT),
    "mooncake": (_mooncake, (_HASHES,)),
    "vidur": (_vidur, ()),
    "azure": (_azure, ()),
}
"""Each format: who writes it, and which optional fields it keeps."""

NAMES = tuple(_WRITERS)
"""The formats that can be written."""


def _writer(to: str) -> tuple[Callable[[Trace], Iterator[str]], tuple[str, ...]]:
    if to not in _WRITERS:
        raise InputError(f"to: expected one of {', '.join(NAMES)}; got {to!r}")
    return _WRITERS[to]


def _numbers(trace: Trace) -> Iterator[tuple[int, int, int]]:
    """Yield (arrival in ns, input tokens, output tokens) as Python integers."""
    columns = (nanoseconds(trace.arrival), trace.input_tokens, trace.output_tokens)
    return zip(*(column.tolist() for column in columns), strict=True)


def _rows(trace: Trace, dated: NDArray[np.bool_] | None = None) -> Iterator[str]:
    """Yield the fields that all rows have, but for times of those that are not to be dated."""
    told = itertools.repeat(True) if dated is None else dated.tolist()
    for tells, (ns, prompt, output) in zip(told, _numbers(trace), strict=False):
        time = f'"timestamp":{_decimal(ns, 6)},' if tells else ""
        yield f'{time}"input_length":{prompt},"output_length":{output}'


def _extras(trace: Trace) -> Iterator[str]:
    """Yield the optional fields of each row as JSON text that begins with a comma, or ""."""
    predicted, limit = trace.predicted_output_tokens, trace.max_output_tokens
    urgency = trace.priority
    columns = {
        _CLASS: trace.job_class,
        _PREDICTED: None if predicted is None else predicted.tolist(),
        _LIMIT: None if limit is None else [value or None for value in limit.tolist()],
        _TIMEOUT: _milliseconds(trace.timeout),
        _PRIORITY: None if urgency is None else [value or None for value in urgency.tolist()],
        **_turns(trace),
        _HASHES: trace.hash_ids,
        _BLOCK: _sizes(trace),
    }
    there = {name: column for name, column in columns.items() if column is not None}
    for row in range(len(trace)):
        pairs = {
            name: value for name, column in there.items() if (value := column[row]) is not None
        }
        yield f",{orjson.dumps(pairs).decode()[1:-1]}" if pairs else ""


def _sizes(trace: Trace) -> list[int] | None:
    """Return what each row says of its blocks, unless they are those that it has by itself."""
    if trace.hash_ids is None or trace.hash_block_size == 0 or _are_mooncakes(trace):
        return None
    return [trace.hash_block_size] * len(trace)


def _are_mooncakes(trace: Trace) -> bool:
    """Whether ids name the blocks of prompts alone, of Mooncake's size, as readers take them."""
    if trace.hash_ids is None or trace.hash_block_size != MOONCAKE_BLOCK:
        return False
    ids = np.fromiter(map(len, trace.hash_ids), np.int64, len(trace))
    return bool((ids == -(-trace.input_tokens // MOONCAKE_BLOCK)).all())


def _turns(trace: Trace) -> dict[str, Sequence[object]]:
    """Return the session of each request, its turn from 0, and a later one's delay."""
    if trace.session is None or trace.delay is None:
        return {}
    turn = turn_numbers(trace.previous).tolist()
    delay = nanoseconds(trace.delay).tolist()
    waits = [
        orjson.Fragment(_decimal(ns, 6)) if number else None
        for number, ns in zip(turn, delay, strict=True)
    ]
    names = [name or None for name in trace.session.tolist()]
    numbers = [number if name else None for name, number in zip(names, turn, strict=True)]
    return {_SESSION: names, _TURN: numbers, _DELAY: waits}


def _milliseconds(timeout: NDArray[np.float64] | None) -> list[float | None] | None:
    """Return timeouts as they were read: to 15 digits."""
    if timeout is None:
        return None
    return [float(f"{1e3 * t:.15g}") if math.isfinite(t) else None for t in timeout.tolist()]


def _decimal(ns: int, places: int) -> str:
    """Return ``ns / 10**places`` as the shortest exact decimal."""
    whole, fraction = divmod(ns, 10**places)
    return f"{whole}.{fraction:0{places}d}".rstrip("0") if fraction else str(whole)


def _zstd(data: bytes) -> bytes:
    try:
        zstandard = importlib.import_module("zstandard")
    except ImportError as error:
        raise InputError(".zst: writing it needs Zstandard: pip install zstandard") from error
    return bytes(zstandard.ZstdCompressor().compress(data))
