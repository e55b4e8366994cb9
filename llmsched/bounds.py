"""A lower bound on the total inference time of every policy, proven from the profile alone.

Whatever a policy does, each request needs one step that completes its prompt and one decode round
for each further token, a slot for all of them, and the work that the profile charges for its
tokens. Summed over a set of requests that leaves

    steps   >= slots, token budget, KV capacity, longest request, pigeonhole over the longest ones
    seconds >= price of a step * steps + price of the tokens

and for the requests that arrive at or after some time, that time more. The bound is the best over
all such suffixes of the trace. A later turn of a session counts as one that arrives when the turns
before it have each taken what they need alone, and the delays between them. For profiles of kind
`stages` it comes to decode rounds of perfectly packed slots plus all prefill work; whether that is
how the bound of arXiv 2502.15763 ("around 180 s" in a summary) is computed is not known.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from llmsched.config import EngineConfig
from llmsched.hardware import HardwareProfile
from llmsched.hardware.step_time import Minorant, StepTime
from llmsched.ids import Ids
from llmsched.packing.packing import simple_bound
from llmsched.request_prices import (
    Price,
    computed,
    decodes_or_resumptions,
    not_undercut,
    own_rounds,
    preempts,
    request_prices,
)
from llmsched.spared import Spared, spared_in, spared_of
from llmsched.trace import Trace

_AT_ONCE = 2**14
"""Requests that are priced in one go."""


def lower_bound(
    trace: Trace,
    hardware: HardwareProfile,
    config: EngineConfig | None = None,
    concurrency: int | None = None,
    total_speed: float = 1,
) -> float:
    """Return seconds that no policy can beat, from the first arrival to the last token.

    Parameters
    ----------
    config : EngineConfig, optional
        The engine's knobs; the profile's by default.
    concurrency : int, optional
        Closed loop of that many users: arrivals do not bind, and no more requests run at once.
    total_speed : float
        Sum of the speeds of the engines that share the requests, each with these knobs; the
        profile's speed is 1. Together they do at least the steps and the work of one, so the last
        of them ends no sooner than an even share.

    Examples
    --------
    >>> from llmsched import load_profile
    >>> trace = Trace.from_columns([0, 5], input_tokens=[80, 20], output_tokens=[9, 5])
    >>> lower_bound(trace, load_profile("llama3-8b-a100")) > 5  # the last one arrives at 5 s
    True
    """
    return bounds(trace, hardware, config, concurrency, total_speed).lower


def least_work(
    trace: Trace,
    hardware: HardwareProfile,
    config: EngineConfig | None = None,
    concurrency: int | None = None,
    total_speed: float = 1,
) -> float:
    """Return the least engine time that the work itself needs: `lower_bound` without arrivals.

    It says nothing of when requests come, so no schedule's pauses count as work.

    Examples
    --------
    >>> from llmsched import load_profile
    >>> trace = Trace.from_columns([0, 5], input_tokens=[80, 20], output_tokens=[9, 5])
    >>> least_work(trace, load_profile("llama3-8b-a100")) < 1
    True
    """
    return bounds(trace, hardware, config, concurrency, total_speed).least


class Bounds(NamedTuple):
    """Seconds that no policy can beat, and those of engine time that the work needs at least."""

    lower: float
    least: float


def bounds(
    trace: Trace,
    hardware: HardwareProfile,
    config: EngineConfig | None = None,
    concurrency: int | None = None,
    total_speed: float = 1,
    spared: Spared | None = None,
) -> Bounds:
    """Return `lower_bound` and `least_work`, which share nearly all of their arithmetic.

    `spared` is what a prefix cache spares these requests, where there were others beside them.
    """
    config = hardware.engine if config is None else config
    slots = config.max_num_seqs if concurrency is None else min(concurrency, config.max_num_seqs)
    accounts = spared_of(trace, config) if spared is None else spared
    timed = concurrency is None
    demand = _Demand(trace, hardware.step_time, config, slots, accounts, total_speed, timed)
    found = demand.best(hardware)
    if trace.delay is None:
        return found
    come, ends = turns(trace, hardware, config, concurrency, accounts)
    if concurrency is not None:  # a user goes through one session after another
        last = ends[trace.is_last]
        longest = max(float(last.max()), float(last.sum()) / concurrency)
        return found._replace(lower=max(found.lower, longest))
    order = np.argsort(come, kind="stable")
    prompt, output = trace.input_tokens[order], trace.output_tokens[order]
    released = Trace(come[order], prompt, output, Ids(range(len(trace))))
    accounts = spared_in(trace, config, order) if spared is None else spared.take(order)
    chained = replace(demand, trace=released, spared=accounts).best(hardware)
    return found._replace(lower=max(found.lower, chained.lower))


def turns(
    trace: Trace,
    hardware: HardwareProfile,
    config: EngineConfig,
    concurrency: int | None = None,
    spared: Spared | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return when each request of a trace comes and ends at the earliest; shape (n,), seconds.

    The turns before it have taken what they need alone, and the delays between them. In a closed
    loop a session begins at 0.
    """
    slots = config.max_num_seqs if concurrency is None else min(concurrency, config.max_num_seqs)
    accounts = spared_of(trace, config) if spared is None else spared
    demand = _Demand(trace, hardware.step_time, config, slots, accounts)
    alone = np.max([demand.alone(each) for each in hardware.step_time.minorants()], axis=0)
    come = (trace.arrival if concurrency is None else np.zeros(len(trace))).tolist()
    delay = np.zeros(len(trace)) if trace.delay is None else trace.delay
    for row, (before, wait) in enumerate(zip(trace.previous.tolist(), delay.tolist(), strict=True)):
        if before >= 0:
            come[row] = come[before] + alone[before] + wait
    return np.array(come), np.array(come) + alone


_Number = TypeVar("_Number", np.int64, np.float64)


class _Charge(NamedTuple):
    """A minorant, seconds of a step with prefill and of a round, and what resumptions leave."""

    minorant: Minorant
    step: float
    round_: float
    kept: float


@dataclass(frozen=True, eq=False)
class _Demand:
    """What the requests need, whichever minorant prices it.

    Attributes
    ----------
    spared : Spared
        What a prefix cache spares each.
    timed : bool
        Whether arrivals bind.
    """

    trace: Trace
    step_time: StepTime
    config: EngineConfig
    slots: int
    spared: Spared
    total_speed: float = 1
    timed: bool = True

    def best(self, hardware: HardwareProfile) -> Bounds:
        """Return the best bounds over all minorants of a profile's prices."""
        found = [self.bounds(minorant) for minorant in hardware.step_time.minorants()]
        # Where work costs nothing, rounding may fall below 0.
        return Bounds(*(max(0.0, *several) for several in zip(*found, strict=True)))

    def alone(self, minorant: Minorant) -> NDArray[np.float64]:
        """Return the seconds that each request takes at least from its arrival; shape (n,)."""
        charge = self._charge(minorant)
        return np.concatenate(
            [self._own(part, charge)[0] for part in _parts(len(self.trace))][::-1]
        )

    def _charge(self, minorant: Minorant) -> _Charge:
        step_time, prompt = self.step_time, self.trace.input_tokens
        step = minorant.per_step_prefill
        round_ = min(step, minorant.per_round) if step_time.mixed else minorant.per_round
        longest = int((prompt + self._rounds).max()) if self.spared.block_size else 0
        kept = not_undercut(prompt, step_time, minorant, self.config, self.slots, longest)
        return _Charge(minorant, step, round_, kept)

    def _own(self, part: slice, charge: _Charge) -> tuple[NDArray[np.float64], Price]:
        """Return what some requests take at least, one by one, and the prices on their accounts."""
        step_time, config, minorant = self.step_time, self.config, charge.minorant
        budget = config.max_num_batched_tokens or int(self.trace.input_tokens.max())
        p, r, spared = self.trace.input_tokens[part], self._rounds[part], self.spared.take(part)
        size = spared.block_size
        price = request_prices(p, r, step_time, minorant)
        prefill = price.prefill
        if size:
            prefill = computed(p, spared.most, p - spared.most, step_time, minorant)
            owned = computed(p, spared.first, spared.own, step_time, minorant)
            price = Price(owned, self._decodes(p, r, price, minorant))
        own = own_rounds(p, r, step_time, minorant, config, cached=size > 0)
        single = charge.kept if step_time.mixed else own
        chunks = -(-(p - spared.most) // budget)
        alone = chunks * charge.step + prefill + own * r * charge.round_
        return alone + single * price.decode, price

    def _decodes(
        self, prompt: NDArray[np.int64], rounds: NDArray[np.int64], price: Price, minorant: Minorant
    ) -> NDArray[np.float64]:
        """Return the price of decodes where a cache may make resumptions cheaper than them."""
        step_time, size = self.step_time, self.spared.block_size
        if not step_time.mixed or not preempts(self.config):
            return price.decode
        return decodes_or_resumptions(prompt, rounds, step_time, minorant, size)

    def bounds(self, minorant: Minorant) -> Bounds:
        """Return the bounds at these prices."""
        charge = self._charge(minorant)
        step, round_, kept = charge.step, charge.round_, charge.kept
        least = last = work = 0.0
        for part in _parts(len(self.trace)):  # from the last requests on, as suffixes are summed
            alone, price = self._own(part, charge)
            beyond = price.prefill + kept * price.decode
            beyond[-1] += work
            beyond = _suffix_sum(beyond)
            work = float(beyond[0])
            seconds = (self._shared_steps(part, step, round_, kept) + beyond) / self.total_speed
            longest = np.maximum(alone, seconds)
            least = max(least, float(longest.max()))
            last = max(last, float((self.trace.arrival[part] + longest).max()))
        if not self.timed:
            return Bounds(least, least)
        return Bounds(last - float(self.trace.arrival.min()), least)

    def _shared_steps(
        self, part: slice, step: float, round_: float, kept: float
    ) -> NDArray[np.float64]:
        """Return the price of the fewest steps of some suffixes."""
        if self.step_time.mixed:
            steps = self._mixed[part] * np.float64(round_)
            # Some of them hold a prefill, which may make them dearer.
            return steps if step <= round_ else steps + self._stages[part] * (step - round_)
        stages, decode = self._exclusive
        return stages[part] * np.float64(step) + kept * decode[part] * round_

    @cached_property
    def _rounds(self) -> NDArray[np.int64]:
        return self.trace.output_tokens - 1

    @cached_property
    def _mixed(self) -> NDArray[np.int64]:
        """Fewest steps of each suffix, where prefill and decode share them."""
        rounds = self._rounds
        steps = _steps(self.spared, self.trace, rounds, rounds + 1, self.config, self.slots)
        return np.maximum(steps, _suffix_max(rounds + 1))

    @cached_property
    def _stages(self) -> NDArray[np.int64]:
        """Fewest steps of each suffix that hold a prefill."""
        prompt = self.trace.input_tokens
        return np.maximum(
            _shared(np.ones_like(prompt), self.slots),
            _shared(self.spared.own, self.config.max_num_batched_tokens),
        )

    @cached_property
    def _exclusive(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Fewest prefill stages and decode rounds of each suffix, where they do not."""
        rounds, config = self._rounds, self.config
        stages = self._stages
        decode = _steps(self.spared, self.trace, rounds, rounds, config, self.slots)
        if preempts(config):
            # Prices of resumptions make up for the fraction.
            return stages, np.maximum(0, decode - 1)
        return stages, np.maximum(decode, _suffix_max(rounds))


def _parts(n: int) -> Iterator[slice]:
    """Yield parts of n rows, the last one first: so little memory is needed on the way."""
    return (slice(max(0, end - _AT_ONCE), end) for end in range(n, 0, -_AT_ONCE))


def _steps(
    spared: Spared,
    trace: Trace,
    rounds: NDArray[np.int64],
    occupied: NDArray[np.int64],
    config: EngineConfig,
    slots: int,
) -> NDArray[np.int64]:
    """Fewest steps for each suffix of the trace, if a request occupies a slot for `occupied`.

    `occupied` is the decode rounds alone, or with the prefill's last step where steps may be mixed.
    """
    best = _shared(occupied, slots)
    if config.max_num_batched_tokens is not None:
        tokens = rounds if occupied is rounds else spared.own + rounds
        np.maximum(best, _shared(tokens, config.max_num_batched_tokens), out=best)
        del tokens
    if config.kv_room is not None:
        # After its j-th round a sequence holds prompt + j tokens, but for those that others share.
        # (Floats: whole numbers up to 2**53, and no overflow beyond.)
        held = occupied.astype(np.float64)
        for part in _parts(len(held)):
            alone = trace.input_tokens[part] - spared.common[part]
            grown = np.maximum(0, rounds[part] + np.minimum(alone, 0))
            held[part] *= np.maximum(alone, 0)
            held[part] += grown * (grown + 1) / 2
        held = _suffix_sum(held)
        held /= config.kv_room
        np.ceil(held, out=held)
        np.maximum(best, held.astype(np.int64), out=best)
    else:  # nothing is ever preempted, so a request stays in one slot
        best[0] = max(best[0], simple_bound(occupied, slots)[0])
    return best


def _shared(amount: NDArray[np.int64], capacity: int | None) -> NDArray[np.int64]:
    """Steps needed for each suffix if one step does `capacity` of it."""
    if capacity is None:
        return np.zeros_like(amount)
    steps = _suffix_sum(amount)
    np.negative(steps, out=steps)
    steps //= capacity
    return np.negative(steps, out=steps)


def _suffix_sum(values: NDArray[_Number]) -> NDArray[_Number]:
    return np.cumsum(values[::-1])[::-1]


def _suffix_max(values: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.maximum.accumulate(values[::-1])[::-1]
