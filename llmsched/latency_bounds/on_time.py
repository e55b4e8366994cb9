"""The most requests that one machine can complete in time, where the first to come is first due.

Kise, Ibaraki and Mine (Operations Research, 1978): take requests as they come; if the latest cannot
be in time, drop the one without which those taken end soonest. With release r and work w they end
at the largest of r_l + (the work from l on); the last l that attains it heads the last busy block,
and nothing before it can make them end sooner.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def most_on_time(release: Floats, work: Floats, due: Floats, enough: int = 0) -> int:
    """Return the most requests that can be completed in time.

    Parameters
    ----------
    release, due : float64, shape (n,)
        Neither ever falls.
    enough : int
        Stop, and return one less than that, once so many cannot be reached.
    """
    block, n = _Block(len(release)), len(release)
    taken, end = n, -np.inf
    for r, w, d in zip(release.tolist(), work.tolist(), due.tolist(), strict=True):
        if r >= end:
            block.clear()
            end = r
        end += w
        block.append(r, w)
        if end > d:
            taken -= 1
            if taken < enough:
                break
            end = block.drop(end)
    return taken


class _Block:
    """The requests of the last busy block that are taken, in order.

    `ends` has each one's release less the work before it: with `total`, all work of the block, that
    is when it and those after it end at the earliest. The first has the largest.
    """

    def __init__(self, most: int) -> None:
        self.ends, self.works = np.empty(most), np.empty(most)
        self.clear()

    def clear(self) -> None:
        self.first = self.last = 0
        self.total = 0.0

    def append(self, release: float, work: float) -> None:
        self.ends[self.last] = release - self.total
        self.works[self.last] = work
        self.last += 1
        self.total += work

    def drop(self, end: float) -> float:
        """Drop the request without which the others end soonest; return that end.

        Of an only request that is before whatever comes next.
        """
        ends, works = self.ends[self.first : self.last], self.works[self.first : self.last]
        later = np.full(len(ends), -np.inf)
        np.maximum.accumulate(ends[:0:-1], out=later[-2::-1] if len(ends) > 1 else later[:0])
        later += self.total
        without = np.maximum(end - works, later)
        without[0] = later[0]
        i = int(without.argmin())
        end = float(without[i])
        self.total -= float(works[i])
        ends[i:-1] = ends[i + 1 :] + works[i]
        works[i:-1] = works[i + 1 :]
        self.last -= 1
        if self.last > self.first:
            self.first += int(ends[:-1].argmax())
        return end
