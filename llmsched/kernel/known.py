"""The requests that a policy may know of: those that have arrived, in columns that grow."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from llmsched.columns import floats, ints

_KINDS = (np.float64, np.int64, np.int64, np.int64)


class Known:
    """Columns of the requests so far, read only; the engine's own are others.

    What has not arrived is not in them, nor behind them in memory.

    Parameters
    ----------
    arrival : array_like of float, shape (n,)
        Seconds.
    input_tokens, predicted_output_tokens, max_output_tokens : array_like of int, shape (n,)
    """

    def __init__(
        self,
        arrival: ArrayLike,
        input_tokens: ArrayLike,
        predicted_output_tokens: ArrayLike,
        max_output_tokens: ArrayLike,
        labels: list[str] | None = None,
    ) -> None:
        given = (arrival, input_tokens, predicted_output_tokens, max_output_tokens)
        columns = [np.array(c, dtype=kind) for c, kind in zip(given, _KINDS, strict=True)]
        self.count = len(columns[0])
        self.labels: list[str] = [] if labels is None else list(labels)
        self._keep(columns)

    def __len__(self) -> int:
        return self.count

    def append(self, arrival: float, prompt: int, predicted: int, limit: int) -> None:
        """Add a request that has arrived."""
        at = self.count
        if at == self.room:
            self._keep([np.concatenate((c, np.zeros(at + 8, c.dtype))) for c in self._columns])
        self.arrivals[at] = arrival
        self.prompts[at] = prompt
        self.predicted[at] = predicted
        self.limits[at] = limit
        self.count = at + 1

    def _keep(self, columns: list[NDArray[Any]]) -> None:
        self.room = len(columns[0])
        self._columns = columns
        self.arrivals = floats(columns[0])
        self.prompts, self.predicted, self.limits = (ints(c) for c in columns[1:])
        # From a read-only buffer: nobody can make such an array writable again.
        self._shown = [
            np.frombuffer(c.data.toreadonly(), dtype=c.dtype) if len(c) else c for c in columns
        ]

    def column(self, number: int) -> NDArray[Any]:
        """Return a column by its number, as long as there are requests."""
        shown: NDArray[Any] = self._shown[number][: self.count]
        return shown

    @property
    def job_class(self) -> tuple[str, ...]:
        """The class of each request; empty where the trace has none."""
        return tuple(self.labels)

    @property
    def arrival(self) -> NDArray[np.float64]:
        """Seconds, rising; 0 for those known to the offline phase."""
        return self.column(0)

    @property
    def input_tokens(self) -> NDArray[np.int64]:
        """Prompt tokens."""
        return self.column(1)

    @property
    def predicted_output_tokens(self) -> NDArray[np.int64]:
        """Predicted output tokens; the truth is nobody's to know."""
        return self.column(2)

    @property
    def max_output_tokens(self) -> NDArray[np.int64]:
        """Most output a request can get: its declared limit, or what the engine sets for it."""
        return self.column(3)
