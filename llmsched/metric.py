"""What each metric of a row is: its unit and which way is better."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from types import MappingProxyType

from llmsched.errors import InputError

LOWER, HIGHER, NEITHER = "lower", "higher", "neither"

NOTICED_PERCENT = 0.1
"""The smallest change against a base that a report calls better or worse."""

_ROUNDING = 1e-9  # relative: a change that falls short of a limit by this much still reaches it
_NOISE = {"ms": 1e-6, "%": 1e-7}  # in the unit: a nanosecond, or 1e-9 as a share or in a count


@dataclass(frozen=True)
class Metric:
    """A column of the flat row.

    Attributes
    ----------
    unit : str
        Unit for reports; empty for counts and shares.
    better : {"lower", "higher", "neither"}
        Which way a change is an improvement; a gate needs one.
    only_exclusive : bool
        Whether that holds only on profiles whose steps are either prefill or decode.
    """

    name: str
    unit: str
    better: str
    only_exclusive: bool = False

    def direction(self, mixed: bool) -> str:
        """Return which way is better on a profile with or without mixed steps."""
        return NEITHER if mixed and self.only_exclusive else self.better

    def worsening(self, change: float) -> float:
        """Return a change of the value with the sign turned so that positive is worse."""
        return -change if self.better == HIGHER else change

    @property
    def noise(self) -> float:
        """Values no further apart than this differ only by the rounding of floats."""
        return _NOISE.get(self.unit, 1e-9)

    def matters(self, base: float, value: float) -> bool:
        """Return whether a value is better or worse than its base: the one rule of all reports.

        At least 0.1 % of the base, and more than the noise. Gates do not ask it: a limit is exact.
        """
        change = abs(value - base)
        least = abs(base) * NOTICED_PERCENT / 100
        return change > self.noise and change >= least * (1 - _ROUNDING)

    def percent(self, base: float, value: float) -> float | None:
        """Return the change in percent of the base; None where the base is zero but for noise."""
        return None if abs(base) <= self.noise else 100 * (value - base) / abs(base)


def _latencies() -> list[Metric]:
    return [
        Metric(f"{statistic}_{span}_ms", "ms", LOWER)
        for span in ("ttft", "tpot", "itl", "e2el", "queue")
        for statistic in ("mean", "median", "p90", "p95", "p99")
    ]


_ALL = [
    Metric("makespan_s", "s", LOWER),
    # Where a prompt may share a step with decodes, full slots tell what kind of steps a policy
    # takes, not how fast it is.
    Metric("utilization", "", HIGHER, only_exclusive=True),
    Metric("efficiency", "", HIGHER),
    Metric("gap_percent", "%", LOWER),
    Metric("lower_bound_s", "s", NEITHER),
    Metric("request_throughput", "requests/s", HIGHER),
    Metric("output_throughput", "tokens/s", HIGHER),
    Metric("total_token_throughput", "tokens/s", HIGHER),
    *_latencies(),
    Metric("request_goodput", "requests/s", HIGHER),
    Metric("slo_attainment", "", HIGHER),
    Metric("completed", "", HIGHER),
    Metric("preemptions", "", LOWER),
    Metric("recomputed_tokens", "tokens", LOWER),
    Metric("total_input_tokens", "tokens", NEITHER),
    Metric("total_output_tokens", "tokens", NEITHER),
    Metric("steps", "", NEITHER),
    Metric("prefill_steps", "", NEITHER),
    Metric("mean_batch", "", NEITHER),
    Metric("kv_peak", "", NEITHER),
    Metric("kv_mean", "", NEITHER),
    Metric("kv_peak_tokens", "tokens", NEITHER),
    Metric("kv_mean_tokens", "tokens", NEITHER),
]

METRICS: Mapping[str, Metric] = MappingProxyType({metric.name: metric for metric in _ALL})


def judged_metrics(mixed: bool) -> list[Metric]:
    """Return the metrics that are better or worse on a profile with or without mixed steps."""
    return [metric for metric in METRICS.values() if metric.direction(mixed) != NEITHER]


def find_metric(name: str) -> Metric:
    """Return a metric by name.

    Raises
    ------
    InputError
        There is none; the message names the closest and all that have a direction.
    """
    if name in METRICS:
        return METRICS[name]
    near = get_close_matches(name, METRICS, n=1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    raise InputError(f"expected one of {', '.join(METRICS)}; got {name!r}{hint}")
