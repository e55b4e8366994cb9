"""Exact percentiles of far more values than there is room to sort.

Pieces of them are looked at one by one, twice. The first time some are kept, spread evenly: their
percentiles say about where those of the whole lie. The second time all that lies near them is kept,
and what lies below is counted. Few values remain, and these are put in order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import ceil, floor, fsum, inf
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from llmsched.distribution import Distribution, Ramps, interpolated

MOST = 2**17
"""Samples and ramps that are put in order at once."""

_NEAR = 0.75
"""Percentage points on either side of a percentile in which it is sought first."""


@dataclass(frozen=True, eq=False)
class Piece:
    """Samples with counts, and ramps, in any order.

    Attributes
    ----------
    values : float64, shape (n,)
        None is NaN.
    counts : int64, shape (n,)
        How often each occurs, > 0.
    ramps : Ramps
    """

    values: NDArray[np.float64]
    counts: NDArray[np.int64]
    ramps: Ramps

    def __len__(self) -> int:
        return len(self.values) + len(self.ramps.first)

    @property
    def count(self) -> int:
        """How many values it stands for."""
        return int(self.counts.sum()) + int(self.ramps.counts.sum())

    @property
    def total(self) -> float:
        """The sum of all values."""
        return float((self.values * self.counts).sum()) + self.ramps.total

    def every(self, stride: int) -> Piece:
        """Return one in so many samples, and ramps."""
        some = slice(None, None, stride)
        return Piece(self.values[some].copy(), self.counts[some].copy(), self.ramps.take(some))

    def near(self, low: float, high: float) -> tuple[int, Piece]:
        """Return what may lie between two values, both included, and how many values lie below.

        Ramps are kept whole, with what they have outside. Equal samples become one.
        """
        ramps = self.ramps
        starts, ends = ramps.value(np.ones_like(ramps.length)), ramps.value(ramps.length)
        below = int(self.counts[self.values < low].sum()) + int(ramps.counts[ends < low].sum())
        kept = (self.values >= low) & (self.values <= high)
        values, which = np.unique(self.values[kept], return_inverse=True)
        counts = np.zeros(len(values), np.int64)
        np.add.at(counts, which, self.counts[kept])
        return below, Piece(values, counts, ramps.take((ends >= low) & (starts <= high)))

    @classmethod
    def joined(cls, several: Sequence[Piece]) -> Piece:
        """Return several, whose ramps have one scale, as one."""
        return cls(
            np.concatenate([piece.values for piece in several]),
            np.concatenate([piece.counts for piece in several]),
            Ramps.joined([piece.ramps for piece in several]),
        )

    def in_order(self) -> Distribution:
        """Return it sorted."""
        return Distribution(self.values, self.counts, self.ramps)


Pieces: TypeAlias = Callable[[], Iterable[Piece]]
"""What yields the same pieces whenever it is called."""


class Spread(NamedTuple):
    """The mean of many values, and percentiles: NaN if there are none."""

    mean: float
    percentiles: list[float]


def spread(pieces: Pieces, percents: Sequence[float], most: int = MOST) -> Spread:
    """Return the mean, and percentiles as `numpy.percentile` has them of all values written out.

    Percentiles are exact; the mean is that of sums of pieces where there are more than `most`.
    """
    count, totals, stride, some = 0, [], 1, [_NONE]
    size = 0
    for piece in pieces():
        count += piece.count
        totals.append(piece.total)
        some.append(piece.every(stride))
        size += len(some[-1])
        if size > most:
            stride *= 2
            some = [Piece.joined(some).every(2)]
            size = len(some[0])
    thin = Piece.joined(some).in_order()
    if stride == 1:
        return Spread(thin.mean, [thin.percentile(percent) for percent in percents])
    return Spread(fsum(totals) / count, _sought(pieces, percents, count, thin, _NEAR))


_NONE = Piece(np.zeros(0), np.zeros(0, np.int64), Ramps.none())


def _sought(
    pieces: Pieces, percents: Sequence[float], count: int, thin: Distribution, near: float
) -> list[float]:
    """Return percentiles of `count` values, each sought so near to that of some of them."""
    ranges = [_between(thin, percent, near) for percent in percents]
    below = [0] * len(ranges)
    kept = [[_NONE] for _ in ranges]
    for piece in pieces():
        for number, (low, high) in enumerate(ranges):
            under, inside = piece.near(low, high)
            below[number] += under
            if len(inside):
                kept[number].append(inside)
    found = []
    for percent, (low, high), under, several in zip(percents, ranges, below, kept, strict=True):
        left = Piece.joined(several).in_order()
        several.clear()
        position = percent / 100 * (count - 1)
        places = [floor(position) - under, ceil(position) - under]
        # A place of what is left is the same value's place in the whole, if it lies in between.
        ends = [left.at(place) for place in places if 0 <= place < left.count]
        if len(ends) == 2 and low <= ends[0] <= ends[1] <= high:
            found.append(interpolated(ends[0], ends[1], position))
        else:
            found += _sought(pieces, [percent], count, thin, 8 * near)
    return found


def _between(thin: Distribution, percent: float, near: float) -> tuple[float, float]:
    low, high = percent - near, percent + near
    return (
        thin.percentile(low) if low > 0 else -inf,
        thin.percentile(high) if high < 100 else inf,
    )
