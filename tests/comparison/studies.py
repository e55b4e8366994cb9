"""A small study that runs in milliseconds a row."""

from __future__ import annotations

import numpy as np

from llmsched.comparison.study import Cell, Study
from llmsched.config import EngineConfig
from llmsched.documents.result import Cases
from llmsched.hardware import load_profile
from llmsched.scenario import TraceSource
from llmsched.trace import Trace


def small_study(
    *, cases: Cases | None = None, lengths: str = "oracle", requests: int = 30, seed: int = 0
) -> Study:
    """Return a study of two policies on a trace of random lengths."""
    rng = np.random.default_rng(7)
    trace = Trace.from_columns(
        np.sort(rng.uniform(0, 5, requests)),
        rng.integers(1, 100, requests),
        rng.integers(1, 60, requests),
    )
    cell = Cell(
        label={},
        trace=trace,
        hardware=load_profile("llama65b-8gpu-paper"),
        engine=EngineConfig(max_num_seqs=4),
        lengths=lengths,
        source=TraceSource("t.jsonl"),
    )
    return Study((cell,), ("fcfs", "ljf"), seed=seed, cases=cases)
