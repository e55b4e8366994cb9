"""Requests in groups: by class, or by the length of prompt or answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from llmsched.errors import InputError
from llmsched.trace import Trace

MOST = 1000
"""Groups that a result may have: a row each."""

_FORMS = "class, input, output, or a length with edges like input:512,4096"


@dataclass(frozen=True, eq=False)
class Groups:
    """The groups that have requests, in order, and the one of each request.

    `of` has shape (n,) and holds places in `names`.
    """

    names: tuple[str, ...]
    of: NDArray[np.int32]

    def rows(self, counted: NDArray[np.int64] | None) -> list[tuple[str, NDArray[np.int64]]]:
        """Return the requests of each group that count, rising; groups without any are left out."""
        of = self.of if counted is None else self.of[counted]
        order = np.argsort(of, kind="stable")
        ends = np.searchsorted(of[order], np.arange(len(self.names) + 1))
        picked = order if counted is None else counted[order]
        return [
            (name, picked[start:end])
            for name, (start, end) in zip(self.names, pairwise(ends.tolist()), strict=True)
            if end > start
        ]


def check_by(by: str) -> None:
    """Refuse what groups nothing.

    Raises
    ------
    InputError
        It is none of the forms that `grouped` takes.
    """
    _parsed(by)


def grouped(trace: Trace, by: str) -> Groups:
    """Return the groups of a trace.

    Parameters
    ----------
    by : str
        ``class``; ``input`` or ``output``, by powers of two of the length; ``input:512,4096``, by
        edges, each the least length of its group.

    Raises
    ------
    InputError
        `by` is none of these, the trace has no classes, or too many groups.
    """
    what, edges = _parsed(by)
    if what == "class":
        groups = by_class(trace)
    else:
        column = trace.input_tokens if what == "input" else trace.output_tokens
        groups = _by_length(column, edges)
    if len(groups.names) > MOST:
        raise InputError(f"by: expected at most {MOST:,} groups, got {len(groups.names):,}")
    return groups


def by_class(trace: Trace) -> Groups:
    """Return the classes of a trace by name.

    Raises
    ------
    InputError
        It has none.
    """
    names, of = trace.classes
    if not names:
        raise InputError("by: expected a length (input, output): the trace has no classes")
    return Groups(names, of)


def _by_length(column: NDArray[np.int64], edges: Sequence[int]) -> Groups:
    longest = int(column.max())
    starts = [1, *(edge for edge in edges if edge > 1)]
    starts = starts if edges else [1 << power for power in range(longest.bit_length())]
    place = np.searchsorted(starts, column, side="right") - 1
    there, of = np.unique(place, return_inverse=True)
    ends = [start - 1 for start in starts[1:]] + [0 if edges else 2 * starts[-1] - 1]
    names = (_range(starts[i], ends[i]) for i in there.tolist())
    return Groups(tuple(names), of.astype(np.int32))


def _range(first: int, last: int) -> str:
    """Return what a group of lengths is called; `last` is 0 where there is no end."""
    if first == last:
        return str(first)
    return f"{first}-{last}" if last else f"{first}+"


def _parsed(by: str) -> tuple[str, tuple[int, ...]]:
    what, colon, rest = by.partition(":")
    texts = rest.split(",") if colon else []
    edges = tuple(int(text) for text in texts if text.isascii() and text.isdigit())
    if what not in ("class", "input", "output") or len(edges) < len(texts):
        raise InputError(f"by: expected {_FORMS}; got {by!r}")
    if (what == "class" and colon) or any(a >= b for a, b in pairwise((0, *edges))):
        raise InputError(f"by: expected {_FORMS}, rising; got {by!r}")
    return what, edges
