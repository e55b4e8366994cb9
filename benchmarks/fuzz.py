"""Feed mutated trace files to the importers: each is a valid trace, or one line that says why not.

    python benchmarks/fuzz.py --inputs 100000 --seed 0

Every file of tests/fixtures is mutated: bytes, numbers, lines and pieces of other files. A run
stops with the input at the first outcome that is neither, and prints what the outcomes were.
"""

from __future__ import annotations

import argparse
import gzip
import random
import re
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from llmsched.errors import InputError
from llmsched.importers import Imported, TraceOptions, read
from llmsched.trace import MAX_TOKENS

FIXTURES = Path(__file__).resolve().parents[1] / "tests" / "fixtures"
LIMIT_S = 10
"""No input of these sizes may take longer."""

_VALUES = (
    *(b"NaN", b"-Infinity", b"1e999", b"1e300", b"-1", b"0", b"-0.0", b"0.5", b"7.0", b"null"),
    *(b"true", b'""', b'"abc"', b"[]", b"{}", b"9" * 25, b"9" * 5000, b"1_000", b"0x10", b" "),
    *("١٢".encode(), b"1099511627776", b"1099511627777", b"1e3", b"\xff\xfe", b"\x00"),
)
_PIECES = (
    *(
        b",",
        b'"',
        b"{",
        b"}",
        b"[",
        b"]",
        b":",
        b"\n",
        b"\r",
        b"\\",
        b"\xef\xbb\xbf",
        b"\xed\xa0\x80",
    ),
    *(b"\\ud800", b"[" * 2000, b'{"a":' * 2000, b",," * 100, b"timestamp", b'"id":"a",'),
)
_NUMBER = re.compile(rb"-?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?")


def fixtures() -> list[bytes]:
    """Return the contents of the hand-made trace files."""
    return [path.read_bytes() for path in sorted(FIXTURES.iterdir()) if path.suffix != ".md"]


def mutants(seed: int, sources: Sequence[bytes]) -> Iterator[bytes]:
    """Yield mutated files without end; the same seed gives the same ones."""
    rng = random.Random(seed)
    while True:
        data = rng.choice(sources)
        for _ in range(rng.choice((1, 1, 1, 2, 4))):
            data = _mutated(data, rng, sources)
        if rng.random() < 0.05:
            data = _cut_or_flipped(gzip.compress(data, 1, mtime=0), rng)
        yield data


def _mutated(data: bytes, rng: random.Random, sources: Sequence[bytes]) -> bytes:
    kind = rng.randrange(6)
    if kind == 0:
        return _cut_or_flipped(data, rng)
    if kind in (1, 2) and (numbers := list(_NUMBER.finditer(data))):
        number = rng.choice(numbers)
        return data[: number.start()] + rng.choice(_VALUES) + data[number.end() :]
    at = rng.randrange(len(data) + 1)
    if kind == 3:
        return data[:at] + rng.choice(_PIECES) + data[at:]
    if kind == 4:
        other = rng.choice(sources)
        start = rng.randrange(len(other) + 1)
        return data[:at] + other[start : start + rng.randrange(200)] + data[at:]
    lines = data.splitlines(keepends=True) or [b""]
    i, j = rng.randrange(len(lines)), rng.randrange(len(lines))
    if rng.random() < 0.5:
        lines[i], lines[j] = lines[j], lines[i]
    else:
        lines.insert(i, lines[j])
    return b"".join(lines)


def _cut_or_flipped(data: bytes, rng: random.Random) -> bytes:
    if not data or rng.random() < 0.3:
        return data[: rng.randrange(len(data) + 1)]
    at = rng.randrange(len(data))
    if rng.random() < 0.5:
        return data[:at] + data[at + rng.randrange(1, 9) :]
    return data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]


def outcome(path: Path, data: bytes, options: TraceOptions) -> str:
    """Import `data` by way of `path`; return "trace" or "refused".

    Raises
    ------
    AssertionError
        The trace is not valid, holds a length that is not in the data, or the message of a
        refusal names no line.
    """
    path.write_bytes(data)
    try:
        _check(read(path, options), data)
    except InputError as error:
        message = str(error)
    else:
        return "trace"
    assert re.fullmatch(rf"{re.escape(str(path))}:\d+: \S[^\n]*", message), message
    return "refused"


def _check(imported: Imported, data: bytes) -> None:
    trace = imported.trace
    assert len(trace) + sum(imported.dropped.values()) == imported.rows
    assert np.isfinite(trace.arrival).all()
    assert trace.arrival[0] == 0
    assert (np.diff(trace.arrival) >= 0).all()
    assert len(set(trace.id)) == len(trace)
    text = gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data
    plain = text.replace(b"_", b"")  # as YAML reads 1_000
    there = {float(number) for each in (text, plain) for number in _NUMBER.findall(each)}
    counted = imported.format == "trtllm-dataset"  # which counts the ids of a prompt
    for column in (trace.input_tokens, trace.output_tokens):
        assert ((column >= 1) & (column <= MAX_TOKENS)).all()
        assert counted or set(column.tolist()) <= there, "a length that is not in the file"
    if (limits := trace.max_output_tokens) is not None:
        assert set(limits.tolist()) <= {0, *there}, "a limit that is not in the file"
        assert limits.min() >= 0


def fuzz(inputs: int, seed: int) -> Counter[str]:
    """Import `inputs` mutated files, and count the outcomes; see :func:`outcome`."""
    outcomes: Counter[str] = Counter()
    signal.signal(signal.SIGALRM, _too_long)
    both = (TraceOptions(), TraceOptions(on_error="skip"))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mutant"
        stream = mutants(seed, fixtures())
        for number in range(inputs):
            data = next(stream)
            signal.alarm(LIMIT_S)
            try:
                outcomes[outcome(path, data, both[number % 2])] += 1
            except BaseException:
                print(f"input {number} of seed {seed}: {data!r}", file=sys.stderr)
                raise
            finally:
                signal.alarm(0)
    return outcomes


def _too_long(*_: object) -> None:
    raise TimeoutError(f"an input took longer than {LIMIT_S} s")


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    began = time.process_time()
    outcomes = fuzz(arguments.inputs, arguments.seed)
    cpu = time.process_time() - began
    counts = ", ".join(f"{n:,} {name}" for name, n in sorted(outcomes.items()))
    print(f"{arguments.inputs:,} mutated files: {counts}; {cpu:.0f} CPU-seconds")


if __name__ == "__main__":
    main()
