"""The requests that a policy may know of: those that have arrived, in columns that grow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from llmsched.columns import floats, ints

_KINDS = (np.float64, np.int64, np.int64, np.int64, np.int64)


class Known:
    """The engine's ledger of what policies know, which they see as `Seen`.

    What has not arrived is not in it, nor behind it in memory.

    Parameters
    ----------
    classes : sequence of str
        The class of each request, or nothing; only read if somebody asks, and not beyond those that
        have arrived.
    names : sequence of str
        The id of each request, likewise.
    """

    def __init__(self, classes: Any = (), names: Any = ()) -> None:
        self.count = 0
        self.classes, self.names = classes, names
        self._keep([np.zeros(0, kind) for kind in _KINDS])

    def extend(self, columns: Sequence[ArrayLike]) -> None:
        """Add requests: arrivals in seconds; prompts, predicted outputs and limits in tokens;
        priorities."""
        used = self.count
        pairs = zip(self._columns, columns, _KINDS, strict=True)
        self._keep([np.concatenate((c[:used], np.asarray(n, kind))) for c, n, kind in pairs])
        self.count = self.room

    def append(
        self, arrival: float, prompt: int, predicted: int, limit: int, priority: int = 0
    ) -> None:
        """Add a request that has arrived."""
        at = self.count
        if at == self.room:
            self._keep([np.concatenate((c, np.zeros(at + 8, c.dtype))) for c in self._columns])
        self.arrivals[at] = arrival
        self.prompts[at] = prompt
        self.predicted[at] = predicted
        self.limits[at] = limit
        self.priorities[at] = priority
        self.count = at + 1

    def has_classes(self) -> bool:
        """Whether requests have classes."""
        return bool(self.classes)

    def class_of(self, request: int) -> str:
        """Return the class of a request that has arrived."""
        if not 0 <= request < self.count:
            raise IndexError(f"expected a request that has arrived, got {request}")
        return str(self.classes[request])

    def name_of(self, request: int) -> str:
        """Return the id of a request that has arrived; its number where it has none."""
        if not 0 <= request < self.count:
            raise IndexError(f"expected a request that has arrived, got {request}")
        return str(self.names[request]) if self.names else str(request)

    def _keep(self, columns: list[NDArray[Any]]) -> None:
        self.room = len(columns[0])
        self._columns = columns
        self.arrivals = floats(columns[0])
        self.prompts, self.predicted = ints(columns[1]), ints(columns[2])
        self.limits, self.priorities = ints(columns[3]), ints(columns[4])
        self._shown = [np.asarray(_Behind(c)) for c in columns]

    def column(self, number: int) -> NDArray[Any]:
        """Return a column by its number, as long as there are requests."""
        shown: NDArray[Any] = self._shown[number][: self.count]
        return shown


class _Behind:
    """What a read-only array says is its base: it holds the memory, and does not hand it out."""

    __slots__ = ("_column",)

    def __init__(self, column: NDArray[Any]) -> None:
        self._column = column

    @property
    def __array_interface__(self) -> dict[str, Any]:
        interface = dict(self._column.__array_interface__)
        interface["data"] = (interface["data"][0], True)
        return interface


class Labels(Sequence[str]):
    """The class of each request that has arrived, read only; empty where the trace has none."""

    __slots__ = ("_known",)

    def __init__(self, known: Known) -> None:
        self._known = known

    def __len__(self) -> int:
        return self._known.count if self._known.has_classes() else 0

    def __getitem__(self, at: Any) -> Any:
        if isinstance(at, slice):
            return tuple(self[i] for i in range(*at.indices(len(self))))
        return self._known.class_of(range(len(self))[at])

    def __iter__(self) -> Iterator[str]:
        return iter(self[:])

    def __repr__(self) -> str:
        return repr(self[:])


class Seen:
    """What policies see of the ledger, which they cannot write."""

    __slots__ = ("_known",)

    def __init__(self, known: Known) -> None:
        self._known = known

    def __len__(self) -> int:
        return self._known.count

    @property
    def job_class(self) -> Labels:
        """The class of each request; empty where the trace has none."""
        return Labels(self._known)

    @property
    def arrival(self) -> NDArray[np.float64]:
        """Seconds, rising; 0 for those known to the offline phase."""
        return self._known.column(0)

    @property
    def input_tokens(self) -> NDArray[np.int64]:
        """Prompt tokens."""
        return self._known.column(1)

    @property
    def predicted_output_tokens(self) -> NDArray[np.int64]:
        """Predicted output tokens; the truth is nobody's to know."""
        return self._known.column(2)

    @property
    def max_output_tokens(self) -> NDArray[np.int64]:
        """Most output a request can get: its declared limit, or what the engine sets for it."""
        return self._known.column(3)

    @property
    def priority(self) -> NDArray[np.int64]:
        """How urgent a request is: lower is sooner; 0 where nothing is said."""
        return self._known.column(4)

    def id_of(self, request: int) -> str:
        """Return the id of a request that has arrived."""
        return self._known.name_of(request)


def ledger(seen: Seen) -> Known:
    """Return what somebody sees, for the engine to write."""
    return seen._known
