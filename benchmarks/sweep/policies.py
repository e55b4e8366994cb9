"""Policies to draw from: the named ones, every composition with its parameters, adversaries."""

from __future__ import annotations

from dataclasses import fields

from numpy.random import Generator

from benchmarks.sweep.adversary import Contrary, Lifo, Reluctant
from llmsched.catalog import find, parts
from llmsched.contract import BatchingRule, Policy
from llmsched.policies import NAMED
from tests.cases import AnyStep

VALUES: dict[str, tuple[object, ...]] = {
    "seed": (0, 1, 7),
    "steal": ("true", "false"),
    "align": (-1, 0, 2, 16),
    "tolerance": (0.0, 0.01, 0.5, 1e9),
    "multiplier": (0.0, 0.1, 0.5, 1.0, 20.0),
    "extra_rounds": (0, 1, 6, 48, 1000),
    "adapt": ("true", "false"),
    "token_budget": (1, 7, 64, 512, 100_000),
    "split": ("true", "false"),
    "decode": ("true", "false"),
    "ageing": (0.0, 0.5, 100.0),
    "output_weight": (0.0, 1.0, 7.5),
}
"""What to set a part's parameter of this name to; others keep their defaults."""

_ADVERSARY, _CASES = "benchmarks/sweep/adversary.py", "tests/cases.py"


def draw(rng: Generator, mixed: bool, drips: bool) -> Policy:
    """Draw a policy, named so that `llmsched simulate --policy` knows it from the root.

    Parameters
    ----------
    mixed : bool
        Whether the profile prices mixed steps; if not, the policy does not need any.
    drips : bool
        Whether the trace is small enough for a policy that takes a token at a time.
    """
    while True:
        policy = _any(rng, mixed, drips)
        if mixed or not policy.rule.mixed:
            return policy


def _any(rng: Generator, mixed: bool, drips: bool) -> Policy:
    kind = rng.random()
    if kind < 0.05:
        return NAMED["hybrid"]  # it has most that can go wrong
    if kind < 0.4:
        return NAMED[str(rng.choice(list(NAMED)))]
    composed = find(f"{_part(rng, 'orders', drips)}+{_part(rng, 'batching', drips)}")
    if kind < 0.75:
        return composed
    order = (
        Policy(f"{_ADVERSARY}:Lifo", Lifo(), composed.rule),
        Policy(f"{_ADVERSARY}:Reluctant", Reluctant(), composed.rule),
        find(composed.name.partition("+")[0]),
    )[rng.integers(3)]
    if kind < 0.8 or not drips:
        name = f"{order.name}+{composed.name.partition('+')[2]}"
        return Policy(name, order.order, composed.rule)
    seed = int(rng.integers(10**6))
    both = bool(mixed and rng.random() < 0.7)
    adversaries: tuple[tuple[str, BatchingRule], ...] = (
        (f"{_CASES}:AnyStep", AnyStep(seed, both)),
        (f"{_ADVERSARY}:Contrary", Contrary(seed, both)),
    )
    name, made = adversaries[rng.integers(2)]
    words = f"seed={seed}:mixed={str(both).lower()}"
    return Policy(f"{order.name}+{name}:{words}", order.order, made)


def _part(rng: Generator, kind: str, drips: bool) -> str:
    known = parts(kind)
    name = str(rng.choice(list(known)))
    words = [name]
    for field in fields(known[name]):
        if field.name in VALUES and rng.random() < 0.5:
            value = str(rng.choice(list(map(str, VALUES[field.name]))))
            if drips or field.name != "token_budget":
                words.append(f"{field.name}={value}")
    return ":".join(words)
