"""What an entry of the table of metrics says, and what it is computed from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

LOWER, HIGHER, NEITHER = "lower", "higher", "neither"
REAL, COUNT, SHARE = "real", "count", "share"

Limited = Literal["ttft_ms", "tpot_ms", "e2el_ms"]
SLO_METRICS: tuple[str, ...] = get_args(Limited)
"""Latencies that a service-level objective may limit, each a per-request value."""
SLO_SPANS = tuple(name.removesuffix("_ms") for name in SLO_METRICS)

NOTICED_PERCENT = 0.1
"""The smallest change against a base that a report calls better or worse."""

_ROUNDING = 1e-9  # relative: a change that falls short of a limit by this much still reaches it
_NOISE = {"ms": 1e-6, "%": 1e-7}  # in the unit: a nanosecond, or 1e-9 as a share or in a count

_LAST = 1000


class Measured(Protocol):
    """What a metric is computed from: one replay, and what is proven of its requests.

    `seconds` is `measured_s`, NaN where a profile charges nothing; `attained` counts requests that
    kept the objective, NaN without one, `limited` those that have one. Tokens are those of
    completed requests, wasted ones those of aborted requests. All else is as `llmsched.metrics`
    says.
    """

    offered: int
    completed: int
    refused: int
    aborted: int
    input_tokens: int
    output_tokens: int
    wasted_output_tokens: int
    wasted_input_tokens: int
    makespan: float
    seconds: float
    lower_bound: float
    measured_s: float

    @property
    def attained(self) -> float: ...

    @property
    def limited(self) -> int: ...

    def utilization(self) -> float: ...

    def efficiency(self) -> float: ...

    def gap_percent(self) -> float: ...

    def latency_ms(self, span: str, statistic: str) -> float: ...

    def preemptions(self) -> int: ...

    def recomputed_tokens(self) -> int: ...

    def cached_tokens(self) -> float: ...

    def steps(self) -> int: ...

    def prefill_steps(self) -> int: ...

    def mean_batch(self) -> float: ...

    def kv_peak_tokens(self) -> int: ...

    def kv_mean_tokens(self) -> float: ...

    def kv_peak(self) -> float: ...

    def kv_mean(self) -> float: ...

    def first_wave(self) -> float: ...

    def jain_index(self) -> float: ...

    def service_ratio(self) -> float: ...

    def sessions(self) -> int: ...

    def session_ms(self, statistic: str) -> float: ...


@dataclass(frozen=True)
class Metric:
    """A column of the flat row.

    Attributes
    ----------
    unit : str
        Unit for reports; empty for counts and shares.
    better : {"lower", "higher", "neither"}
        Which way a change is an improvement; a gate needs one.
    compute : callable
        The value, from what was measured; NaN where there is none.
    formula : str
        What it is, in one line.
    hides : str
        What it does not tell, or tells wrongly, in one line.
    rank : int
        Place among the columns of a report, least first; a row has the order of the entries.
    title : tuple of str or None
        The two lines over its column in the table of a terminal; None: it is not shown there.
    form : str
        How the table writes it, after `scale`.
    scale : float
        What the table multiplies it by: 100 for a share in percent.
    kind : {"real", "count", "share"}
        Any number from 0, a whole one, or one from 0 to 1.
    bounded : bool
        Whether `llmsched.latency_bounds` proves how good it can be.
    only_exclusive : bool
        Whether `better` holds only on profiles whose steps are either prefill or decode.
    whole_only : bool
        Whether it is of the whole replay alone: a group of the requests has none.
    """

    name: str
    unit: str
    better: str
    compute: Callable[[Measured], float]
    formula: str
    rank: int = _LAST
    title: tuple[str, str] | None = None
    form: str = ",.2f"
    scale: float = 1.0
    kind: str = REAL
    bounded: bool = False
    only_exclusive: bool = False
    whole_only: bool = False
    hides: str = ""

    @property
    def greatest(self) -> float:
        """No replay has more: shares end at 1 but for rounding, and no clock runs for ever."""
        if self.kind == SHARE:
            return 1 + _ROUNDING
        return 1e30 if self.unit == "%" or self.unit.endswith("/s") else 1e18

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
