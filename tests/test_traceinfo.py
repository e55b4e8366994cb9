"""What a trace holds: figures worked by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings

from llmsched.importers import Imported, read
from llmsched.trace import Trace
from llmsched.traceinfo import describe
from tests.importers.strategies import traces


def imported(trace: Trace) -> Imported:
    return Imported(trace, "native", len(trace), {}, ())


def test_the_figures_of_a_small_trace() -> None:
    trace = Trace.from_columns([0, 1, 1, 4], [1, 2, 3, 10], [5, 5, 5, 5], job_class=list("abab"))
    facts = describe(imported(trace))
    assert facts["span_s"] == 4
    assert facts["rate_per_s"] == 0.75  # three gaps in four seconds
    assert facts["gap_cv"] == pytest.approx((14 / 9) ** 0.5 / (4 / 3))  # gaps 1, 0, 3
    assert facts["simultaneous"] == 1
    assert facts["input_tokens"]["mean"] == 4
    assert facts["input_tokens"]["p50"] == 2.5
    assert facts["output_tokens"]["std"] == 0
    assert (facts["total_input_tokens"], facts["total_output_tokens"]) == (16, 20)
    assert facts["classes"] == {"a": 2, "b": 2}


def test_a_trace_that_arrives_at_once_has_no_rate() -> None:
    facts = describe(imported(Trace.from_columns([0, 0], [1, 1], [1, 1])))
    assert (facts["rate_per_s"], facts["gap_cv"], facts["span_s"]) == (None, None, 0)


@given(traces())
@settings(max_examples=60)
def test_the_record_is_json(trace: Trace) -> None:
    json.dumps(describe(imported(trace)), allow_nan=False)


def test_declared_limits_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    row = '{"timestamp": 0, "input_length": 5, "output_length": 6'
    path.write_text(f'{row}}}\n{row}, "max_tokens": 1200}}\n{row}, "max_tokens": 7}}\n')
    facts = describe(read(path))
    assert (facts["limits_declared"], facts["max_output_tokens"]["max"]) == (2, 1200)


def test_sessions_their_turns_and_delays_are_counted() -> None:
    nan = float("nan")
    session, delay = ["a", "a", "b", "", "a"], [0, 1, 0, 0, 3]
    trace = Trace.from_columns([0, nan, 2, 3, nan], [1] * 5, [1] * 5, session=session, delay=delay)
    facts = describe(imported(trace))["sessions"]
    assert (facts["count"], facts["requests"]) == (2, 4)
    assert (facts["turns"]["mean"], facts["turns"]["max"]) == (2.0, 3)
    assert (facts["delay_ms"]["mean"], facts["delay_ms"]["min"]) == (2000.0, 1000.0)
    json.dumps(facts, allow_nan=False)
    assert describe(imported(trace.take([0, 2])))["sessions"] is None


def test_priorities_are_counted() -> None:
    trace = Trace.from_columns([0] * 4, [1] * 4, [1] * 4, priority=[3, 0, -2, 3])
    assert describe(imported(trace))["priorities"] == {"levels": 3, "min": -2, "max": 3}
    plain = Trace.from_columns([0], [1], [1])
    assert describe(imported(plain))["priorities"] is None


def test_what_a_cache_may_save_is_told_with_who_says_it() -> None:
    ids = ((1, 2, 3), (1, 2, 4), (1, 5))
    trace = Trace.from_columns([0] * 3, [40, 40, 20], [5] * 3, hash_ids=ids, hash_block_size=16)
    assert describe(imported(trace))["prefixes"] == {
        "said_by": "block ids",
        "hash_block_size": 16,
        "ids": 5,
        "block_size": 16,
        "most_cached_tokens": 48,  # 32 of the second, 16 of the third
        "most_cached_share": 0.48,
    }
    nan = float("nan")
    chat = Trace.from_columns([0, nan], [20, 60], [20, 1], session=["a", "a"], delay=[0, 0])
    told = describe(imported(chat))["prefixes"]
    assert (told["said_by"], told["ids"], told["most_cached_tokens"]) == ("sessions", None, 32)
    assert describe(imported(Trace.from_columns([0], [1], [1])))["prefixes"] is None
