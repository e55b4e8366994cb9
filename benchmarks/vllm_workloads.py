"""Random workloads for schedulers of vLLM's kind: every feature, alone and with the others."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

STEP_TIME = {
    "base_ms": 8.0,
    "per_prefill_token_ms": 0.08,
    "per_decode_seq_ms": 0.05,
    "per_kv_token_ms": 3e-05,
}
SHAPES = ((3, 1), (8, 40), (60, 60), (300, 12), (5, 200), (700, 90), (40, 2))
"""Most tokens of a prompt and of an output."""

GAPS_S = ((0.0,), (0.0, 0.0, 0.02), (0.0081, 0.01, 0.3), (0.0, 0.0, 0.0, 0.0, 1.5))
"""Between arrivals: all at once, ties, one by one, bursts."""

FEATURES = ("caching", "async", "priority", "knobs")
SWITCHES = {"caching": "enable_prefix_caching", "async": "async_scheduling"}


def drawn(seed: int) -> dict[str, Any]:
    """Return a workload: what a recording has before anything is scheduled.

    The four features are on or off by the last bits of `seed`, so that 16 in a row have them all.
    """
    draw = random.Random(seed)
    on = [feature for bit, feature in enumerate(FEATURES) if seed >> bit & 1]
    size = draw.choice((1, 4, 16, 16, 32))
    tokens = list(_token_streams(draw))
    lengths = [(prompt, len(stream) - prompt) for prompt, stream in tokens]
    slots = draw.choice((1, 2, 4, 8, 32, 256))
    budget = max(slots, draw.choice((1, 7, 33, 128, 512, 2048)))
    need = max(-(-(prompt + output) // size) for prompt, output in lengths)
    spare = draw.choice((0, 1, need // 2, 2 * need, 20 * need))
    config: dict[str, Any] = {
        "max_num_seqs": slots,
        "max_num_batched_tokens": budget,
        "num_gpu_blocks": need + 1 + spare,
        "block_size": size,
        "policy": "priority" if "priority" in on else "fcfs",
    }
    config |= {SWITCHES[feature]: True for feature in on if feature in SWITCHES}
    if "knobs" in on:
        config |= _knobs(draw, slots, budget)
    workload: dict[str, Any] = {
        "name": f"drawn_{seed}",
        "note": f"{len(tokens)} requests, {', '.join(on) or 'no feature'}",
        "config": config,
        "step_time": STEP_TIME,
        "requests": [
            [arrival, *length] for arrival, length in zip(_arrivals(draw), lengths, strict=False)
        ],
    }
    if "priority" in on:
        levels = draw.choice((1, 3, 1000))
        workload["priorities"] = [draw.randrange(levels) for _ in tokens]
    if "caching" in on:
        workload["block_ids"] = block_ids([stream for _, stream in tokens], size)
    return workload


def _token_streams(draw: random.Random) -> Iterator[tuple[int, list[int]]]:
    """Yield prompt length and tokens of requests: fresh ones, shared beginnings, and next turns."""
    count, fresh = draw.randint(3, 60), iter(range(10**9))
    most_prompt, most_output = draw.choice(SHAPES)
    systems = [_fresh(fresh, draw.randint(1, most_prompt)) for _ in range(3)]
    talks: list[list[int]] = []
    for _ in range(count):
        kind = draw.random()
        if kind < 0.3 and talks:
            begun = draw.choice(talks)
        elif kind < 0.7:
            begun = draw.choice(systems)
        else:
            begun = []
        begun = begun[: 4 * most_prompt]
        prompt = begun + _fresh(fresh, draw.randint(0 if begun else 1, most_prompt))
        whole = prompt + _fresh(fresh, draw.randint(1, most_output))
        talks.append(whole)
        yield len(prompt), whole


def _fresh(numbers: Iterator[int], count: int) -> list[int]:
    return [next(numbers) for _ in range(count)]


def _arrivals(draw: random.Random) -> Iterator[float]:
    """Yield whole microseconds, in seconds."""
    gaps, time = draw.choice(GAPS_S), draw.choice((0.0, 0.5))
    while True:
        yield round(time, 6)
        time += draw.choice(gaps) * draw.choice((1.0, 1.0, draw.random()))


def _knobs(draw: random.Random, slots: int, budget: int) -> dict[str, Any]:
    """Return some of vLLM's other knobs, none of them at its default."""
    threshold = draw.randint(1, max(1, budget))
    every: list[dict[str, Any]] = [
        {"long_prefill_token_threshold": threshold},
        {
            "long_prefill_token_threshold": threshold,
            "long_prefill_token_threshold_adaptive": True,
        },
        {"scheduler_reserve_full_isl": False},
        {"watermark": draw.choice((0.01, 0.1, 0.35))},
        {"max_num_active_seqs": draw.randint(1, slots)},
        {"prefill_schedule_interval": draw.randint(2, 6)},
    ]
    chosen: dict[str, Any] = {}
    for knobs in draw.sample(every, draw.choice((1, 1, 2, len(every)))):
        chosen |= knobs
    return chosen


def block_ids(streams: list[list[int]], size: int) -> list[list[int]]:
    """Return a number for each full block: equal ones are equal tokens from the beginning on."""
    numbers: dict[tuple[int, tuple[int, ...]], int] = {}
    found: list[list[int]] = []
    for stream in streams:
        row: list[int] = []
        for start in range(0, len(stream) - size + 1, size):
            key = (row[-1] if row else -1, tuple(stream[start : start + size]))
            row.append(numbers.setdefault(key, len(numbers)))
        found.append(row)
    return found
