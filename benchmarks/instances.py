"""Packing instances from parameters and a seed: sizes to put on a given number of slots.

The kinds follow what the literature on parallel machines and bin packing draws (Haouari and
Jemmali; Mrad and Souayah; França; triplets by Falkenauer), and answer lengths of language models.
tests/recorded/public-cases/planner/cases.jsonl names instances whose optimum is known.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random
from typing import Any

KINDS: dict[str, Callable[[Random, int], int]] = {
    "u1_100": lambda rng, _: rng.randint(1, 100),
    "u20_100": lambda rng, _: rng.randint(20, 100),
    "u50_100": lambda rng, _: rng.randint(50, 100),
    "u1_1000": lambda rng, _: rng.randint(1, 1000),
    "u1_10000": lambda rng, _: rng.randint(1, 10_000),
    "un_4n": lambda rng, n: rng.randint(n, 4 * n),
    "n100_20": lambda rng, _: max(1, round(rng.gauss(100, 20))),
    "n100_50": lambda rng, _: max(1, round(rng.gauss(100, 50))),
    "n4n_n": lambda rng, n: max(1, round(rng.gauss(4 * n, n))),
    "nonuniform_1000": lambda rng, _: (
        rng.randint(900, 1000) if rng.random() < 0.98 else rng.randint(1, 200)
    ),
    "llm": lambda rng, _: _rounds(rng, math.log(345) - 0.13, 0.51, 1023),
    "reason": lambda rng, _: _rounds(rng, 8.5, 0.6, 16_383),
}
"""One size of each kind, from a generator and the number of sizes."""


def instance(case: dict[str, Any]) -> list[int]:
    """Return the sizes of a line of cases.jsonl, the same for the same parameters and seed."""
    if case["kind"] == "triplets":
        return _triplets(case["m"], case["C"], case["seed"])
    kind, n = case["kind"], case["n"]
    rng = Random(f"{kind}/{n}/{case['m']}/{case['seed']}")
    return [KINDS[kind](rng, n) for _ in range(n)]


def _triplets(bins: int, capacity: int, seed: int) -> list[int]:
    """Return sizes that fill `bins` bins to the brim, three in each, all near a third."""
    rng = Random(f"triplet/{bins}/{capacity}/{seed}")
    low, high = capacity // 4, capacity // 2
    sizes: list[int] = []
    while len(sizes) < 3 * bins:
        two = [rng.randint(low + 1, high - 1) for _ in range(2)]
        if low < capacity - sum(two) < high:
            sizes += [*two, capacity - sum(two)]
    rng.shuffle(sizes)
    return sizes


def _rounds(rng: Random, mu: float, sigma: float, most: int) -> int:
    """Return the decode rounds of an answer of lognormal length."""
    return min(most, max(0, round(rng.lognormvariate(mu, sigma)) - 1))
