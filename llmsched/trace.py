"""A trace: the requests to serve, one row a request, as read-only NumPy arrays."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from llmsched import sessions
from llmsched.clock import nanoseconds as nanoseconds
from llmsched.clock import seconds as seconds
from llmsched.errors import InputError
from llmsched.ids import Ids
from llmsched.prefixes import Builder, Tree

_T = TypeVar("_T", bound=np.generic)

MAX_TOKENS = 2**30
"""Token counts above this are refused: sums over a million requests stay exact in int64."""

NO_CLASS = "(none)"
"""What the class of requests without one is called, in a trace where others have one."""


MOST_PRIORITY = 2**31 - 1
"""Priorities beyond this, either way, are refused."""

LEAST_TIMEOUT_S = 1e-6
"""Shorter timeouts are refused: what the engine takes for one instant is shorter still."""


@dataclass(frozen=True, eq=False)
class Trace:
    """Requests in order of arrival.

    Build one with :meth:`from_columns`, which validates; the constructor trusts its arguments.

    Attributes
    ----------
    arrival : float64, shape (n,)
        Seconds since the start of the trace, non-decreasing, first value >= 0. That of a later turn
        of a session is the earliest that is conceivable: see `delay`.
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
    session : object (str), shape (n,), or None
        The conversation that each request is a turn of, in order; "" for none. None where no
        session has two turns.
    delay : float64, shape (n,), or None
        Seconds after the end of the previous turn of its session at which each request arrives:
        time for tools, or to think. 0 where there is no previous turn; None without sessions.
    priority : int64, shape (n,), or None
        How urgent each request is: lower is sooner, as in vLLM. None where all are 0.
    hash_ids : tuple of tuples of int, or None
        Names of the blocks of each prompt, or of prompt and output (Mooncake's): equal names mean
        equal tokens, in the block and before it.
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
    session: NDArray[np.object_] | None = None
    delay: NDArray[np.float64] | None = None
    priority: NDArray[np.int64] | None = None
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
        session: Sequence[str] | NDArray[np.object_] | None = None,
        delay: ArrayLike | None = None,
        turn: ArrayLike | None = None,
        priority: ArrayLike | None = None,
        hash_ids: tuple[tuple[int, ...], ...] | None = None,
        hash_block_size: int = 0,
        name: str = "trace",
        note: str = "",
        models: tuple[str, ...] = (),
    ) -> Trace:
        """Validate columns, sort them stably by arrival and freeze them.

        Turns of a session are in order of `turn`, else of arrival; the arrivals of later ones are
        replaced by the earliest that `delay` allows, and may be NaN. See `sessions.ordered`.

        Raises
        ------
        InputError
            No rows, columns of different length, a token count outside 1..2**30 (an output limit:
            0..2**30), an arrival that is negative or not finite, a timeout below a microsecond,
            turns or delays that make no session, or an id used twice. The message names the row
            (from 0).
        """
        when = _times(name, arrival, may_lack=session is not None)
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
        urgency = None if priority is None else _priorities(name, priority)
        columns = {"input_length": prompt, "output_length": output}
        optional = {
            "class": classes,
            label: predicted,
            "max_output_tokens": limit,
            "timeout_ms": patience,
            "priority": urgency,
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
        if urgency is not None and not urgency.any():
            urgency = None
        if session is None and (delay is not None or turn is not None):
            raise InputError(f"{name}: session: expected a column beside delay_ms and turn")
        if session is None:
            order = np.argsort(when, kind="stable")
            line = sessions.Ordered(order, when[order], None, when[:0])
        else:
            line = sessions.ordered(name, when, session, delay, turn)
            order = line.rows
        return cls(
            arrival=frozen(line.arrival),
            input_tokens=frozen(prompt[order]),
            output_tokens=frozen(output[order]),
            id=ids.take(order),
            job_class=None if classes is None else frozen(classes[order]),
            predicted_output_tokens=None if predicted is None else frozen(predicted[order]),
            max_output_tokens=None if limit is None else frozen(limit[order]),
            timeout=None if patience is None else frozen(patience[order]),
            session=None if line.session is None else frozen(line.session),
            delay=None if line.session is None else frozen(line.delay),
            priority=None if urgency is None else frozen(urgency[order]),
            hash_ids=None if hash_ids is None else tuple(hash_ids[i] for i in order),
            hash_block_size=hash_block_size,
            name=name,
            note=note,
            models=models,
        )

    def take(self, rows: ArrayLike, *, name: str | None = None) -> Trace:
        """Return the sub-trace of `rows` (indices, unique, any order), sorted by arrival again.

        A turn that is left out passes its delay on to the next one of its session.
        """
        pick = np.sort(np.asarray(rows, dtype=np.int64))
        changes: dict[str, Any] = {
            label: frozen(column[pick]) for label, column in self._columns().items()
        }
        if self.priority is not None and not self.priority[pick].any():
            changes["priority"] = None
        if self.session is not None and self.delay is not None:
            names, delay = sessions.passed_on(self.session, self.delay, pick)
            changes["session"] = None if names is None else frozen(names)
            changes["delay"] = None if names is None else frozen(delay)
        part = Trace(
            id=self.id.take(pick),
            hash_ids=None if self.hash_ids is None else tuple(self.hash_ids[i] for i in pick),
            hash_block_size=self.hash_block_size,
            name=self.name if name is None else name,
            note=self.note,
            longest_of_whole=self.longest_output,
            models=self.models,
            **changes,
        )
        return part._cut_from(self, pick)

    def with_outputs(self, output_tokens: NDArray[np.int64]) -> Trace:
        """Return the same requests with other outputs, of which nobody else's prompt tells."""
        again = replace(
            self, output_tokens=frozen(output_tokens), longest_of_whole=self.longest_output
        )
        return again._cut_from(self, None)

    def _cut_from(self, whole: Trace, rows: NDArray[np.int64] | None) -> Trace:
        """Remember whose prompts these are: they share what they shared in the whole trace."""
        object.__setattr__(self, "_whole", (whole, rows))
        return self

    @cached_property
    def tree(self) -> Tree | None:
        """Who shares which tokens with whom; None where the trace does not say."""
        if (self.hash_ids is None or not self.hash_block_size) and self.session is None:
            return None
        whole, rows = self.__dict__.get("_whole", (None, None))
        if whole is None or whole.tree is None:
            return Builder().add(self)
        tree: Tree = whole.tree
        return tree if rows is None else tree.take(rows)

    def _columns(self) -> dict[str, NDArray[Any]]:
        """Return the arrays of one value a request that there are."""
        columns = {name: getattr(self, name) for name in _ARRAYS}
        return {name: column for name, column in columns.items() if column is not None}

    def retimed(self, *, speed: float = 1.0, offline: bool = False) -> Trace:
        """Return the trace on a clock that starts with its first request.

        Parameters
        ----------
        speed : float
            Arrivals and delays are divided by it.
        offline : bool
            Everybody who follows nobody arrives at 0. Delays stay: a turn's prompt holds the answer
            before it.

        Raises
        ------
        InputError
            `speed` stretches a session beyond 272 years.
        """
        since = nanoseconds(self.arrival)
        since = np.zeros_like(since) if offline else since - since[0]
        times = seconds(np.rint(since / speed).astype(np.int64))
        wait = None
        if self.delay is not None:
            times[self.previous >= 0] = np.nan
            wait = seconds(np.rint(nanoseconds(self.delay) / speed).astype(np.int64))
        columns = self._columns()
        for name in ("arrival", "input_tokens", "output_tokens"):
            del columns[name]
        again = Trace.from_columns(
            times,
            self.input_tokens,
            self.output_tokens,
            id=self.id,
            session=self.session,
            delay=wait,
            hash_ids=self.hash_ids,
            hash_block_size=self.hash_block_size,
            name=self.name,
            note=self.note,
            models=self.models,
            **columns,
        )
        return replace(again, longest_of_whole=self.longest_of_whole)

    @classmethod
    def joined(cls, parts: Sequence[Trace]) -> Trace:
        """Return the requests of several traces, none of which begins before another ends.

        Ids that are used twice give way to the numbers of the requests. Equal ids of blocks name
        equal tokens across all; of blocks of several sizes they are left out.
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

        sizes = {part.hash_block_size for part in parts if part.hash_ids is not None}
        return cls.from_columns(
            np.concatenate([part.arrival for part in parts]),
            np.concatenate([part.input_tokens for part in parts]),
            np.concatenate([part.output_tokens for part in parts]),
            id=ids if ids.repeated() is None else None,
            job_class=of("job_class", ""),
            max_output_tokens=of("max_output_tokens", 0),
            timeout=of("timeout", np.inf),
            priority=of("priority", 0),
            session=sessions.apart([part.session for part in parts], list(map(len, parts))),
            delay=of("delay", 0.0),
            hash_ids=_ids_of(parts) if len(sizes) == 1 else None,
            hash_block_size=sizes.pop() if len(sizes) == 1 else 0,
            name=parts[0].name,
            note=parts[0].note,
        )

    @cached_property
    def previous(self) -> NDArray[np.int64]:
        """The row of each request's previous turn, shape (n,); -1 where there is none."""
        if self.session is None:
            return frozen(np.full(len(self), -1))
        return frozen(sessions.previous_turns(self.session))

    @cached_property
    def is_last(self) -> NDArray[np.bool_]:
        """Which requests no other follows, shape (n,): last turns, and those in no session."""
        last = np.ones(len(self), np.bool_)
        last[self.previous[self.previous >= 0]] = False
        return frozen(last)

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
        """Hash of what a simulation depends on: all columns but classes."""
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
        if self.delay is not None:
            digest.update(b"sessions")
            digest.update(self.previous.data)
            digest.update(self.delay.data)
        if self.priority is not None:
            digest.update(b"priority")
            digest.update(self.priority.data)
        if self.hash_ids is not None and (tree := self.tree) is not None:
            digest.update(b"prefixes")
            for column in (tree.start, tree.segment, tree.ends):
                digest.update(column.data)
        if self.longest_output > self.output_tokens.max():
            digest.update(f"longest_of_whole {self.longest_output}".encode())
        return digest.hexdigest()


_ARRAYS = (
    "arrival",
    "input_tokens",
    "output_tokens",
    "job_class",
    "predicted_output_tokens",
    "max_output_tokens",
    "timeout",
    "priority",
)


def _ids_of(parts: Sequence[Trace]) -> tuple[tuple[int, ...], ...]:
    """Return the block ids of all requests, none of those of a trace that has no ids."""
    return tuple(
        own
        for part in parts
        for own in (((),) * len(part) if part.hash_ids is None else part.hash_ids)
    )


def _times(name: str, values: ArrayLike, may_lack: bool = False) -> NDArray[np.float64]:
    column = np.asarray(values, dtype=np.float64)
    if column.ndim != 1:
        raise InputError(f"{name}: timestamp: expected one dimension, got shape {column.shape}")
    bad = ~(np.isfinite(column) & (column >= 0))
    if may_lack:
        bad &= ~np.isnan(column)
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


def _priorities(name: str, values: ArrayLike) -> NDArray[np.int64]:
    column = np.asarray(values)
    whole = column.dtype.kind in "iu" or (
        column.dtype.kind == "f" and bool((column == np.floor(column)).all())
    )
    if not whole or not (np.abs(column) <= MOST_PRIORITY).all():
        raise InputError(
            f"{name}: priority: expected integers in -{MOST_PRIORITY}..{MOST_PRIORITY}"
        )
    return column.astype(np.int64)


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
