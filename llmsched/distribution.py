"""Many values as few numbers: counted samples, and ramps of equal steps that are not written out.

Between two tokens of a decode batch lies one step, and a step lasts a little longer each round, as
its context grows. A leap over thousands of rounds is thus one ramp, and its percentiles are found
without its thousands of values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor

import numpy as np
from numpy.typing import NDArray

_NEGATIVE = -(2**63)


@dataclass(frozen=True, eq=False)
class Ramps:
    """Runs of values ``scale * (first + step * j)``, j in 1..length, each of them `weight` times.

    Attributes
    ----------
    first, step : float64, shape (runs,)
        Steps are > 0, and wide enough for neighbours to differ as floats: see `told_apart`.
    length, weight : int64, shape (runs,)
    scale : float
    """

    first: NDArray[np.float64]
    step: NDArray[np.float64]
    length: NDArray[np.int64]
    weight: NDArray[np.int64]
    scale: float = 1.0

    @property
    def counts(self) -> NDArray[np.int64]:
        """How many values each run stands for."""
        return self.weight * self.length

    @property
    def total(self) -> float:
        """The sum of all values."""
        ramp = self.first * self.length + self.step * (self.length * (self.length + 1) / 2)
        return float((self.weight * ramp).sum()) * self.scale

    def value(self, j: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the value number j of each run, by the arithmetic of one that is written out."""
        return (self.first + self.step * j) * self.scale

    def ranks(self, x: float) -> NDArray[np.int64]:
        """Return how many values of each run are no greater than `x`."""
        near = np.floor((x / self.scale - self.first) / self.step)
        j = np.clip(near, 0, self.length).astype(np.int64)
        j += (j < self.length) & (self.value(j + 1) <= x)  # the division may be one off
        j -= (j > 0) & (self.value(j) > x)
        return self.weight * j

    @classmethod
    def joined(cls, several: Sequence[Ramps]) -> Ramps:
        """Return the runs of several, which have one scale, as far as there are any."""
        columns = zip(*((r.first, r.step, r.length, r.weight) for r in several), strict=True)
        first, step, length, weight = (np.concatenate(column) for column in columns)
        scale = next((r.scale for r in several if len(r.first)), 1.0)
        return cls(first, step, length, weight, scale)

    @classmethod
    def none(cls, scale: float = 1.0) -> Ramps:
        """Return no runs."""
        nothing = np.zeros(0, np.int64)
        return cls(np.zeros(0), np.zeros(0), nothing, nothing, scale)

    def take(self, which: NDArray[np.bool_] | slice) -> Ramps:
        """Return some of the runs."""
        return Ramps(
            self.first[which],
            self.step[which],
            self.length[which],
            self.weight[which],
            self.scale,
        )


def told_apart(
    first: NDArray[np.float64], step: NDArray[np.float64], length: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Return which ramps have steps far above the rounding of their values."""
    return step > 16 * np.spacing(first + step * length)


class Distribution:
    """Samples with counts, and ramps, in order.

    Parameters
    ----------
    values : float64, shape (n,)
        NaN is no sample. Without counts, they are put in order where they lie.
    counts : int64, shape (n,), optional
        How often each occurs; once by default.
    ramps : Ramps, optional
    """

    def __init__(
        self,
        values: NDArray[np.float64],
        counts: NDArray[np.int64] | None = None,
        ramps: Ramps | None = None,
    ) -> None:
        self._ranks: NDArray[np.int64] | None = None
        if counts is None:
            values.sort()
            self._values = values[: len(values) - np.count_nonzero(np.isnan(values))]
            written = len(self._values)
            self._total = float(self._values.sum())
        else:
            known = ~np.isnan(values) & (counts > 0)
            if not known.all():
                values, counts = values[known], counts[known]
            order = np.argsort(values, kind="stable")
            self._values, self._ranks = values[order], counts[order]
            del values, counts, order, known  # of a long trace, as much memory as all the rest
            self._total = float((self._values * self._ranks).sum())
            np.cumsum(self._ranks, out=self._ranks)
            written = int(self._ranks[-1]) if len(self._ranks) else 0
        self._ramps = ramps if ramps is not None and len(ramps.first) else None
        self.count = written + (int(self._ramps.counts.sum()) if self._ramps else 0)

    @property
    def mean(self) -> float:
        """The mean of all values; NaN if there are none."""
        total = self._total + (self._ramps.total if self._ramps else 0.0)
        return total / self.count if self.count else float("nan")

    def percentile(self, percent: float) -> float:
        """Interpolate between order statistics, as `numpy.percentile` of the values written out."""
        if not self.count:
            return float("nan")
        position = percent / 100 * (self.count - 1)
        return interpolated(self.at(floor(position)), self.at(ceil(position)), position)

    def at(self, place: int) -> float:
        """Return the value at a place from 0 of the sorted whole.

        With ramps it is the least float that more than `place` values do not exceed: bisected over
        the floats themselves, so that it is one of the values, to the last bit. Runs that lie on
        one side of what is left are counted once and then left out.
        """
        if self._ramps is None:
            if self._ranks is not None:
                place = int(np.searchsorted(self._ranks, place, side="right"))
            return float(self._values[place])
        ramps, below = self._ramps, 0
        low, high = _ordinal(self._least), _ordinal(self._greatest)
        while low < high:
            middle = (low + high) // 2
            x = _float(middle)
            ranks = ramps.ranks(x)
            if below + self._written(x) + int(ranks.sum()) > place:
                high, left = middle, ranks > 0
            else:
                low, left = middle + 1, ranks < ramps.counts
                below += int(ranks[~left].sum())
            ramps = ramps.take(left)
        return _float(low)

    def _written(self, x: float) -> int:
        """Return how many of the samples are no greater than `x`."""
        after = int(np.searchsorted(self._values, x, side="right"))
        return after if self._ranks is None or not after else int(self._ranks[after - 1])

    @property
    def _least(self) -> float:
        assert self._ramps is not None
        ends = self._ramps.value(np.ones_like(self._ramps.length))
        return float(min([ends.min(), *self._values[:1]]))

    @property
    def _greatest(self) -> float:
        assert self._ramps is not None
        return float(max([self._ramps.value(self._ramps.length).max(), *self._values[-1:]]))


def interpolated(low: float, high: float, position: float) -> float:
    """Return the value at a position between two neighbouring places."""
    return low + (high - low) * (position - floor(position))


def _ordinal(x: float) -> int:
    """Return an integer for a float, so that both have one order, without gaps."""
    bits = int(np.float64(x + 0.0).view(np.int64))  # plus 0: there is but one zero
    return bits if bits >= 0 else _NEGATIVE - bits


def _float(ordinal: int) -> float:
    bits = ordinal if ordinal >= 0 else _NEGATIVE - ordinal
    return float(np.int64(bits).view(np.float64))
