"""A trace: the requests to serve, one row a request, as read-only NumPy arrays."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from llmsched.errors import InputError
from llmsched.ids import Ids

_T = TypeVar("_T", bound=np.generic)

MAX_TOKENS = 2**30
"""Token counts above this are refused: sums over a million requests stay exact in int64."""

NO_CLASS = "(none)"
"""What the class of requests without one is called, in a trace where others have one."""


LEAST_TIMEOUT_S = 1e-6
"""Shorter timeouts are refused: what the engine takes for one instant is shorter still."""


@dataclass(frozen=True, eq=False)
class Trace:
    """Requests in order of arrival.

    Build one with :meth:`from_columns`, which validates; the constructor trusts its arguments.

    Attributes
    ----------
    arrival : float64, shape (n,)
        Seconds since the start of the trace, non-decreasing, first value >= 0.
    input_tokens, output_tokens : int64, shape (n,)
        Prompt and generated tokens, each >= 1.
    id : Ids
        Unique names of the requests; ``id[i]`` is a str.
    job_class : object (str), shape (n,), or None
        Job class of each request (the key ``class`` of the file formats).
    predicted_output_tokens : int64, shape (n,), or None
        Predicted output lengths that came with the trace, each >= 1.
    max_output_tokens : int64, shape (n,), or None
        Output limits that clients declared, 0 where none is declared; a longer output is cut there.
    timeout : float64, shape (n,), or None
        Seconds after its arrival at which each client gives up; infinite where it does not.
    hash_ids : tuple of tuples of int, or None
        Prefix-block hashes (Mooncake); carried through conversions, not used by the engine.
    hash_block_size : int
        Tokens of a block that an id of `hash_ids` names; 0 where nobody says.
    name : str
        Where the trace came from, for messages and records.
    note : str
        Provenance in one line: measured, reconstructed, synthetic.
    longest_of_whole : int
        Greatest output of the trace that this is a part of; 0 if it is whole.
    models : tuple of str
        Models that the file says served the requests, or are to; empty where it does not say.
    """

    arrival: NDArray[np.float64]
    input_tokens: NDArray[np.int64]
    output_tokens: NDArray[np.int64]
    id: Ids
    job_class: NDArray[np.object_] | None = None
    predicted_output_tokens: NDArray[np.int64] | None = None
    max_output_tokens: NDArray[np.int64] | None = None
    timeout: NDArray[np.float64] | None = None
    hash_ids: tuple[tuple[int, ...], ...] | None = None
    hash_block_size: int = 0
    name: str = field(default="trace")
    note: str = ""
    longest_of_whole: int = 0
    models: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.arrival)

    @classmethod
    def from_columns(
        cls,
        arrival: ArrayLike,
        input_tokens: ArrayLike,
        output_tokens: ArrayLike,
        *,
        id: Sequence[str] | None = None,
        job_class: Sequence[str] | NDArray[np.object_] | None = None,
        predicted_output_tokens: ArrayLike | None = None,
        max_output_tokens: ArrayLike | None = None,
        timeout: ArrayLike | None = None,
        hash_ids: tuple[tuple[int, ...], ...] | None = None,
        hash_block_size: int = 0,
        name: str = "trace",
        note: str = "",
        models: tuple[str, ...] = (),
    ) -> Trace:
        """Validate columns, sort them stably by arrival and freeze them.

        Raises
        ------
        InputError
            No rows, columns of different length, a token count outside 1..2**30 (an output limit:
            0..2**30), an arrival that is negative or not finite, a timeout below a microsecond, or
            an id used twice. The message names the row (from 0).
        """
        when = _times(name, arrival)
        n = len(when)
        if n == 0:
            raise InputError(f"{name}: the trace has no requests")
        ids = Ids(range(n)) if id is None else id if isinstance(id, Ids) else Ids.of(id)
        classes = None if job_class is None else np.array(job_class, dtype=object)
        prompt = token_counts(name, "input_length", input_tokens)
        output = token_counts(name, "output_length", output_tokens)
        label = "predicted_output_length"
        predicted = (
            None
            if predicted_output_tokens is None
            else token_counts(name, label, predicted_output_tokens)
        )
        limit = (
            None
            if max_output_tokens is None
            else token_counts(name, "max_output_tokens", max_output_tokens, least=0)
        )
        patience = None if timeout is None else _timeouts(name, timeout)
        columns = {"input_length": prompt, "output_length": output}
        optional = {
            "class": classes,
            label: predicted,
            "max_output_tokens": limit,
            "timeout_ms": patience,
        }
        for field_, column in {**columns, **optional}.items():
            if column is not None and column.shape != (n,):
                raise InputError(f"{name}: {field_}: expected {n} values, got shape {column.shape}")
        for field_, listed in {"id": ids, "hash_ids": hash_ids}.items():
            if listed is not None and len(listed) != n:
                raise InputError(f"{name}: {field_}: expected {n} values, got {len(listed)}")
        if (twice := ids.repeated()) is not None:
            raise InputError(f"{name}: id: {twice!r} is used twice")
        if limit is not None and not limit.any():
            limit = None
        if patience is not None and not np.isfinite(patience).any():
            patience = None
        order = np.argsort(when, kind="stable")
        return cls(
            arrival=frozen(when[order]),
            input_tokens=frozen(prompt[order]),
            output_tokens=frozen(output[order]),
            id=ids.take(order),
            job_class=None if classes is None else frozen(classes[order]),
            predicted_output_tokens=None if predicted is None else frozen(predicted[order]),
            max_output_tokens=None if limit is None else frozen(limit[order]),
            timeout=None if patience is None else frozen(patience[order]),
            hash_ids=None if hash_ids is None else tuple(hash_ids[i] for i in order),
            hash_block_size=hash_block_size,
            name=name,
            note=note,
            models=models,
        )

    def take(self, rows: ArrayLike, *, name: str | None = None) -> Trace:
        """Return the sub-trace of `rows` (indices, unique, any order), sorted by arrival again."""
        pick = np.sort(np.asarray(rows, dtype=np.int64))

        def of(column: NDArray[_T]) -> NDArray[_T]:
            return frozen(column[pick])

        return Trace(
            arrival=of(self.arrival),
            input_tokens=of(self.input_tokens),
            output_tokens=of(self.output_tokens),
            id=self.id.take(pick),
            job_class=None if self.job_class is None else of(self.job_class),
            predicted_output_tokens=None
            if self.predicted_output_tokens is None
            else of(self.predicted_output_tokens),
            max_output_tokens=None
            if self.max_output_tokens is None
            else of(self.max_output_tokens),
            timeout=None if self.timeout is None else of(self.timeout),
            hash_ids=None if self.hash_ids is None else tuple(self.hash_ids[i] for i in pick),
            hash_block_size=self.hash_block_size,
            name=self.name if name is None else name,
            note=self.note,
            longest_of_whole=self.longest_output,
            models=self.models,
        )

    @classmethod
    def joined(cls, parts: Sequence[Trace]) -> Trace:
        """Return the requests of several traces, none of which begins before another ends.

        Ids that are used twice give way to the numbers of the requests.
        """
        ids = Ids.joined([part.id for part in parts])

        def of(name: str, missing: object) -> NDArray[Any] | None:
            columns = [getattr(part, name) for part in parts]
            if all(column is None for column in columns):
                return None
            filled = [
                np.full(len(part), missing) if column is None else column
                for part, column in zip(parts, columns, strict=True)
            ]
            return np.concatenate(filled)

        return cls.from_columns(
            np.concatenate([part.arrival for part in parts]),
            np.concatenate([part.input_tokens for part in parts]),
            np.concatenate([part.output_tokens for part in parts]),
            id=ids if ids.repeated() is None else None,
            job_class=of("job_class", ""),
            max_output_tokens=of("max_output_tokens", 0),
            timeout=of("timeout", np.inf),
            name=parts[0].name,
            note=parts[0].note,
        )

    @property
    def longest_output(self) -> int:
        """Greatest output of the whole trace: what an operator who knows it would allow."""
        return max(self.longest_of_whole, int(self.output_tokens.max(initial=0)))

    @cached_property
    def classes(self) -> tuple[tuple[str, ...], NDArray[np.int32]]:
        """The names of the job classes, in order, and the place of each request's among them.

        None where the trace has no classes; a request without one is in `NO_CLASS`.
        """
        if self.job_class is None:
            return (), np.zeros(0, np.int32)
        places: dict[str, int] = {}
        met = [places.setdefault(name or NO_CLASS, len(places)) for name in self.job_class.tolist()]
        names = sorted(places)
        rank = np.empty(len(names), np.int32)
        rank[[places[name] for name in names]] = np.arange(len(names))
        return tuple(names), rank[np.array(met, np.int32)]

    @cached_property
    def sha256(self) -> str:
        """Hash of what a simulation depends on: all columns but classes and prefix hashes."""
        digest = hashlib.sha256()
        for column in (self.arrival, self.input_tokens, self.output_tokens):
            digest.update(column.data)
        between = ""
        for names in self.id.chunks():
            digest.update((between + "\n".join(names)).encode())
            between = "\n"
        if self.predicted_output_tokens is not None:
            digest.update(self.predicted_output_tokens.data)
        if self.max_output_tokens is not None:
            digest.update(b"max_output_tokens")
            digest.update(self.max_output_tokens.data)
        if self.timeout is not None:
            digest.update(b"timeout")
            digest.update(self.timeout.data)
        if self.longest_output > self.output_tokens.max():
            digest.update(f"longest_of_whole {self.longest_output}".encode())
        return digest.hexdigest()


def seconds(nanoseconds: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return whole nanoseconds as seconds; :func:`nanoseconds` is the inverse.

    Every trace read from a file or generated has arrivals made here. They are whole nanoseconds,
    beyond 13 days microseconds and beyond 35 years milliseconds: few enough digits that a float64
    in any unit, written as a decimal and read again, gives the same arrival.
    """
    if nanoseconds.max(initial=0) < _FINE:
        return nanoseconds / 1e9  # the same, without the columns that a long trace has no room for
    tick = _tick(nanoseconds)
    return np.rint(nanoseconds / tick) / (10**9 / tick)


def nanoseconds(arrival: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return arrivals in seconds as whole nanoseconds, rounded as :func:`seconds` says."""
    tick = _tick(arrival * 1e9)
    return np.rint(arrival * (10**9 / tick)).astype(np.int64) * tick


_FINE = 2**50
"""Nanoseconds up to which each is a step of the grid: 13 days."""


def _tick(nanoseconds: NDArray[np.int64] | NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the nanoseconds in one step of the time grid: at most 2**50 steps from 0."""
    return np.where(nanoseconds < _FINE, 1, np.where(nanoseconds < _FINE * 10**3, 10**3, 10**6))


def _times(name: str, values: ArrayLike) -> NDArray[np.float64]:
    column = np.asarray(values, dtype=np.float64)
    if column.ndim != 1:
        raise InputError(f"{name}: timestamp: expected one dimension, got shape {column.shape}")
    bad = ~(np.isfinite(column) & (column >= 0))
    if bad.any():
        row = int(bad.argmax())
        raise InputError(
            f"{name}: row {row}: timestamp: expected a finite time >= 0, got {column[row]}"
        )
    return column


def _timeouts(name: str, values: ArrayLike) -> NDArray[np.float64]:
    column = np.asarray(values, dtype=np.float64)
    bad = ~(column >= LEAST_TIMEOUT_S)
    if bad.any():
        row = int(bad.argmax())
        expected = f"at least {1e3 * LEAST_TIMEOUT_S:g} ms"
        raise InputError(
            f"{name}: row {row}: timeout_ms: expected {expected}, got {1e3 * column.flat[row]:g}"
        )
    return column


def token_counts(name: str, field: str, values: ArrayLike, *, least: int = 1) -> NDArray[np.int64]:
    """Return `values` as integers; unlike a cast, which cuts 5.5 to 5, refuse what is none.

    Raises
    ------
    InputError
        A value is not a whole number in `least`..2**30; the message names the row (from 0).
    """
    column = np.asarray(values)
    bad = np.full(column.shape, True)
    if column.dtype.kind in "iuf":
        bad = ~((column >= least) & (column <= MAX_TOKENS))
    if column.dtype.kind == "f":
        bad |= column != np.floor(column)
    if bad.any():
        where = tuple(int(i[0]) for i in np.nonzero(bad))
        row = where[0] if where else 0
        raise InputError(
            f"{name}: row {row}: {field}: "
            f"expected an integer in {least}..{MAX_TOKENS}, got {column[where]}"
        )
    return column.astype(np.int64)


def frozen(column: NDArray[_T]) -> NDArray[_T]:
    """Return a column that nobody can write: the same array where its values are side by side."""
    column = np.ascontiguousarray(column)
    column.flags.writeable = False
    return column
