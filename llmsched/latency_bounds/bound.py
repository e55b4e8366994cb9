"""Bounds on latency for a trace on one engine: what is proven, for which schedules, or why nothing.

Each metric that can be bounded has a `Bound`: its value, and whether it holds for every schedule or
for those with at most some number of preemptions. docs/bounds.md derives them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from llmsched.config import EngineConfig
from llmsched.hardware import HardwareProfile
from llmsched.latency_bounds.attainment import Attainment, Limits
from llmsched.latency_bounds.crowd import crowd
from llmsched.latency_bounds.isolated import Isolated, isolated
from llmsched.latency_bounds.percentile import order_statistics, percentiles, ranks
from llmsched.latency_bounds.queue import completions
from llmsched.latency_bounds.shares import Shares, shares_of
from llmsched.latency_bounds.slots import credit, first_tokens_in_slots
from llmsched.latency_bounds.steps import Steps, steps_of, why_not
from llmsched.spared import Spared, spared_of
from llmsched.trace import Trace

Floats = NDArray[np.float64]

PERCENT: Mapping[str, float] = {"median": 50.0, "p90": 90.0, "p95": 95.0, "p99": 99.0}

_LOOKS = 2000
"""Arrivals at which the queue of a schedule with slots is looked at."""


@dataclass(frozen=True, slots=True)
class Bound:
    """A value in the metric's unit that no replay beats.

    Attributes
    ----------
    preemptions : int or None
        It holds for schedules with at most so many; None: for every schedule.
    """

    value: float
    preemptions: int | None = None

    @property
    def scope(self) -> str:
        """The schedules that it holds for, in words."""
        if self.preemptions is None:
            return "every schedule"
        if self.preemptions == 0:
            return "schedules without preemption"
        return f"schedules with at most {self.preemptions:,} preemptions"


@dataclass(frozen=True, eq=False)
class LatencyBounds:
    """Bounds on the latency of a trace; each is computed when it is first asked for.

    Attributes
    ----------
    slo : mapping
        Limits in milliseconds; see `metrics.summarize`.
    thorough : bool
        Whether percentiles are sought beyond what each request takes on its own.
    reason : str
        Why there are no bounds; empty if there are.
    """

    trace: Trace
    hardware: HardwareProfile
    config: EngineConfig
    slo: Mapping[str, float] = field(default_factory=dict)
    thorough: bool = True
    reason: str = ""

    @cached_property
    def every(self) -> Mapping[str, Bound]:
        """Bounds by metric that hold for every schedule; empty where there is a reason."""
        if self.reason:
            return {}
        values = {
            "mean_ttft_ms": 1e3 * self._mean_first(self.first_tokens),
            "mean_e2el_ms": 1e3 * self._mean_last(self.first_tokens),
            **self._percentiles("ttft", self.alone.first),
            **self._percentiles("e2el", self.alone.whole),
            **self._tpot(),
        }
        if self.slo:
            values["slo_attainment"] = self.attainable(self.slo)
        return {name: Bound(value) for name, value in values.items()}

    def at_most(self, preemptions: int) -> Mapping[str, Bound]:
        """Return the bounds for schedules that preempt at most so often.

        Where that proves no more, they are those for every schedule.
        """
        if self.reason:
            return {}
        if preemptions not in self._limited:
            self._limited[preemptions] = self._sharper(preemptions)
        return self._limited[preemptions]

    @cached_property
    def _limited(self) -> dict[int, Mapping[str, Bound]]:
        return {}  # of most policies the number is the same: none

    def _sharper(self, preemptions: int) -> Mapping[str, Bound]:
        first = self.first_tokens_at_most(preemptions)
        sharper = {
            "mean_ttft_ms": 1e3 * self._mean_first(first),
            "mean_e2el_ms": 1e3 * self._mean_last(first),
        }
        bounds = dict(self.every)
        for name, value in sharper.items():
            if value > bounds[name].value:
                bounds[name] = Bound(value, preemptions)
        if self.slo:
            share = self.attainable(self.slo, preemptions)
            if share < bounds["slo_attainment"].value:
                bounds["slo_attainment"] = Bound(share, preemptions)
        return bounds

    def attainable(self, slo: Mapping[str, float], preemptions: int | None = None) -> float:
        """Return the largest share of requests that can keep all limits, in milliseconds.

        With at most so many preemptions, or, if None, with any number.
        """
        free, priced = self._shares
        credits: list[float] = []
        if preemptions is not None:
            decode = (each.decode for each in priced)
            given = self.trace, self.config, self.spared
            credits = [credit(*given, each, preemptions) for each in decode]
        limits = {name.removesuffix("_ms"): limit / 1e3 for name, limit in slo.items()}
        keep = Attainment(self.trace, self.alone, free, priced)
        return keep.most(Limits(**limits), credits=credits) / len(self.trace)

    @cached_property
    def _longest(self) -> int:
        return int((self.trace.input_tokens + self.trace.output_tokens).max())

    @cached_property
    def spared(self) -> Spared:
        """What a prefix cache spares each request."""
        return spared_of(self.trace, self.config)

    @cached_property
    def _steps(self) -> Steps:
        steps = steps_of(self.hardware.step_time, self.config, self._longest)
        return steps.with_hits() if self.spared.block_size else steps

    @cached_property
    def alone(self) -> Isolated:
        return isolated(self.trace, self._steps, self._longest, self.spared)

    @cached_property
    def _shares(self) -> tuple[list[Shares], list[Shares]]:
        return shares_of(self.trace, self._steps, self._longest, self.spared)

    @cached_property
    def _busiest(self) -> Shares:
        return max(self._shares[1], key=lambda each: float(each.whole.sum()))

    @cached_property
    def first_tokens(self) -> Floats:
        """When 1, 2, … requests have their first token at the earliest."""
        arrival = self.trace.arrival
        best = np.sort(arrival + self.alone.first)
        for each in self._shares[0]:
            np.maximum(best, completions(arrival, each.prompt) + each.step, out=best)
        return best

    @cached_property
    def last_tokens(self) -> Floats:
        """When 1, 2, … requests have their last token at the earliest."""
        arrival = self.trace.arrival
        best = np.sort(arrival + self.alone.whole)
        for each in self._shares[1]:
            np.maximum(best, completions(arrival, each.whole) + each.step, out=best)
        return best

    def first_tokens_at_most(self, preemptions: int) -> Floats:
        """Return when 1, 2, … requests have their first token, if few lose their slots."""
        config, shares = self.config, self._shares[1]
        found = first_tokens_in_slots(self.trace, config, self.spared, shares, preemptions, _LOOKS)
        best = np.maximum(self.first_tokens, found)
        # All but so many of those with a first token have their last one too.
        held = config.max_num_seqs + preemptions
        if held < len(best):
            best[held:] = np.maximum(best[held:], self.last_tokens[:-held])
        return best

    def _mean_first(self, first: Floats) -> float:
        return float(np.mean(first - self.trace.arrival))

    def _mean_last(self, first: Floats) -> float:
        whole = float(np.mean(self.last_tokens - self.trace.arrival))
        apart = self._mean_first(first) + float(self.alone.further.mean())
        return max(whole, apart, self._crowd / len(self.trace))

    @cached_property
    def _crowd(self) -> float:
        given = self.trace, self._steps, self.alone, self._busiest
        return crowd(*given, self._longest, self.spared)

    def _tpot(self) -> dict[str, float]:
        """Return bounds on the time per output token: nothing is known of its queue."""
        rounds = self.trace.output_tokens - 1
        least = np.sort(self.alone.further[rounds > 0] / rounds[rounds > 0])
        if not len(least):
            return {}
        found = percentiles(least, list(PERCENT.values()), {})
        return {
            "mean_tpot_ms": 1e3 * float(least.mean()),
            **{f"{name}_tpot_ms": 1e3 * value for name, value in zip(PERCENT, found, strict=True)},
        }

    def _percentiles(self, span: str, alone: Floats) -> dict[str, float]:
        percents = list(PERCENT.values())
        least = np.sort(alone)
        # One division of steps each: those after the first move a percentile little.
        keep = Attainment(self.trace, self.alone, self._shares[0][:1], [self._busiest])

        def on_time(limit: float, enough: int) -> int:
            return keep.most(Limits(**{span: limit}), enough)

        wanted = ranks(len(least), percents) if self.thorough else []
        found = percentiles(least, percents, order_statistics(least, wanted, on_time))
        names = (f"{name}_{span}_ms" for name in PERCENT)
        return {name: 1e3 * value for name, value in zip(names, found, strict=True)}


def latency_bounds(
    trace: Trace,
    hardware: HardwareProfile,
    config: EngineConfig | None = None,
    *,
    concurrency: int | None = None,
    replicas: int = 1,
    slo: Mapping[str, float] | None = None,
    thorough: bool = True,
) -> LatencyBounds:
    """Return bounds on the latency of a trace, or an object that says why there are none.

    Parameters
    ----------
    config : EngineConfig, optional
        The engine's knobs; the profile's by default.
    concurrency : int, optional
        Closed loop of that many users: when requests come depends on the schedule, so there is no
        bound.
    replicas : int
        Engines that share the requests; there is a bound for one alone.
    slo : mapping, optional
        Limits in milliseconds by name (`ttft_ms`, `tpot_ms`, `e2el_ms`).
    thorough : bool
        Whether percentiles are sought beyond what each request takes on its own: most of the time.

    Examples
    --------
    >>> from llmsched import Trace, load_profile
    >>> trace = Trace.from_columns([0, 0], input_tokens=[80, 20], output_tokens=[9, 5])
    >>> bounds = latency_bounds(trace, load_profile("llama3-8b-a100"))
    >>> bounds.every["mean_ttft_ms"].scope
    'every schedule'
    """
    config = hardware.engine if config is None else config
    longest = int((trace.input_tokens + trace.output_tokens).max())
    if concurrency is not None:
        reason = "in a closed loop arrivals depend on the schedule"
    elif replicas != 1:
        reason = "several engines share the requests"
    elif trace.delay is not None:
        reason = "later turns of a session arrive when the schedule lets earlier ones end"
    else:
        reason = why_not(hardware.step_time, config, longest)
    return LatencyBounds(trace, hardware, config, dict(slo or {}), thorough, reason)
