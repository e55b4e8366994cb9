"""Per-request times of a real run: what vLLM's benchmark or its own trace recorded."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from llmsched.errors import InputError
from llmsched.files import plain
from llmsched.reading import opened, read_text
from llmsched.schema import shown
from llmsched.trace import Trace

Floats = NDArray[np.float64]

FIELDS = ("timestamp", "input_length", "output_length", "first_token_s", "last_token_s")
"""Columns of a recorded run: arrival in ms, two token counts, two times in s on the same clock."""

_BENCH = ("input_lens", "output_lens", "ttfts", "itls")
LEAST_REQUESTS = 20


@dataclass(frozen=True, eq=False)
class MeasuredRun:
    """Requests and when their first and last tokens came; arrays in the trace's order.

    Attributes
    ----------
    trace : Trace
        Arrivals and lengths.
    first_token, last_token : float64, shape (n,)
        Seconds on the trace's clock.
    dropped : int
        Failed requests that the recording held besides.
    """

    trace: Trace
    first_token: Floats
    last_token: Floats
    dropped: int = 0


def is_run(path: str | Path) -> bool:
    """Tell a recorded run (JSON, or CSV with `first_token_s`) from a CSV of steps, by content."""
    with opened(path) as lines:
        start = next(lines, (0, b""))[1][:4096].decode(errors="replace")
    return start.startswith(("{", "[")) or "first_token_s" in start.partition("\n")[0]


def read_run(path: str | Path) -> MeasuredRun:
    """Read `vllm bench serve --save-detailed` JSON, or JSONL or CSV with the columns `FIELDS`.

    Raises
    ------
    InputError
        A field is missing, a value is impossible, or there are fewer than 20 requests.
    """
    text = read_text(path)
    dropped = 0
    try:
        whole = json.loads(text) if text.lstrip().startswith("{") else None
    except ValueError:
        whole = None
    if isinstance(whole, dict) and "timestamp" not in whole:
        rows, dropped = _bench_rows(str(path), whole)
    else:
        lines = (
            _json_rows(str(path), text) if text.lstrip().startswith(("{", "[")) else _csv_rows(text)
        )
        rows = [_row(f"{path}:{number}", record) for number, record in lines]
    if len(rows) < LEAST_REQUESTS:
        raise InputError(f"{path}: expected at least {LEAST_REQUESTS} requests, got {len(rows)}")
    table = np.array(rows, dtype=np.float64)
    table = table[np.argsort(table[:, 0], kind="stable")]
    start = table[0, 0]
    trace = Trace.from_columns(
        table[:, 0] - start,
        table[:, 1].astype(np.int64),
        table[:, 2].astype(np.int64),
        name=plain(Path(path).name),
        note="lengths and arrivals of a measured run",
    )
    return MeasuredRun(trace, table[:, 3] - start, table[:, 4] - start, dropped)


def _json_rows(path: str, text: str) -> Iterator[tuple[int, Mapping[str, object]]]:
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            record = None
        if not isinstance(record, dict):
            raise InputError(f"{path}:{number}: row: expected a JSON object, got {shown(line)}")
        yield number, record


def _csv_rows(text: str) -> Iterator[tuple[int, Mapping[str, object]]]:
    reader = csv.DictReader(io.StringIO(text))
    for record in reader:
        yield reader.line_num, record


def _row(where: str, record: Mapping[str, object]) -> tuple[float, ...]:
    """Return arrival, two lengths, first and last token of one request; times in seconds."""
    values = {name: _number(where, name, record.get(name)) for name in FIELDS}
    arrival, first, last = (
        values["timestamp"] / 1000.0,
        values["first_token_s"],
        values["last_token_s"],
    )
    for name in ("input_length", "output_length"):
        if values[name] < 1 or values[name] != int(values[name]):
            raise InputError(f"{where}: {name}: expected an integer >= 1, got {values[name]:g}")
    if first <= arrival:
        raise InputError(f"{where}: first_token_s: expected more than {arrival:g}, got {first:g}")
    if last < first or (last == first and values["output_length"] > 1):
        raise InputError(f"{where}: last_token_s: expected more than {first:g}, got {last:g}")
    return arrival, values["input_length"], values["output_length"], first, last


def _number(where: str, name: str, value: object) -> float:
    try:
        number = float(value) if isinstance(value, str | int | float) else float("nan")
    except (ValueError, OverflowError):
        number = float("nan")
    if isinstance(value, bool) or not isfinite(number):
        got = "nothing" if value is None else shown(value)
        raise InputError(f"{where}: {name}: expected a number, got {got}")
    return number


def _bench_rows(path: str, bench: Mapping[str, object]) -> tuple[list[tuple[float, ...]], int]:
    """Return the requests of vLLM's benchmark that succeeded, and how many did not."""
    columns: dict[str, list[object]] = {}
    for name in _BENCH:
        value = bench.get(name)
        if not isinstance(value, list) or len(value) != len(columns.get("input_lens", value)):
            raise InputError(
                f"{path}: {name}: expected one value a request (vllm bench serve --save-detailed), "
                f"got {'nothing' if value is None else shown(value)}"
            )
        columns[name] = value
    n = len(columns["input_lens"])
    starts = _starts(path, bench, n)
    errors = bench.get("errors")
    failed = errors if isinstance(errors, list) and len(errors) == n else [""] * n
    rows = []
    for i in range(n):
        if failed[i] or not columns["output_lens"][i]:
            continue
        gaps = columns["itls"][i]
        if not isinstance(gaps, list):
            raise InputError(f"{path}: itls[{i}]: expected a list of seconds, got {shown(gaps)}")
        where = f"{path}: request {i}"
        arrival = _number(where, "start_times", starts[i])
        first = arrival + _number(where, "ttfts", columns["ttfts"][i])
        record = {
            "timestamp": 1000.0 * arrival,
            "input_length": columns["input_lens"][i],
            "output_length": columns["output_lens"][i],
            "first_token_s": first,
            "last_token_s": first + sum(_number(where, "itls", gap) for gap in gaps),
        }
        rows.append(_row(where, record))
    return rows, n - len(rows)


def _starts(path: str, bench: Mapping[str, object], n: int) -> list[object]:
    """Return when the benchmark sent its requests; all at 0 where it held none of them back."""
    starts = bench.get("start_times")
    if starts is None:
        if bench.get("max_concurrency") is not None:
            raise InputError(
                f"{path}: start_times: expected a list beside max_concurrency, got none"
            )
        return [0.0] * n
    if not isinstance(starts, list) or len(starts) != n:
        raise InputError(f"{path}: start_times: expected {n} values, got {shown(starts)}")
    return starts
