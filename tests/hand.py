"""Small replays whose times can be worked out on paper: all prices are sums of powers of two."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llmsched.catalog import find
from llmsched.config import EngineConfig
from llmsched.contract import Policy
from llmsched.engine import SimulationResult
from llmsched.hardware import HardwareProfile
from llmsched.hardware.affine import Affine
from llmsched.hardware.stages import Stages
from llmsched.replay import simulate
from llmsched.trace import Trace

STAGES = HardwareProfile("stages", Stages(decode_round=1.0, per_stage=0.5, per_token=0.25))
"""A decode round takes 1 s, a prefill stage 0.5 s + 0.25 s a token."""

MIXED = HardwareProfile("mixed", Affine(per_step=1.0, per_prefill_token=0.25, per_decode_seq=0.125))
"""A step takes 1 s + 0.25 s a prompt token + 0.125 s a decoding sequence."""

Row = tuple[float, int, int]


def outputs(*output_tokens: int) -> list[Row]:
    """Return requests of these output lengths, at time 0, with a prompt of one token each."""
    return [(0.0, 1, tokens) for tokens in output_tokens]


def trace_of(rows: Sequence[Row], name: str = "hand") -> Trace:
    """Return a trace of (arrival, input tokens, output tokens)."""
    arrival, prompt, output = zip(*rows, strict=True)
    return Trace.from_columns(arrival, prompt, output, name=name)


def replay(
    policy: Policy | str,
    rows: Sequence[Row],
    slots: int,
    hardware: HardwareProfile = STAGES,
    *,
    predicted: Sequence[int] | None = None,
    concurrency: int | None = None,
    **knobs: Any,
) -> SimulationResult:
    """Replay `rows` on that many slots."""
    return simulate(
        trace_of(rows),
        hardware,
        find(policy) if isinstance(policy, str) else policy,
        EngineConfig(max_num_seqs=slots, **knobs),
        predicted=None if predicted is None else np.array(predicted),
        concurrency=concurrency,
    )


def steps(result: SimulationResult) -> list[tuple[float, int, int, int, int]]:
    """Return rows of (start, rounds, prefill tokens, prefilled sequences, decodes)."""
    names = ("start_s", "rounds", "prefill_tokens", "prefill_seqs", "decode_seqs")
    start, *counts = (result.column(name).tolist() for name in names)
    whole = [[int(count) for count in column] for column in counts]
    return list(zip(start, *whole, strict=True))


def admissions(result: SimulationResult) -> list[int]:
    """Return the requests in the order in which they were admitted."""
    return [int(i) for i in np.argsort(result.admitted, kind="stable")]


def token_gaps(result: SimulationResult) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return every gap between two tokens of a sequence in seconds, and how often it occurs."""
    found = [(result.resume_gap, np.ones(len(result.resume_gap), np.int64))]
    for work in result.works:
        gaps = work.gaps
        found.append((np.array(gaps.once), np.array(gaps.once_seqs, np.int64)))
        for first, rounds, seqs in zip(gaps.first, gaps.further, gaps.further_seqs, strict=True):
            longer = gaps.per_kv_token * seqs
            j = np.arange(1, rounds + 1) if longer else np.zeros(1)
            often = np.full(len(j), seqs if longer else seqs * rounds)
            found.append((np.array(first + longer * j), often))
    seconds, often = (np.concatenate(column) for column in zip(*found, strict=True))
    assert (often >= 0).all()
    return seconds[often > 0], often[often > 0]
