"""What every result carries."""

from __future__ import annotations

import json
import math

from llmsched import __version__
from llmsched.config import EngineConfig
from llmsched.hardware import load_profile
from llmsched.records import finite, record_inputs, record_trace
from llmsched.trace import Trace

TRACE = Trace.from_columns([0.0, 1.0], [3, 4], [5, 6], name="two", note="made up")


def test_a_trace_is_recorded_with_its_hash_and_counts() -> None:
    assert record_trace(TRACE) == {
        "name": "two",
        "note": "made up",
        "sha256": TRACE.sha256,
        "requests": 2,
        "input_tokens": 7,
        "output_tokens": 11,
    }


def test_all_that_a_replay_depends_on_is_recorded_as_json() -> None:
    profile = load_profile("llama65b-8gpu-paper")
    config = EngineConfig(max_num_seqs=7, num_gpu_blocks=None)
    record = record_inputs(TRACE, profile, config)
    assert json.loads(json.dumps(record)) == record
    assert record["llmsched"] == __version__
    assert record["trace"] == record_trace(TRACE)
    assert record["engine"]["max_num_seqs"] == 7
    assert record["hardware"]["name"] == "llama65b-8gpu-paper"
    assert record["hardware"]["provenance"]["status"] == "calibrated"


def test_numbers_that_json_has_not_become_null() -> None:
    row = {"a": math.nan, "b": math.inf, "c": 1.5, "d": 3, "e": "nan"}
    assert finite(row) == {"a": None, "b": None, "c": 1.5, "d": 3, "e": "nan"}
