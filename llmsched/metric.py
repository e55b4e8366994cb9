"""Every metric of a row, one entry each: unit, direction, place in reports, and what it is.

An entry is all that a metric needs: the row, gates, comparisons and every format follow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from types import MappingProxyType
from typing import Literal, Protocol, get_args

from llmsched.errors import InputError

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

    `seconds` is `measured_s`, NaN where a profile charges nothing; `attained` counts requests
    that kept the objective, NaN without one. Tokens are those of completed requests, wasted ones
    those of aborted requests. All else is as `llmsched.metrics` says.
    """

    offered: int
    completed: int
    refused: int
    aborted: int
    input_tokens: int
    output_tokens: int
    wasted_tokens: int
    wasted_input_tokens: int
    makespan: float
    seconds: float
    lower_bound: float
    measured_s: float

    @property
    def attained(self) -> float: ...

    def utilization(self) -> float: ...

    def efficiency(self) -> float: ...

    def gap_percent(self) -> float: ...

    def latency_ms(self, span: str, statistic: str) -> float: ...

    def preemptions(self) -> int: ...

    def recomputed_tokens(self) -> int: ...

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


_SPANS = {
    "ttft": "time to the first token",
    "tpot": "(last token - first token) / (output tokens - 1)",
    "e2el": "time to the last token",
    "itl": "time between two tokens of a request",
    "queue": "time until the first admission to a slot",
    "stall": "time between first and last token in steps with prompt tokens, or in a preemption",
}
_STATISTICS = {
    **{name: name for name in ("mean", "median", "p90", "p95", "p99")},
    "p999": "p99.9",
    "max": "longest",
}
_OF_SPAN = {span: tuple(_STATISTICS) for span in _SPANS} | {"stall": ("mean", "p99")}
"""The statistics that there are of a span."""

_SHOWN = {f"{statistic}_{span}_ms" for statistic in ("mean", "p99") for span in ("ttft", "tpot")}
"""The latencies that every table shows."""


_of_replay = partial(Metric, whole_only=True)
"""What the engine does, or what is proven of it: no part of the requests has its own."""


def _latencies() -> list[Metric]:
    """Return the statistics of each span; reports have those between tokens beside each other."""
    ranked = [
        f"{s}_{span}_ms"
        for span in ("ttft", "tpot", "itl", "stall", "e2el", "queue")
        for s in _OF_SPAN[span]
    ]

    def entry(span: str, statistic: str) -> Metric:
        name = f"{statistic}_{span}_ms"
        return Metric(
            name,
            "ms",
            LOWER,
            lambda m: m.latency_ms(span, statistic),
            f"{_STATISTICS[statistic]} of: {_SPANS[span]}",
            100 + ranked.index(name),
            (statistic, f"{span.upper()} ms") if name in _SHOWN else None,
            ",.2f" if span in ("tpot", "itl") else ",.0f",
            # The step table knows no requests; what is known of each is its worst gap and its mean.
            whole_only=span == "itl" and statistic not in ("mean", "max"),
            bounded=span in SLO_SPANS,
        )

    return [entry(span, statistic) for span, shown in _OF_SPAN.items() for statistic in shown]


_ALL = [
    Metric("offered", "", NEITHER, lambda m: m.offered, "requests", 205, form=",.0f", kind=COUNT),
    Metric(
        "completed",
        "",
        HIGHER,
        lambda m: m.completed,
        "requests that got their last token",
        210,
        form=",.0f",
        kind=COUNT,
    ),
    Metric(
        "refused",
        "",
        LOWER,
        lambda m: m.refused,
        "requests turned away on arrival",
        212,
        ("", "refused"),
        ",.0f",
        kind=COUNT,
    ),
    Metric(
        "aborted",
        "",
        LOWER,
        lambda m: m.aborted,
        "requests whose client left before the last token",
        214,
        ("", "aborted"),
        ",.0f",
        kind=COUNT,
    ),
    Metric(
        "total_input_tokens",
        "tokens",
        NEITHER,
        lambda m: m.input_tokens,
        "prompt tokens of completed requests",
        240,
        kind=COUNT,
    ),
    Metric(
        "total_output_tokens",
        "tokens",
        NEITHER,
        lambda m: m.output_tokens,
        "tokens emitted for completed requests",
        250,
        kind=COUNT,
    ),
    Metric(
        "wasted_tokens",
        "tokens",
        LOWER,
        lambda m: m.wasted_tokens,
        "tokens emitted for aborted requests",
        255,
        kind=COUNT,
    ),
    Metric(
        "wasted_input_tokens",
        "tokens",
        LOWER,
        lambda m: m.wasted_input_tokens,
        "prompt tokens computed for aborted requests",
        257,
        kind=COUNT,
    ),
    _of_replay(
        "makespan_s",
        "s",
        LOWER,
        lambda m: m.makespan,
        "total inference time: first arrival to last token",
        10,
        ("total", "s"),
    ),
    _of_replay(
        "utilization",
        "",
        HIGHER,
        lambda m: m.utilization(),
        "slot-seconds in which a request is computed / slot-seconds",
        20,
        ("util", "%"),
        ".2f",
        100,
        # Where a prompt may share a step with decodes, full slots tell what kind of steps a policy
        # takes, not how fast it is.
        only_exclusive=True,
        kind=SHARE,
    ),
    _of_replay(
        "efficiency",
        "",
        HIGHER,
        lambda m: m.efficiency(),
        "least engine time that the work needs / makespan_s",
        30,
        ("eff", "%"),
        ".2f",
        100,
        kind=SHARE,
    ),
    Metric(
        "request_throughput",
        "requests/s",
        HIGHER,
        lambda m: m.completed / m.seconds,
        "completed / measured_s",
        60,
    ),
    Metric(
        "output_throughput",
        "tokens/s",
        HIGHER,
        lambda m: m.output_tokens / m.seconds,
        "total_output_tokens / measured_s",
        70,
        ("output", "tok/s"),
        ",.0f",
    ),
    Metric(
        "total_token_throughput",
        "tokens/s",
        HIGHER,
        lambda m: (m.input_tokens + m.output_tokens) / m.seconds,
        "(total_input_tokens + total_output_tokens) / measured_s",
        80,
    ),
    *_latencies(),
    Metric(
        "request_goodput",
        "requests/s",
        HIGHER,
        lambda m: m.attained / m.seconds,
        "requests that keep the objective / measured_s",
        190,
        ("goodput", "req/s"),
    ),
    Metric(
        "slo_attainment",
        "",
        HIGHER,
        lambda m: m.attained / m.offered,
        "requests that keep the objective / offered",
        200,
        ("SLO", "%"),
        ".1f",
        100,
        kind=SHARE,
        bounded=True,
    ),
    Metric(
        "preemptions",
        "",
        LOWER,
        lambda m: m.preemptions(),
        "times a request lost its slot",
        220,
        ("", "preempted"),
        ",.0f",
        kind=COUNT,
    ),
    Metric(
        "recomputed_tokens",
        "tokens",
        LOWER,
        lambda m: m.recomputed_tokens(),
        "tokens computed again after a preemption",
        230,
        kind=COUNT,
    ),
    _of_replay(
        "steps",
        "",
        NEITHER,
        lambda m: m.steps(),
        "engine iterations",
        260,
        ("", "steps"),
        ",.0f",
        kind=COUNT,
    ),
    _of_replay(
        "prefill_steps",
        "",
        NEITHER,
        lambda m: m.prefill_steps(),
        "steps with prompt tokens",
        270,
        kind=COUNT,
    ),
    _of_replay("mean_batch", "", NEITHER, lambda m: m.mean_batch(), "sequences in a step", 280),
    _of_replay(
        "kv_peak_tokens",
        "tokens",
        NEITHER,
        lambda m: m.kv_peak_tokens(),
        "most tokens held",
        310,
        kind=COUNT,
    ),
    _of_replay(
        "kv_mean_tokens", "tokens", NEITHER, lambda m: m.kv_mean_tokens(), "mean over time", 320
    ),
    _of_replay(
        "kv_peak",
        "",
        NEITHER,
        lambda m: m.kv_peak(),
        "most blocks in use / usable",
        290,
        kind=SHARE,
    ),
    _of_replay(
        "kv_mean", "", NEITHER, lambda m: m.kv_mean(), "mean over time of the same", 300, kind=SHARE
    ),
    _of_replay(
        "lower_bound_s",
        "s",
        NEITHER,
        lambda m: m.lower_bound,
        "no policy that completes these requests ends sooner: proven",
        50,
    ),
    _of_replay(
        "gap_percent",
        "%",
        LOWER,
        lambda m: m.gap_percent(),
        "(makespan_s / lower_bound_s - 1) in percent",
        40,
        ("gap to", "bound %"),
        ".2f",
    ),
    Metric(
        "measured_s",
        "s",
        NEITHER,
        lambda m: m.measured_s,
        "first arrival to last token of the requests that count: all without a warm-up or window",
        330,
    ),
    _of_replay(
        "first_wave",
        "",
        NEITHER,
        lambda m: m.first_wave(),
        "share of p99_ttft_ms that goes away without the requests that arrive first, together",
        340,
        kind=SHARE,
    ),
    Metric(
        "jain_index",
        "",
        HIGHER,
        lambda m: m.jain_index(),
        "Jain's index of class service per second: (sum)^2 / (classes * sum of squares)",
        350,
        kind=SHARE,
    ),
    Metric(
        "service_ratio",
        "",
        LOWER,
        lambda m: m.service_ratio(),
        "greatest class service per second / least",
        360,
    ),
]

RECORDED = tuple(_ALL)
"""The metrics in the order of a row."""

METRICS: Mapping[str, Metric] = MappingProxyType(
    {metric.name: metric for metric in sorted(_ALL, key=lambda metric: metric.rank)}
)
"""The metrics by name, in the order of a report."""


def judged_metrics(mixed: bool) -> list[Metric]:
    """Return the metrics that are better or worse on a profile with or without mixed steps."""
    return [metric for metric in METRICS.values() if metric.direction(mixed) != NEITHER]


def find_metric(name: str) -> Metric:
    """Return a metric by name.

    Raises
    ------
    InputError
        There is none; the message names the closest, or all.
    """
    if name in METRICS:
        return METRICS[name]
    if near := get_close_matches(name, METRICS, n=1):
        raise InputError(f"expected a metric, got {name!r} (did you mean {near[0]}?)")
    raise InputError(f"expected one of {', '.join(METRICS)}; got {name!r}")
