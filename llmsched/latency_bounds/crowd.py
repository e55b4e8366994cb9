"""Mean end-to-end latency from how many requests are there: sum of latencies = integral of N(t).

Price the work: theta a second of computing prompts and of reading context, alpha a token decoded.
At a time with N requests a step earns value at some rate, and N is at least the decodes in it and
at least L(t), the requests that cannot have left yet. So N exceeds the rate less excess(L), where
excess is the largest (rate less max(L, decodes)) that any step has; integrated,

    sum of latencies >= value of what is finished by T - integral of excess(L(t)) up to T.

Who is not finished by T is left out, with its own part of L, and has been there since it came.
Any theta, alpha and T give a bound; the best of many is taken.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llmsched.latency_bounds.isolated import Isolated, over_decodes
from llmsched.latency_bounds.queue import completions
from llmsched.latency_bounds.shares import Shares
from llmsched.latency_bounds.steps import Steps
from llmsched.spared import Spared
from llmsched.trace import Trace

Floats = NDArray[np.float64]

_KNOTS = 256
"""Token counts at which steps are looked at, where their price has a knot at nearly all."""

_THETAS = 32
_FINER = 4
"""Times that a search is narrowed to the neighbours of the best."""


def crowd(
    trace: Trace, steps: Steps, alone: Isolated, shares: Shares, longest: int, spared: Spared
) -> float:
    """Return the least sum of all end-to-end latencies that the argument above yields."""
    if steps.shortest <= 0:
        return 0.0
    actions = _Actions.of(steps)
    ends = completions(trace.arrival, shares.whole) + shares.step
    presences = (
        _Presence.of(trace.arrival, trace.arrival + alone.whole),
        _Presence.with_queue(trace, alone, shares, ends),
    )
    first, last = float(trace.arrival[0]), float(trace.arrival[-1])
    # A decode's price against that of a second: from next to nothing to a round of its own.
    cheap, dear = np.log([steps.shortest / steps.slots / 4, float(steps.rounds[0])])

    def value(ratio: float, share: float) -> float:
        """Return the bound at a price, and up to a share of the arrivals and of what follows."""
        price = float(np.exp(cheap + ratio * (dear - cheap)))
        until = first + min(1.0, share) * (last - first)
        until += max(0.0, share - 1.0) * max(0.0, float(ends[-1]) - last)
        rates = actions.rates(price)
        worth = _worth(trace, steps, actions.per_token, price, longest, spared)
        return max(each.value(trace.arrival, worth, rates, until) for each in presences)

    return _climb(value, np.linspace(0, 1, 7), np.linspace(0.25, 2, 8))


def _climb(value: Callable[[float, float], float], *grid: Floats) -> float:
    """Return the most that a function of two numbers reaches, on a grid and then on finer ones."""
    found = {(float(x), float(y)): value(float(x), float(y)) for x in grid[0] for y in grid[1]}
    width = [float(axis[1] - axis[0]) for axis in grid]
    for _ in range(_FINER):
        width = [each / 2 for each in width]
        x, y = max(found, key=lambda at: found[at])
        for at in ((x - width[0], y), (x + width[0], y), (x, y - width[1]), (x, y + width[1])):
            found.setdefault(at, value(*at))
    return max(0.0, *found.values())


def _worth(
    trace: Trace, steps: Steps, per_token: float, ratio: float, longest: int, spared: Spared
) -> Floats:
    """Return each request's value at theta = 1.

    A decode is worth no more than computing its context again, which yields a token too.
    """
    tokens = np.arange(longest + 1.0)
    coefficient = steps.square - steps.cross / 2
    squares = tokens if coefficient >= 0 else tokens * steps.chunk
    prefill = per_token * tokens + steps.cross / 2 * tokens**2 + coefficient * squares
    np.maximum(prefill, 0.0, out=prefill)
    token = ratio + steps.kv * tokens
    found = np.zeros(longest, np.int64)
    if spared.block_size:  # a sum of prices of single tokens, for no chunk has a cheaper square
        found = np.arange(longest) // spared.block_size * spared.block_size
    np.minimum(token[:-1], prefill[1:] - prefill[found], out=token[:-1])
    owned: Floats = prefill[spared.first + spared.own] - prefill[spared.first]
    return owned + over_decodes(trace, token)


@dataclass(frozen=True, eq=False)
class _Actions:
    """Steps, as the prompt work and the decodes that they do in a second.

    Attributes
    ----------
    per_token : float
        Least seconds of a prompt token, whatever the step.
    prompt, decode : float64, shape (knots + 1, slots)
        Least seconds that prompt tokens need, and decodes, over the step's seconds, for each number
        of requests in it: all of them decode, or one does not, at some token counts.
    """

    per_token: float
    prompt: Floats
    decode: Floats

    @classmethod
    def of(cls, steps: Steps) -> _Actions:
        """Return the steps that can be best at some prices; a fraction of lines is at its knots."""
        per_token = float((steps.prefill / steps.tokens).min())
        n = np.arange(1.0, steps.slots + 1)
        # Company may shorten a step where a table falls.
        least = np.minimum.accumulate(steps.prefill[::-1])[::-1]
        rounds = np.minimum.accumulate(steps.rounds[::-1])[::-1]
        if not steps.mixed:
            return cls(per_token, np.zeros((1, len(n))), (n / rounds)[None])
        together = least[np.minimum(n.astype(np.int64), len(least) - 1)] + steps.per_decode * n
        rounds = np.minimum(rounds, together)
        low, high = _knots(steps.tokens, least)
        beside = n - 1
        seconds = least[low][:, None] + steps.per_decode * beside
        prompt = steps.tokens[high][:, None] - beside
        share = np.where(prompt >= 1, 1 / seconds, 0.0)
        return cls(
            per_token,
            np.vstack([np.zeros(len(n)), per_token * prompt * share]),
            np.vstack([n / rounds, beside * share]),
        )

    def rates(self, ratio: float) -> Floats:
        """Return the most value a second with 1, 2, … requests, at theta = 1; shape (slots,)."""
        best: Floats = (self.prompt + ratio * self.decode).max(axis=0)
        best[0] = max(best[0], 1.0)  # a second of computing one prompt, or of reading context
        return best


def _knots(tokens: Floats, seconds: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return ranges of token counts, by their ends: the knots, or ranges between many of them.

    A range counts as the tokens of its end in the seconds of its start.
    """
    slope = np.diff(seconds) / np.diff(tokens)
    bent = np.abs(np.diff(slope)) > 1e-9 * np.abs(slope[:-1]).max(initial=0.0)
    last = len(tokens) - 1
    knots = np.unique(np.concatenate(([0], np.flatnonzero(bent) + 1, [last])))
    if len(knots) <= _KNOTS:
        return knots, knots
    low = np.unique(np.geomspace(1, last + 1, _KNOTS).astype(np.int64)) - 1
    return low, np.append(low[1:] - 1, last)


@dataclass(frozen=True, eq=False)
class _Presence:
    """How many requests are there at least.

    Attributes
    ----------
    gone : float64, shape (n,)
        When each one's part in that is over.
    times, levels : shape (m,), (m + 1,)
        The requests there before the first time, between the first and the second, …
    """

    gone: Floats
    times: Floats
    levels: NDArray[np.int64]

    @classmethod
    def of(cls, arrival: Floats, gone: Floats) -> _Presence:
        """Return the presence of requests that stay from `arrival` to `gone`."""
        times, levels = _counted(arrival, gone)
        return cls(gone, times, levels)

    @classmethod
    def with_queue(cls, trace: Trace, alone: Isolated, shares: Shares, ends: Floats) -> _Presence:
        """Return the larger of that and what the shortest queue leaves, at each time.

        Without one request that queue is shorter by one at most, until its busy period ends.
        """
        arrival, work = trace.arrival, shares.whole
        before = np.append(0.0, np.cumsum(work))
        head = arrival - before[:-1]
        idle = head > np.append(-np.inf, np.maximum.accumulate(head)[:-1])
        start = np.flatnonzero(idle)
        stop = np.append(start[1:], len(work))
        busy_end = (head[start] + before[stop])[np.cumsum(idle) - 1] + shares.step
        apart = arrival + alone.whole
        times, levels = zip(_counted(arrival, apart), _counted(arrival, ends), strict=True)
        every = np.unique(np.concatenate(times))
        most = np.zeros(len(every) + 1, np.int64)
        for each, level in zip(times, levels, strict=True):
            at = np.searchsorted(each, every, side="right")
            np.maximum(most[1:], level[at], out=most[1:])
        return cls(np.maximum(apart, busy_end), every, most)

    def value(self, arrival: Floats, worth: Floats, rates: Floats, until: float) -> float:
        """Return the best bound up to a time, over theta."""
        edges = np.concatenate(([-np.inf], np.minimum(self.times, until), [until]))
        edges[0] = edges[1]
        seconds = np.bincount(self.levels, weights=np.maximum(0.0, np.diff(edges)))
        levels = np.flatnonzero(seconds)
        if not len(levels):
            return 0.0
        room = np.maximum(0.0, until - self.gone)
        # The sum of min(theta * worth, room) over requests, for all thetas.
        turn = np.divide(room, worth, out=np.full(len(worth), np.inf), where=worth > 0)
        order = np.argsort(turn)
        turn = turn[order]
        full = np.append(0.0, np.cumsum(room[order]))
        rest = np.append(np.cumsum(worth[order][::-1])[::-1], 0.0)
        low, high = 0.5, 2 * max(2.0, float(levels.max()), float(len(rates)))
        best = 0.0
        for _ in range(2):
            theta = np.geomspace(low, high, _THETAS)
            at = np.searchsorted(turn, theta)
            bound = full[at] + theta * rest[at] - _excess(theta, rates, levels) @ seconds[levels]
            i = int(bound.argmax())
            best = max(best, float(bound[i]))
            low, high = float(theta[max(0, i - 1)]), float(theta[min(i + 1, _THETAS - 1)])
        return best


def _counted(arrival: Floats, gone: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """Return when the number of requests there changes, and that number between."""
    times = np.concatenate([arrival, gone])
    change = np.repeat(np.array([1, -1], np.int64), len(arrival))
    order = np.argsort(times, kind="stable")
    return times[order], np.append(0, np.cumsum(change[order]))


def _excess(theta: Floats, rates: Floats, levels: NDArray[np.int64]) -> Floats:
    """Return the most value a second less the requests there, shape (thetas, levels).

    Whoever is in a step is there too; idling is among the choices.
    """
    slots = len(rates)
    value = theta[:, None] * rates
    more = np.maximum.accumulate((value - np.arange(1, slots + 1))[:, ::-1], axis=1)[:, ::-1]
    fewer = np.maximum.accumulate(value, axis=1)
    at = np.clip(levels, 1, slots) - 1
    best = fewer[:, at] - np.maximum(levels, 1)
    np.maximum(best, more[:, at], out=best, where=levels <= slots)
    floor: Floats = np.maximum(best, -levels.astype(np.float64))
    return floor
