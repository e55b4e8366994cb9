"""Synthetic traces: seeded arrivals and lengths, drawn from a family or like another trace's."""

from __future__ import annotations

from inspect import signature
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from llmsched.clock import LONGEST_S, seconds
from llmsched.config import MOST_IN_A_BLOCK
from llmsched.errors import InputError
from llmsched.importers import load
from llmsched.schema import shown
from llmsched.synthesize.distributions import (
    Arrivals,
    Beta,
    LengthDistribution,
    Lengths,
    LengthsLike,
    Uniform,
    parse_lengths,
)
from llmsched.synthesize.shared import Prefixes
from llmsched.trace import Trace

__all__ = [
    "Arrivals",
    "Beta",
    "Lengths",
    "Prefixes",
    "Uniform",
    "draw",
    "generate",
    "parse_lengths",
    "prefixes_of",
    "sampled",
]

MAX_REQUESTS = 10**7


def generate(
    *,
    requests: int | None = None,
    arrivals: str | None = None,
    input_length: str | None = None,
    output_length: str | None = None,
    turns: str | None = None,
    delay_ms: str | None = None,
    prefixes: str | None = None,
    prefix_length: str | None = None,
    hash_block_size: int | None = None,
    like: str | None = None,
    seed: int = 0,
    **unknown: object,
) -> Trace:
    """Return a synthetic trace; the same arguments give the same trace.

    Parameters
    ----------
    requests : int, optional
        How many; as many as `like` has if not given.
    arrivals : str, optional
        ``offline`` (the default), ``poisson:RATE`` or ``gamma:RATE:CV``, in requests per second.
    input_length, output_length : str, optional
        ``fixed:N``, ``uniform:LOW:HIGH`` (both included), ``lognormal:MEAN:STD[:CAP]``,
        ``gamma:MEAN:STD[:CAP]`` or ``beta:MEAN:STD:MOST``, in tokens.
    turns : str, optional
        How many requests a session has, in the same forms. Arrivals are those of sessions then, and
        inputs what a turn adds to the prompt and the answer before it. The last session may be cut.
    delay_ms : str, optional
        Milliseconds from the end of a turn to the next one, in the same forms; none if not given.
    prefixes : str, optional
        How many prefixes (system prompts) prompts begin with, each shared by many: ``N``, drawn
        evenly, or ``N:EXPONENT``, by Zipf's law. Inputs are what a request adds to its prefix; a
        session keeps its own. The trace then names its blocks by ids.
    prefix_length : str, optional
        Tokens of each prefix, in the forms of lengths.
    hash_block_size : int, optional
        Tokens of a block that an id names; 16 if not given.
    like : str, optional
        A trace file: what is not given above follows its marginals (the distribution of each
        length, the rate and the burstiness of arrivals), each on its own.
    seed : int

    Raises
    ------
    InputError
        A parameter is unknown, missing, malformed or out of range.
    """
    if unknown:
        known = ", ".join(name for name in signature(generate).parameters if name != "unknown")
        raise InputError(f"generate: expected only {known}; got {next(iter(unknown))!r}")
    sample = None if like is None else load(_text("like", like))
    if sample is not None and requests is None:
        requests = len(sample)
    if arrivals is None:
        when = Arrivals() if sample is None else Arrivals.like(sample)
    else:
        when = Arrivals.parse(_text("arrivals", arrivals))
    given = {"input_length": input_length, "output_length": output_length}
    lengths = [_lengths(field, text, sample) for field, text in given.items()]
    if turns is None and delay_ms is not None:
        raise InputError("generate: delay_ms: expected beside turns, between which it is")
    spoken = {"turns": turns, "delay_ms": delay_ms}
    sessions = [
        None if text is None else parse_lengths(field, _text(field, text))
        for field, text in spoken.items()
    ]
    begun = {
        "prefixes": prefixes, "prefix_length": prefix_length, "hash_block_size": hash_block_size,
    }  # fmt: skip
    settings = {"requests": requests, "arrivals": arrivals, **given, **spoken, **begun}
    settings |= {"like": like, "seed": seed}
    said = ", ".join(f"{name} {value}" for name, value in settings.items() if value is not None)
    shared = prefixes_of(prefixes, prefix_length, hash_block_size)
    note = f"synthetic: {said}"
    return draw(requests, when, *lengths, *sessions, shared=shared, seed=seed, note=note)


def _lengths(field: str, text: object, sample: Trace | None) -> LengthDistribution:
    """Return a distribution of lengths, that of the sample where none is asked for."""
    if text is not None:
        return parse_lengths(field, _text(field, text))
    if sample is None:
        raise InputError(f"generate: {field}: expected a distribution, or a trace to be like")
    return LengthsLike(sample.input_tokens if field == "input_length" else sample.output_tokens)


def prefixes_of(
    prefixes: object, prefix_length: object, hash_block_size: object
) -> Prefixes | None:
    """Return the prefixes that were asked for, as in `generate`; None if none were.

    Raises
    ------
    InputError
        A parameter is missing, there without prefixes, malformed or out of range.
    """
    if prefixes is None:
        more = {"prefix_length": prefix_length, "hash_block_size": hash_block_size}
        for field, value in more.items():
            if value is not None:
                raise InputError(f"{field}: expected beside prefixes, of which it says more")
        return None
    if prefix_length is None:
        raise InputError("prefix_length: expected a distribution, beside prefixes")
    lengths = parse_lengths("prefix_length", _text("prefix_length", prefix_length))
    size = 16 if hash_block_size is None else hash_block_size
    size = _integer("hash_block_size", size, 1, MOST_IN_A_BLOCK)
    return Prefixes.parse(_text("prefixes", prefixes), lengths, size)


def draw(
    requests: object,
    arrivals: Arrivals,
    input_lengths: LengthDistribution,
    output_lengths: LengthDistribution,
    turns: LengthDistribution | None = None,
    delays_ms: LengthDistribution | None = None,
    *,
    shared: Prefixes | None = None,
    seed: object,
    note: str = "synthetic",
) -> Trace:
    """Return a synthetic trace of `requests` requests.

    Arrivals, inputs and outputs are drawn independently, each from a stream of its own, so that
    changing one of them leaves the others as they were.

    Raises
    ------
    InputError
        `requests` or `seed` is out of range, or the trace would last longer than 272 years.
    """
    n = _integer("requests", requests, 1, MAX_REQUESTS)
    root = np.random.SeedSequence(_integer("seed", seed, 0, 2**63))
    streams = [np.random.default_rng(child) for child in root.spawn(7)]
    session = np.arange(n) if turns is None else _sessions(turns, n, streams[3])
    when = arrivals.draw(int(session[-1]) + 1, streams[0])
    if not when[-1] < LONGEST_S:
        raise InputError(f"arrivals: {n} requests at {arrivals.rate} a second take over 272 years")
    come = seconds(np.rint(when * 1e9).astype(np.int64))[session]
    output = output_lengths.draw(n, streams[2])
    later = np.concatenate(([False], session[1:] == session[:-1]))
    prompt = _grown(input_lengths.draw(n, streams[1]), output, later)
    columns: dict[str, Any] = {"name": "synthetic", "note": note}
    if shared is not None:
        begun = shared.draw(session, streams[5], streams[6])
        prompt = prompt + begun.tokens
        columns |= {"hash_ids": begun.ids(prompt), "hash_block_size": shared.block_size}
    if turns is not None:
        delay = np.zeros(n) if delays_ms is None else delays_ms.draw(n, streams[4]) / 1e3
        come = np.where(later, np.nan, come)
        columns["session"] = [str(number) for number in session.tolist()]
        columns["delay"] = np.where(later, delay, 0.0)
    return Trace.from_columns(come, prompt, output, **columns)


def _sessions(turns: LengthDistribution, n: int, rng: Generator) -> NDArray[np.int64]:
    """Return the session of each of `n` requests, rising from 0."""
    lengths = np.zeros(0, np.int64)
    while lengths.sum() < n:
        lengths = np.concatenate((lengths, turns.draw(1 + (n - int(lengths.sum())) // 2, rng)))
    ends = np.cumsum(lengths)
    return np.searchsorted(ends, np.arange(n), side="right")


def _grown(
    prompt: NDArray[np.int64], output: NDArray[np.int64], later: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Return prompts that hold those of the turns before, and their answers."""
    answered = np.cumsum(prompt + output) - output  # after each prompt, over all sessions
    head = np.maximum.accumulate(np.where(later, 0, np.arange(len(later))))
    grown: NDArray[np.int64] = answered - (answered - prompt)[head]
    return grown


def sampled(trace: Trace, requests: int, seed: int) -> Trace:
    """Return `requests` different requests of `trace`, drawn evenly, at their own times.

    Raises
    ------
    InputError
        `requests` is not in 1..len(trace), or `seed` is negative.
    """
    size = _integer("requests", requests, 1, len(trace))
    rng = np.random.default_rng(_integer("seed", seed, 0, 2**63))
    return trace.take(rng.choice(len(trace), size, replace=False))


def _integer(field: str, value: object, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise InputError(f"{field}: expected an integer in {least}..{most}, got {shown(value)}")
    return value


def _text(field: str, value: object) -> str:
    if not isinstance(value, str):
        raise InputError(f"{field}: expected text, got {shown(value)}")
    return value
