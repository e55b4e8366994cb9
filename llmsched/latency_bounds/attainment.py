"""How many requests can keep limits on their latency, at most."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llmsched.latency_bounds.isolated import Isolated
from llmsched.latency_bounds.on_time import most_on_time
from llmsched.latency_bounds.shares import Shares
from llmsched.trace import Trace

Floats = NDArray[np.float64]

_ROUNDING = 1e-9
"""A limit is kept by who misses it by that share of it, or of the clock: times are sums."""

_Queue = tuple[Floats, Floats, Floats]


@dataclass(frozen=True)
class Limits:
    """Most seconds to the first token, a further token, and to the last one."""

    ttft: float = np.inf
    tpot: float = np.inf
    e2el: float = np.inf

    def widened(self, clock: float) -> Limits:
        """Return the limits as they are kept on a clock that has come to `clock` seconds."""
        most = _ROUNDING * max(1.0, clock)
        each = (limit * (1 + _ROUNDING) + most for limit in (self.ttft, self.tpot, self.e2el))
        return Limits(*each)


@dataclass(frozen=True, eq=False)
class Attainment:
    """What limits on latency can be kept by.

    Attributes
    ----------
    free, priced : sequence of Shares
        Divisions of steps in which decodes owe nothing, and in which they do.
    """

    trace: Trace
    alone: Isolated
    free: Sequence[Shares]
    priced: Sequence[Shares]

    def most(self, limits: Limits, enough: int = 0, credits: Sequence[float] = ()) -> int:
        """Return the most requests that can keep all limits, or anything below `enough`.

        Parameters
        ----------
        credits : sequence of float, optional
            Decode work that requests with a first token may owe, for each of `priced`.
        """
        limits = limits.widened(float(self.trace.arrival[-1] + self.alone.whole.max()))
        rounds = self.trace.output_tokens - 1
        able = self.alone.first <= limits.ttft
        able &= self.alone.whole <= limits.e2el
        able &= self.alone.further <= np.where(rounds > 0, limits.tpot, np.inf) * rounds.clip(1)
        best = int(np.count_nonzero(able))
        for release, work, due in self._queues(limits, credits):
            if best < enough:
                break
            best = min(best, most_on_time(release[able], work[able], due[able], enough))
        return best

    def _queues(self, limits: Limits, credits: Sequence[float]) -> Iterator[_Queue]:
        """Yield release, work and due dates of machines that have to keep the limits as well."""
        arrival = self.trace.arrival
        if limits.ttft < np.inf:
            for each in self.free:
                yield arrival, each.prompt, arrival + limits.ttft - each.step
            for each, owed in zip(self.priced, credits, strict=False):
                yield arrival - owed, each.whole, arrival + limits.ttft - each.step
        if min(limits.e2el, limits.ttft + limits.tpot) < np.inf:
            spread = np.where(self.trace.output_tokens > 1, limits.tpot, 0.0)
            spread *= (self.trace.output_tokens - 1).clip(1)
            due = arrival + np.minimum(limits.e2el, limits.ttft + spread)
            due = np.maximum.accumulate(due)  # later dates are kept as well, and are in order
            for each in self.priced:
                yield arrival, each.whole, due - each.step
