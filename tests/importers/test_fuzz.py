"""Mutated files: a valid trace or one line that names a line; benchmarks/fuzz.py does more."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.fuzz import fuzz, outcome
from llmsched.importers import TraceOptions, _table, _values


def test_a_mutated_file_is_a_trace_or_is_refused_by_line() -> None:
    outcomes = fuzz(4000, seed=6)
    assert set(outcomes) == {"trace", "refused"}
    assert min(outcomes.values()) > 400


def test_the_check_notices_a_length_that_the_file_does_not_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def clipped(value: object, label: str) -> int:
        return min(int(value), 500)  # type: ignore[call-overload, no-any-return]  # a bad peer

    monkeypatch.setattr(_values, "count", clipped)
    monkeypatch.setattr(_table, "count", clipped)
    with pytest.raises(AssertionError, match="a length that is not in the file"):
        outcome(
            tmp_path / "trace.jsonl",
            b'{"timestamp": 0, "input_length": 501, "output_length": 6}',
            TraceOptions(),
        )


def test_the_mutants_differ_from_seed_to_seed() -> None:
    from benchmarks.fuzz import fixtures, mutants

    firsts = [next(mutants(seed, fixtures())) for seed in range(20)]
    assert len(set(firsts)) > 15
    assert firsts[3] == next(mutants(3, fixtures()))
    assert np.mean([first in fixtures() for first in firsts]) < 0.2
