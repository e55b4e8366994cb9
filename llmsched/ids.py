"""Names of requests, which cost nothing where they only count the rows of a file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, pairwise
from typing import Any, TypeAlias, cast, overload

import numpy as np
from numpy.typing import NDArray

_Names: TypeAlias = "range | NDArray[Any]"
_Texts = np.dtypes.StringDType()
_CHUNK = 2**16


class Ids(Sequence[str]):
    """Read-only texts, one a request.

    Texts that are whole numbers in plain decimal are kept as numbers, and as a range if they
    count; others as UTF-8 without an object each.

    Parameters
    ----------
    names : range, or array of int64 or of NumPy's strings
        Trusted, not copied; :meth:`of` takes any texts.
    """

    __slots__ = ("_names",)

    def __init__(self, names: _Names) -> None:
        self._names = names

    @classmethod
    def of(cls, texts: Iterable[str]) -> Ids:
        """Return texts in the form that takes least memory."""
        listed = list(texts)
        numbers = _numbers(listed)
        return cls(np.array(listed, dtype=_Texts) if numbers is None else numbers)

    @classmethod
    def joined(cls, parts: Sequence[Ids]) -> Ids:
        """Return all ids of several parts, one after the other."""
        names = [part._names for part in parts if len(part)]
        if not names:
            return cls(range(0))
        if all(isinstance(one, range) for one in names):
            ranges = cast("list[range]", names)
            if all(above.stop == below.start for above, below in pairwise(ranges)):
                return cls(range(ranges[0].start, ranges[-1].stop))
        arrays = [
            np.arange(one.start, one.stop) if isinstance(one, range) else one for one in names
        ]
        if any(array.dtype == _Texts for array in arrays):
            arrays = [array.astype(_Texts) for array in arrays]
        return cls(np.concatenate(arrays))

    def __len__(self) -> int:
        return len(self._names)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Ids: ...
    def __getitem__(self, index: int | slice) -> str | Ids:
        found = self._names[index]
        return Ids(cast(_Names, found)) if isinstance(index, slice) else str(found)

    def __iter__(self) -> Iterator[str]:
        return chain.from_iterable(self.chunks())

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[np.object_]:
        """Return an array of texts, as NumPy and pandas ask for one."""
        return np.array(self.tolist(), dtype=dtype or object)

    def chunks(self) -> Iterator[list[str]]:
        """Yield the texts, a few at a time."""
        for start in range(0, len(self), _CHUNK):
            part = self._names[start : start + _CHUNK]
            yield list(map(str, part if isinstance(part, range) else part.tolist()))

    def tolist(self) -> list[str]:
        """Return all texts."""
        return list(self)

    def take(self, rows: NDArray[np.int64]) -> Ids:
        """Return the ids of some rows."""
        names = self._names
        if isinstance(names, range):
            names = np.arange(names.start, names.stop)
        return Ids(names[rows])

    @property
    def counts_from_0(self) -> bool:
        """Whether the ids are "0", "1", "2" and so on."""
        names, counted = self._names, range(len(self))
        return names == counted if isinstance(names, range) else list(self) == [*map(str, counted)]

    def repeated(self) -> str | None:
        """Return the first id that stands there for the second time, if one does."""
        names = self._names
        if isinstance(names, range):
            return None
        # Equal texts have equal hashes, which are sorted in a tenth of the time and memory of a set
        # of all texts.
        keys = np.fromiter(map(hash, self), np.int64, len(self)) if names.dtype == _Texts else names
        keys = np.sort(keys)
        if (keys[1:] != keys[:-1]).all():
            return None
        seen: set[str] = set()
        for name in self:
            if name in seen:
                return name
            seen.add(name)
        return None


def _numbers(texts: list[str]) -> range | NDArray[np.int64] | None:
    """Return the numbers that texts are in plain decimal; None if one is not (01, 1e3, abc)."""
    try:
        first = int(texts[0]) if texts else 0
        counted = range(first, first + len(texts))
        if abs(first) < 2**62 and texts == list(map(str, counted)):
            return counted
        numbers = np.array(list(map(int, texts)), dtype=np.int64)
    except (ValueError, OverflowError):
        return None
    return numbers if texts == list(map(str, numbers.tolist())) else None
