"""Every metric of a row, one entry each: unit, direction, place in reports, what it is and hides.

An entry is all that a metric needs: the row, gates, comparisons, every format and the glossary
follow.
"""

from __future__ import annotations

from functools import partial

from llmsched.metric.entry import COUNT, HIGHER, LOWER, NEITHER, SHARE, SLO_SPANS, Metric

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

_HIDDEN = {
    "ttft": "what comes after the first token",
    "tpot": "stalls, which an answer's many tokens average out",
    "e2el": "whether it is long because the answer is",
    "itl": "whose stream it is: an answer of 1,000 tokens has 999 of them",
    "queue": "time in a slot before the first token",
    "stall": "whether one long stall or many short ones",
    "mean": "the few who wait for very long",
    "median": "half of the requests",
    "p90": "the slowest tenth",
    "p95": "the slowest twentieth",
    "p99": "the slowest hundredth, and most of a short trace's tail",
    "p999": "the slowest thousandth; of fewer requests it is the longest",
    "max": "everybody but one",
}
"""What spans and statistics do not tell."""

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
            bounded=span in SLO_SPANS and statistic not in ("p999", "max"),
            hides=f"{_HIDDEN[statistic]}; {_HIDDEN[span]}",
        )

    return [entry(span, statistic) for span, shown in _OF_SPAN.items() for statistic in shown]


_ALL = [
    Metric(
        "offered",
        "",
        NEITHER,
        lambda m: m.offered,
        "requests",
        205,
        form=",.0f",
        kind=COUNT,
        hides="requests that nobody sent because the service was slow",
    ),
    Metric(
        "completed",
        "",
        HIGHER,
        lambda m: m.completed,
        "requests that got their last token",
        210,
        form=",.0f",
        kind=COUNT,
        hides="how late they were, and how many tokens they had",
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
        hides="which ones: with a cap on tokens long prompts crowd out others",
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
        hides="how long those who stayed had to be patient",
    ),
    Metric(
        "total_input_tokens",
        "tokens",
        NEITHER,
        lambda m: m.input_tokens,
        "prompt tokens of completed requests",
        240,
        kind=COUNT,
        hides="what was computed for requests that were not completed, or again",
    ),
    Metric(
        "total_output_tokens",
        "tokens",
        NEITHER,
        lambda m: m.output_tokens,
        "tokens emitted for completed requests",
        250,
        kind=COUNT,
        hides="what was emitted for requests that were not completed",
    ),
    Metric(
        "wasted_output_tokens",
        "tokens",
        LOWER,
        lambda m: m.wasted_output_tokens,
        "tokens emitted for aborted requests",
        255,
        kind=COUNT,
        hides="the seconds that they took from others",
    ),
    Metric(
        "wasted_input_tokens",
        "tokens",
        LOWER,
        lambda m: m.wasted_input_tokens,
        "prompt tokens computed for aborted requests",
        257,
        kind=COUNT,
        hides="prompts computed again after a preemption",
    ),
    _of_replay(
        "makespan_s",
        "s",
        LOWER,
        lambda m: m.makespan,
        "total inference time: first arrival to last token",
        10,
        ("total", "s"),
        hides="everything but the last request; below capacity the last arrival decides it",
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
        hides="full slots are no speed where a step's time grows with its sequences",
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
        hides="who waits; it is compared with a bound that may be loose",
    ),
    Metric(
        "request_throughput",
        "requests/s",
        HIGHER,
        lambda m: m.completed / m.seconds,
        "completed / measured_s",
        60,
        hides="that a request of 10 tokens counts as much as one of 10,000",
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
        hides="prompts, and how late the tokens are",
    ),
    Metric(
        "total_token_throughput",
        "tokens/s",
        HIGHER,
        lambda m: (m.input_tokens + m.output_tokens) / m.seconds,
        "(total_input_tokens + total_output_tokens) / measured_s",
        80,
        hides="that a prompt token costs a fraction of an output token",
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
        hides="by how much the others missed, and that a finished one may be of no use",
    ),
    Metric(
        "slo_attainment",
        "",
        HIGHER,
        lambda m: m.attained / m.limited if m.limited else float("nan"),
        "requests that keep the objective / offered ones that have one",
        200,
        ("SLO", "%"),
        ".1f",
        100,
        kind=SHARE,
        bounded=True,
        hides="by how much the others missed, and how many requests there were",
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
        hides="what each of them cost",
    ),
    Metric(
        "recomputed_tokens",
        "tokens",
        LOWER,
        lambda m: m.recomputed_tokens(),
        "tokens computed again after a preemption",
        230,
        kind=COUNT,
        hides="how long the preempted waited",
    ),
    Metric(
        "cached_tokens",
        "tokens",
        HIGHER,
        lambda m: m.cached_tokens(),
        "tokens of completed requests found in the prefix cache, but for those a preemption lost",
        232,
        form=",.0f",
        hides="what they would have cost: the first tokens of a prompt attend to few",
    ),
    Metric(
        "prefix_cache_hit_rate",
        "",
        HIGHER,
        lambda m: m.cached_tokens() / m.input_tokens if m.input_tokens else float("nan"),
        "cached_tokens / total_input_tokens",
        234,
        ("cache", "hit %"),
        ".1f",
        100,
        kind=SHARE,
        hides="whose prompts were found: a few long ones count as much as many short ones",
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
        hides="what a step costs",
    ),
    _of_replay(
        "prefill_steps",
        "",
        NEITHER,
        lambda m: m.prefill_steps(),
        "steps with prompt tokens",
        270,
        kind=COUNT,
        hides="how many tokens of prompts each has",
    ),
    _of_replay(
        "mean_batch",
        "",
        NEITHER,
        lambda m: m.mean_batch(),
        "sequences in a step",
        280,
        hides="that a few steps may be nearly empty and others full",
    ),
    _of_replay(
        "kv_peak_tokens",
        "tokens",
        NEITHER,
        lambda m: m.kv_peak_tokens(),
        "most tokens of all sequences at once, each one's whole context where they share blocks",
        310,
        kind=COUNT,
        hides="blocks that are reserved, shared or half full",
    ),
    _of_replay(
        "kv_mean_tokens",
        "tokens",
        NEITHER,
        lambda m: m.kv_mean_tokens(),
        "mean over time of the same",
        320,
        hides="the moments at which it was full",
    ),
    _of_replay(
        "kv_peak",
        "",
        NEITHER,
        lambda m: m.kv_peak(),
        "most blocks in use / usable; those that several hold count once, kept ones not at all",
        290,
        kind=SHARE,
        hides="for how long",
    ),
    _of_replay(
        "kv_mean",
        "",
        NEITHER,
        lambda m: m.kv_mean(),
        "mean over time of the same",
        300,
        kind=SHARE,
        hides="the moments at which it was full",
    ),
    _of_replay(
        "lower_bound_s",
        "s",
        NEITHER,
        lambda m: m.lower_bound,
        "no policy that completes these requests ends sooner: proven",
        50,
        hides="how far the best possible schedule is above it",
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
        hides="how much of it is the bound's own slack",
    ),
    Metric(
        "measured_s",
        "s",
        NEITHER,
        lambda m: m.measured_s,
        "first arrival to last token of the requests that count: all without a warm-up or window",
        330,
        hides="what came before and after",
    ),
    _of_replay(
        "first_wave",
        "",
        NEITHER,
        lambda m: m.first_wave(),
        "share of p99_ttft_ms that goes away without the requests that arrive first, together",
        340,
        kind=SHARE,
        hides="a slow start that is not one wave",
    ),
    Metric(
        "jain_index",
        "",
        HIGHER,
        lambda m: m.jain_index(),
        "Jain's index of class service per request-second: (sum)^2 / (classes * sum of squares)",
        350,
        kind=SHARE,
        hides="how good the service is: all may be served equally badly",
    ),
    Metric(
        "service_ratio",
        "",
        LOWER,
        lambda m: m.service_ratio(),
        "greatest class service per request-second / least",
        360,
        hides="all classes but two",
    ),
    Metric(
        "sessions",
        "",
        HIGHER,
        lambda m: m.sessions(),
        "sessions all of whose turns were completed",
        370,
        form=",.0f",
        kind=COUNT,
        hides="sessions that lack a turn, whatever became of their others",
    ),
    *(
        Metric(
            f"{statistic}_session_ms",
            "ms",
            LOWER,
            lambda m, statistic=statistic: m.session_ms(statistic),  # type: ignore[misc]
            f"{statistic} of: first turn's arrival to last turn's end, of those sessions",
            rank,
            form=",.0f",
            hides=f"{_HIDDEN[statistic]}; delays between turns, which no engine shortens",
        )
        for rank, statistic in enumerate(("mean", "p99"), 380)
    ),
]

RECORDED = tuple(_ALL)
"""The metrics in the order of a row."""
