"""Columns that grow while a file is read, a row at a time or a block, with no object a value."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from llmsched.ids import Ids

_T = TypeVar("_T")
_PENDING = 2**16


class Counts:
    """Whole numbers."""

    def __init__(self) -> None:
        self._values = array("q")
        self.append = self._values.append

    def __len__(self) -> int:
        return len(self._values)

    def extend(self, values: NDArray[np.int64]) -> None:
        self._values.frombytes(values.tobytes())

    def whole(self) -> NDArray[np.int64]:
        """Return the column, which cannot grow any more: the memory is shared."""
        return np.asarray(self._values)


class Times:
    """Whole numbers until one is a float: integers beyond 2**53 would lose their last digits."""

    def __init__(self) -> None:
        self._values: array[int] | array[float] = array("q")

    def __len__(self) -> int:
        return len(self._values)

    def append(self, value: float) -> None:
        if type(value) is float:
            self._to_floats()
        self._values.append(value)  # type: ignore[arg-type]  # a float only where they are

    def extend(self, values: NDArray[np.int64] | NDArray[np.float64]) -> None:
        if values.dtype == np.float64:
            self._to_floats()
        self._values.frombytes(values.astype(self._values.typecode, copy=False).tobytes())

    def whole(self) -> NDArray[np.int64] | NDArray[np.float64]:
        """Return the column, which cannot grow any more: the memory is shared."""
        return np.asarray(self._values)

    def _to_floats(self) -> None:
        if self._values.typecode == "q":
            self._values = array("d", self._values)


class Rare(Generic[_T]):
    """Values that most files do not have: until one is not `nothing`, rows are only counted."""

    def __init__(self, nothing: _T) -> None:
        self._nothing = nothing
        self._silent = 0
        self._values: list[_T] = []

    def append(self, value: _T) -> None:
        if self._values:
            self._values.append(value)
        elif value == self._nothing:
            self._silent += 1
        else:
            self.extend([value])

    def extend(self, values: Sequence[_T]) -> None:
        if not self._values and all(value == self._nothing for value in values):
            self.skip(len(values))
            return
        if not self._values:
            self._values = [self._nothing] * self._silent
        self._values.extend(values)

    def skip(self, rows: int) -> None:
        """Add rows without a value."""
        if self._values:
            self._values.extend([self._nothing] * rows)
        else:
            self._silent += rows

    def whole(self) -> list[_T]:
        """Return the column, which is empty if no row has a value."""
        return self._values


class Names:
    """Ids of rows."""

    def __init__(self) -> None:
        self._parts: list[Ids] = []
        self._pending: list[str] = []

    def append(self, name: str) -> None:
        self._pending.append(name)
        if len(self._pending) == _PENDING:
            self._flush()

    def extend(self, names: Ids) -> None:
        self._flush()
        self._parts.append(names)

    def whole(self) -> Ids:
        """Return the column."""
        self._flush()
        self._parts = [Ids.joined(self._parts)]
        return self._parts[0]

    def _flush(self) -> None:
        if self._pending:
            self._parts.append(Ids.of(self._pending))
            self._pending = []
