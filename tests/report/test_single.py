"""One replay, as a page and as JSON."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from llmsched.catalog import find
from llmsched.config import EngineConfig
from llmsched.metrics import summarize
from llmsched.replay import simulate
from llmsched.report.single import render_json, render_single
from llmsched.report.tables import requests_csv
from llmsched.trace import Trace
from tests.hand import STAGES, outputs, replay

HOW: dict[str, Any] = {"lengths": "oracle", "seed": 0, "concurrency": None, "slo": None}
HAND = replay("fcfs", outputs(4, 2, 3), 2)

PAGE = """\
fcfs on hand (3 requests)
  stages, 2 slots, oracle lengths

total inference time     4.750 s  lower bound 3.800 s, gap 25.00 %
utilization              92.11 %  of slot-seconds computing
efficiency               80.00 %  least engine time for this work / total
output throughput      1.9 tok/s  0.63 req/s, 3 tok/s with input
steps                          5  2 with prefill, mean batch 1.8
preemptions                    0  0 tokens again
KV cache at peak           7 tok  no limit on KV blocks
longest gap           1,750.0 ms  in 0: prefill, most tokens of 2

ms                        mean   median      p90      p95      p99
queueing                 666.7      0.0  1,600.0  1,800.0  1,960.0
time to first token    1,583.3  1,000.0  2,400.0  2,575.0  2,715.0
time per output token  1,083.3  1,000.0  1,200.0  1,225.0  1,245.0
inter-token latency    1,125.0  1,000.0  1,375.0  1,562.5  1,712.5
end-to-end latency     3,833.3  4,750.0  4,750.0  4,750.0  4,750.0
"""


def test_the_page_says_all_in_80_columns() -> None:
    page = render_single(HAND, summarize(HAND, lower_bound_s=3.8, least_work_s=3.8), HOW)
    assert page == PAGE
    assert max(map(len, page.splitlines())) <= 80


def test_objectives_blocks_and_a_closed_loop_are_shown_when_they_were_given() -> None:
    result = replay("fcfs", outputs(4, 2, 3), 2, concurrency=2, num_gpu_blocks=5)
    slo = {"ttft_ms": 1000.0}
    how = HOW | {"lengths": "noisy:0.3", "seed": 7, "concurrency": 2, "slo": slo}
    page = render_single(result, summarize(result, slo=slo), how)
    assert "  stages, 2 slots, noisy:0.3 lengths (seed 7), closed loop of 2 users\n" in page
    assert re.search(r"^SLO attained +100.00 %  ttft_ms <= 1000; goodput 0.63", page, re.MULTILINE)
    assert "blocks: 50.0 % at peak" in page


def test_hits_of_the_prefix_cache_are_shown_where_there_is_one() -> None:
    config = EngineConfig(2, block_size=1, enable_prefix_caching=True)
    trace = Trace.from_columns(
        [0.0, 9.0], [2, 3], [1, 1], hash_ids=((1, 2), (1, 2, 3)), hash_block_size=1
    )
    result = simulate(trace, STAGES, find("fcfs"), config)
    page = render_single(result, summarize(result), HOW)
    assert re.search(r"^prefix cache hits +40\.0 %  2 tokens of prompts$", page, re.MULTILINE)
    header, first, second = requests_csv(result).splitlines()
    column = header.split(",").index("cached_tokens")
    assert header.split(",")[column - 1] == "emitted_tokens"
    assert [line.split(",")[column] for line in (first, second)] == ["0", "2"]
    assert "cached_tokens" not in requests_csv(HAND)


def test_the_page_of_a_busy_fleet_still_fits_80_columns() -> None:
    result = replay("fcfs", outputs(4, 2, 3), 2, num_gpu_blocks=5)
    row = summarize(result, lower_bound_s=3.8)
    busy = {
        "output_throughput": 88795.2,
        "request_throughput": 225.51,
        "total_token_throughput": 110541.0,
        "kv_peak_tokens": 11_119_296,
        "kv_peak": 1.0,
        "kv_mean": 1.0,
        "makespan_s": 431_480.1,
        "lower_bound_s": 431_480.1,
        "gap_percent": 100.0,
    }
    page = render_single(result, row | busy, HOW)
    assert max(map(len, page.splitlines())) <= 80


def test_what_has_no_sample_is_a_dash() -> None:
    result = replay("fcfs", outputs(1), 1)
    page = render_single(result, summarize(result), HOW)
    assert re.search(r"^inter-token latency( +–){5}$", page, re.MULTILINE)
    assert re.search(r"^efficiency +–  least", page, re.MULTILINE)


def test_long_names_and_notes_are_wrapped() -> None:
    trace = Trace.from_columns(
        [0, 0], [1, 1], [9, 9], name="a/long/path/to/" * 5 + "t.jsonl", note="a long story " * 12
    )
    result = simulate(trace, STAGES, find("hybrid"), EngineConfig(max_num_seqs=1))
    page = render_single(result, summarize(result), HOW)
    assert result.detail in " ".join(page.split())
    assert " ".join(trace.note.split()) in " ".join(page.split())
    too_long = [line for line in page.splitlines() if len(line) > 80 and " " in line.strip()]
    assert too_long == []


def test_json_holds_the_row_and_everything_it_was_computed_from() -> None:
    row = summarize(HAND)
    document = json.loads(render_json(HAND, row, HOW))
    assert list(document) == [
        "schema_version",
        "llmsched",
        "trace",
        "hardware",
        "engine",
        "lengths",
        "seed",
        "concurrency",
        "slo",
        "policy_detail",
        "results",
    ]
    (result,) = document["results"]
    assert result.pop("policy") == "fcfs"
    assert list(result) == list(row)
    assert result["makespan_s"] == 4.75
    assert result["lower_bound_s"] is None  # NaN: JSON has none
    assert document["policy_detail"] == "Fcfs() + PrefillFirst()"


@pytest.mark.parametrize("stat", ["mean", "median", "p90", "p95", "p99"])
@pytest.mark.parametrize("name", ["ttft", "tpot", "itl", "e2el", "queue"])
def test_each_latency_is_in_milliseconds_under_vllms_name(stat: str, name: str) -> None:
    assert f"{stat}_{name}_ms" in summarize(HAND)


def test_latencies_of_many_days_stand_apart_within_80_columns() -> None:
    days = summarize(HAND, lower_bound_s=3.8) | {"mean_ttft_ms": 4_500_070.0}
    days |= dict.fromkeys(("median_ttft_ms", "p90_ttft_ms", "p95_ttft_ms"), 123_456_789.5)
    page = render_single(HAND, days, HOW)
    words = page.split()
    assert "4,500,070.0" in words
    assert words.count("123,456,789.5") == 3
    assert max(map(len, page.splitlines())) <= 80


def test_bounds_stand_under_their_latencies_with_the_schedules_that_they_hold_for() -> None:
    slo = {"ttft_ms": 2000.0}
    row = summarize(HAND, lower_bound_s=3.8, least_work_s=3.8, slo=slo)
    proven: dict[str, Any] = {
        f"{name}_ttft_ms": {"value": 500.0, "scope": "every schedule"}
        for name in ("mean", "median", "p90", "p95", "p99")
    }
    proven["mean_ttft_ms"]["limited"] = {"value": 1000.0, "scope": "schedules without preemption"}
    proven["slo_attainment"] = {
        "value": 0.9,
        "scope": "every schedule",
        "limited": {"value": 0.75, "scope": "schedules without preemption"},
    }
    page = render_single(HAND, row, HOW | {"slo": slo}, proven=proven)
    assert re.search(r"^time to first token .*\n  lower bound( +500\.0){5}$", page, re.MULTILINE)
    words = " ".join(page.split())
    assert "upper bound 90.00 %" in words
    assert "Bounds hold for every schedule. For schedules without preemption: mean_ttft_ms" in words
    assert "mean_ttft_ms at least 1,000.0 ms." in words
    assert "slo_attainment at most 75.00 %." in words
    assert max(map(len, page.splitlines())) <= 80
    assert json.loads(render_json(HAND, row, HOW, proven=proven))["bounds"] == proven
    assert "bounds" not in json.loads(render_json(HAND, row, HOW))


CHAT = Trace.from_columns(
    [0, float("nan")], [2, 2], [3, 2], session=["a", "a"], delay=[0, 2], name="chat"
)


def test_the_page_names_sessions_and_their_times() -> None:
    result = simulate(CHAT, STAGES, find("fcfs"), EngineConfig(1))
    page = render_single(result, summarize(result), HOW)
    assert "\nsessions                       1  7,000.0 ms mean, 7,000.0 ms p99, from first" in page
    assert "sessions" not in PAGE


def test_the_file_of_requests_says_whose_turn_each_is_only_where_there_are_sessions() -> None:
    lines = requests_csv(simulate(CHAT, STAGES, find("fcfs"), EngineConfig(1))).splitlines()
    assert lines[0].endswith(",session,turn")
    assert [line.rpartition(",a,")[2] for line in lines[1:]] == ["0", "1"]
    assert "session" not in requests_csv(HAND).splitlines()[0]
