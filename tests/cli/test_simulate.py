"""llmsched simulate: one trace, one policy."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from llmsched.policies import NAMED
from tests.cli.conftest import Outcome

Run = Callable[..., Outcome]

TRACE = (
    '{"id": "a", "timestamp": 0, "input_length": 3, "output_length": 2}\n'
    '{"id": "b", "timestamp": 1000, "input_length": 4, "output_length": 1}\n'
)
PROFILE = """\
schema_version: 1
name: hand
engine: {max_num_seqs: 2}
step_time: {kind: affine, unit: ms, per_step: 1000, per_prefill_token: 250, per_decode_seq: 125}
"""


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    path = tmp_path / "two.jsonl"
    path.write_text(TRACE)
    return path


def test_without_a_trace_the_papers_is_replayed(llmsched: Run) -> None:
    outcome = llmsched("simulate", "--policy", "fcfs")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith("fcfs on gsm8k-llama65b.jsonl (1,319 requests)\n")
    assert "total inference time      201.000 s  lower bound 180.000 s" in outcome.out
    assert "utilization                 80.20 %" in outcome.out
    assert max(map(len, outcome.out.splitlines())) <= 80


@pytest.mark.parametrize("form", ["table", "json"])
def test_two_runs_print_the_same_bytes(llmsched: Run, trace: Path, form: str) -> None:
    arguments = ("simulate", trace, "--policy", "hybrid", "--lengths", "noisy:0.5", "--seed", 3)
    one, two = (llmsched(*arguments, "--format", form) for _ in range(2))
    assert one == two
    assert one.code == 0


def test_a_trace_comes_from_a_file_an_archive_or_stdin(
    llmsched: Run, trace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = trace.with_name("two.jsonl.gz")
    archive.write_bytes(gzip.compress(TRACE.encode()))
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(TRACE.encode())))
    documents = [
        json.loads(llmsched("simulate", source, "--policy", "fcfs", "--format", "json").out)
        for source in (trace, archive, "-")
    ]
    hashes = {document["trace"]["sha256"] for document in documents}
    assert len(hashes) == 1
    assert documents[0]["results"] == documents[1]["results"] == documents[2]["results"]


def test_the_engine_follows_the_command_line(llmsched: Run, trace: Path, tmp_path: Path) -> None:
    profile = tmp_path / "hand.yaml"
    profile.write_text(PROFILE)
    knobs = ["--hardware", profile, "--max-num-seqs", 1, "--max-num-batched-tokens", 2]
    more = ["--num-gpu-blocks", 9, "--block-size", 2, "--engine", "watermark=0.1"]
    slo = ["--slo", "ttft_ms=3000", "--concurrency", 1, "--policy", "vllm"]
    document = json.loads(llmsched("simulate", trace, *knobs, *more, *slo, "--format", "json").out)
    assert document["engine"] == {
        "max_num_seqs": 1,
        "max_num_batched_tokens": 2,
        "block_size": 2,
        "num_gpu_blocks": 9,
        "watermark": 0.1,
        "long_prefill_token_threshold": 0,
        "max_num_partial_prefills": 1,
        "max_long_partial_prefills": 1,
        "admission": "full_prompt",
        "enable_prefix_caching": True,
        "async_scheduling": False,
        "long_prefill_token_threshold_adaptive": False,
        "prefill_schedule_interval": 1,
        "max_num_active_seqs": None,
        "reserve": "none",
        "victim": "last_arrived",
        "max_output_tokens": None,
        "max_model_len": None,
        "max_num_queued_reqs": None,
        "max_num_queued_tokens": None,
    }
    assert (document["concurrency"], document["slo"]) == (1, {"ttft_ms": 3000.0})
    (row,) = document["results"]
    # Request a: 2 + 1 tokens in 1.5 + 1.25 s and a round of 1.125 s. Then b: two steps of 1.5 s.
    assert row["makespan_s"] == 1.5 + 1.25 + 1.125 + 1.5 + 1.5
    assert row["slo_attainment"] == 1.0


def test_the_tables_hold_each_request_and_each_step(
    llmsched: Run, trace: Path, tmp_path: Path
) -> None:
    requests, steps, result = tmp_path / "r.csv", tmp_path / "s.csv", tmp_path / "out.json"
    outcome = llmsched(
        *("simulate", trace, "--policy", "fcfs"),
        *("--requests", requests, "--steps", steps, "--output", result),
    )
    assert outcome == Outcome(0, "", "")
    header, *rows = requests.read_text().splitlines()
    assert header == (
        "id,arrival_s,input_tokens,output_tokens,admitted_s,first_token_s,finish_s,preemptions,"
        "status,emitted_tokens,worst_gap_s,worst_gap_cause,stall_s"
    )
    assert [row.split(",")[0] for row in rows] == ["a", "b"]
    header, *rows = steps.read_text().splitlines()
    assert header == (
        "start_s,duration_s,rounds,prefill_tokens,prefill_seqs,decode_seqs,kv_tokens,running,"
        "waiting"
    )
    assert len(rows) == 3
    document = json.loads(result.read_text())  # a file gets JSON unless told otherwise
    assert document["schema_version"] == 1
    assert document["results"][0]["policy"] == "fcfs"
    assert os.listdir(tmp_path).count("out.json") == 1


def test_the_json_row_has_the_documented_names(llmsched: Run, trace: Path) -> None:
    out = llmsched("simulate", trace, "--policy", "fcfs", "--format", "json").out
    (row,) = json.loads(out)["results"]
    latencies = {
        f"{stat}_{name}_ms"
        for stat in ("mean", "median", "p90", "p95", "p99")
        for name in ("ttft", "tpot", "itl", "e2el")
    }
    documented = (
        "completed total_input_tokens total_output_tokens makespan_s utilization "
        "request_throughput output_throughput total_token_throughput request_goodput preemptions "
        "recomputed_tokens steps prefill_steps mean_batch kv_peak lower_bound_s gap_percent policy"
    )
    assert set(documented.split()) | latencies <= set(row)
    assert row["request_goodput"] is None  # no objective was given


def test_a_policy_comes_from_a_file(llmsched: Run, trace: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text(
        "from dataclasses import dataclass\n"
        "from llmsched.engine import DECODE, PREFILL\n"
        "@dataclass(frozen=True)\n"
        "class Mine:\n"
        "    mixed = False\n"
        "    def start(self, view):\n"
        "        return lambda: PREFILL if view.can_prefill else DECODE\n"
    )
    outcome = llmsched("simulate", trace, "--policy", f"{mine}:Mine", "--format", "json")
    theirs = llmsched("simulate", trace, "--policy", "fcfs", "--format", "json")
    mine_row, row = (json.loads(o.out)["results"][0] for o in (outcome, theirs))
    assert mine_row | {"policy": "fcfs"} == row


UNKNOWN = (
    f"Policies: {', '.join(NAMED)}. Or ORDER+RULE: orders fcfs, ljf, lwf, plan, priority, random, "
    "sif, sjf; rules chunked, interleave, lagrangian, prefill_first, shortest_remaining, static, "
    "whole_stage."
)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--policy nope", f"policy 'nope': unknown 'nope'. {UNKNOWN}"),
        (
            "--policy random:seed=-1",
            "policy 'random:seed=-1': seed: expected an integer >= 0, got -1",
        ),
        (
            "--policy lagrangian:multiplier=inf",
            "policy 'lagrangian:multiplier=inf': multiplier: expected a number in 0..1e6, got inf",
        ),
        (
            "--policy vllm",
            "policy vllm: needs mixed steps, which profile llama65b-8gpu-paper cannot price",
        ),
        (
            "--engine speed=3",
            "--engine: expected KNOB=VALUE with one of max_num_seqs, max_num_batched_tokens, "
            "block_size, num_gpu_blocks, watermark, enable_prefix_caching, async_scheduling, "
            "long_prefill_token_threshold, long_prefill_token_threshold_adaptive, "
            "prefill_schedule_interval, max_num_active_seqs, max_num_partial_prefills, "
            "max_long_partial_prefills, admission, reserve, victim, "
            "max_output_tokens, max_model_len, max_num_queued_reqs, max_num_queued_tokens; got "
            "'speed=3'",
        ),
        ("--engine watermark=1", "--engine: watermark: expected a number in [0, 1), got 1"),
        (
            "--engine block_size=1.5",
            "--engine: block_size: expected an integer in 1..65536, got 1.5",
        ),
        (
            "--engine reserve=all",
            "--engine: reserve: expected a text that matches "
            "none|max_output|ratio:(0|1|1[.]0|0?[.][0-9]+), got 'all'",
        ),
        ("--max-num-seqs 0", "--max-num-seqs: expected an integer >= 1, got 0"),
        (
            "--max-num-batched-tokens 5",
            "--max-num-batched-tokens: expected at least max_num_seqs = 200, so that every running "
            "sequence can decode, got 5",
        ),
        (
            "--num-gpu-blocks 4 --block-size 1",
            "two.jsonl: request 'a' can never fit: 3 + 2 tokens need 4 KV blocks of 1, and 3 can "
            "be used; 2 of 2 requests never fit: --on-error skip refuses them",
        ),
        ("--concurrency 0", "--concurrency: expected an integer >= 1, got 0"),
        ("--slo ttft=5", "--slo: expected ttft_ms=MS or tpot_ms=MS or e2el_ms=MS, got 'ttft=5'"),
        (
            "--slo ttft_ms=-5",
            "--slo: expected ttft_ms=MS or tpot_ms=MS or e2el_ms=MS, got 'ttft_ms=-5'",
        ),
        ("--lengths best", "--lengths: expected oracle, mean, noisy:CV or trace, got 'best'"),
        ("--lengths=", "--lengths: expected oracle, mean, noisy:CV or trace, got ''"),
        (
            "--lengths noisy:x",
            "--lengths: noisy: expected a coefficient of variation in 0..10, got 'x'",
        ),
        ("--lengths trace", "--lengths: two.jsonl carries no predicted_output_length"),
        (
            "--lengths noisy:0.1 --seed -1",
            "--seed: expected an integer >= 0, got -1",
        ),
        ("--format xml", "--format: expected one of table, json; got 'xml'"),
        (
            "--output {tmp}/missing/out.json",
            "{tmp}/missing/out.json: cannot write: No such file or directory",
        ),
        ("--requests {tmp}", "{tmp}: cannot write: Is a directory"),
        ("--steps {tmp}/no/s.csv", "{tmp}/no/s.csv: cannot write: No such file or directory"),
        ("--zzz", "No such option: --zzz"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    llmsched: Run, trace: Path, tmp_path: Path, arguments: str, message: str
) -> None:
    given = [argument.format(tmp=tmp_path) for argument in arguments.split()]
    policy = [] if "--policy" in given else ["--policy", "fcfs"]
    before = sorted(os.listdir(tmp_path))
    outcome = llmsched("simulate", trace, "--hardware", "llama65b-8gpu-paper", *policy, *given)
    assert outcome == Outcome(2, "", f"llmsched: {message.format(tmp=tmp_path)}\n")
    assert sorted(os.listdir(tmp_path)) == before


def test_a_trace_that_is_not_there_is_reported(llmsched: Run) -> None:
    outcome = llmsched("simulate", "missing.jsonl")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == "llmsched: missing.jsonl: cannot read: No such file or directory\n"


def test_a_plan_for_replicas_is_replayed_on_all_of_them(llmsched: Run, tmp_path: Path) -> None:
    plan, knobs = tmp_path / "plan.json", ("--max-num-seqs", 50)
    assert llmsched("plan", "--replicas", 4, *knobs, "--output", plan).code == 0
    outcome = llmsched("simulate", "--plan", plan, "--policy", "ljf", *knobs, "--format", "json")
    row = json.loads(outcome.out)["results"][0]
    assert 1000 * row["makespan_s"] == json.loads(plan.read_text())["makespan"]
    assert row["gap_percent"] >= 0


def test_a_plan_for_another_trace_or_beside_a_closed_loop_is_refused(
    llmsched: Run, tmp_path: Path
) -> None:
    plan = tmp_path / "plan.json"
    llmsched("plan", "--replicas", 2, "--output", plan)
    other = llmsched("simulate", "--plan", plan, "--limit", 10)
    assert (other.code, other.out) == (2, "")
    assert "trace.sha256: expected that of gsm8k-llama65b.jsonl" in other.err
    loop = llmsched("simulate", "--plan", plan, "--concurrency", 8)
    assert loop.code == 2
    assert "--plan: expected without --concurrency" in loop.err


def test_nothing_is_written_if_one_of_the_files_cannot_be(llmsched: Run, tmp_path: Path) -> None:
    outcome = llmsched("simulate", "--steps", tmp_path / "s.csv", "-o", tmp_path / "no/r.json")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.endswith("no/r.json: cannot write: No such file or directory\n")
    same = llmsched("simulate", "--steps", tmp_path / "s.csv", "--requests", tmp_path / "s.csv")
    assert same.code == 2
    assert "--steps: expected another file than --requests" in same.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--engine", "watermark=abc"), "watermark: expected a number in [0, 1), got 'abc'"),
        (("--max-num-seqs", 10**20), "--max-num-seqs: expected an integer <= 1073741824"),
        (("--slo", "ttft_ms=3,ttft_ms=4"), "--slo: expected one limit on ttft_ms, got two"),
    ],
)
def test_knobs_out_of_range_are_refused(
    llmsched: Run, arguments: tuple[object, ...], message: str
) -> None:
    outcome = llmsched("simulate", *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert message in outcome.err


DECLARED = """\
{"id":"greedy","timestamp":0,"input_length":3,"output_length":3,"max_tokens":14}
{"id":"a","timestamp":100,"input_length":2,"output_length":2,"max_completion_tokens":4}
{"id":"b","timestamp":100,"input_length":2,"output_length":2}
"""


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            "reserve=max_output",
            "declared by 2 of 3 requests, else assumed: the trace's greatest, 3",
        ),
        ("max_output_tokens=5", "declared by 2 of 3 requests, else 5"),
    ],
)
def test_the_title_says_what_is_reserved_for(
    llmsched: Run, tmp_path: Path, options: str, words: str
) -> None:
    """Of 11 blocks the first request reserves 8 and the second 3; the third waits for them."""
    path, profile, table = tmp_path / "t.jsonl.gz", tmp_path / "hand.yaml", tmp_path / "r.csv"
    path.write_bytes(gzip.compress(DECLARED.encode()))
    profile.write_text(PROFILE)
    base = ["simulate", path, "--hardware", profile, "--num-gpu-blocks", 12, "--block-size", 2]
    base += ["--engine", options, "--max-num-seqs", 3]
    base += ["--max-num-batched-tokens", 9]
    outcome = llmsched(*base, "--policy", "orca", "--requests", table)
    assert outcome.code == 0, outcome.err
    assert words in " ".join(outcome.out.split())
    with table.open() as file:
        rows = {row["id"]: row for row in csv.DictReader(file)}
    assert float(rows["b"]["admitted_s"]) == float(rows["greedy"]["finish_s"])
    document = json.loads(llmsched(*base, "--policy", "orca", "--format", "json").out)
    assert words in document["trace"]["output_limits"]
    greedy = llmsched(*base, "--policy", "vllm").out
    assert ("output limit" in greedy) is ("reserve" in options)


def test_who_was_not_served_is_said(llmsched: Run, tmp_path: Path) -> None:
    path = tmp_path / "three.jsonl"
    row = '{"timestamp": 0, "input_length": 4, "output_length": 3'
    path.write_text(f'{row}, "timeout_ms": 1}}\n{row}}}\n{row}}}\n')
    out = llmsched(
        *("simulate", path, "--policy", "vllm", "--hardware", "llama3-8b-a100"),
        *("--engine", "max_num_queued_reqs=2"),
    ).out
    words = " ".join(out.split())
    assert "served 1 of 3 1 refused (max_num_queued_reqs 2 reached); 1 aborted" in words
    assert "2 tokens and 4 of prompts wasted" in words


def test_latencies_have_bounds_where_arrivals_bind_or_if_asked(
    llmsched: Run, trace: Path, tmp_path: Path
) -> None:
    profile = tmp_path / "hand.yaml"
    profile.write_text(PROFILE)
    arguments = ("simulate", trace, "--policy", "vllm", "--hardware", profile, "--format", "json")
    # 1 + 3 * 0.25 s alone; the other one comes at 1 s and takes 1 + 4 * 0.25 s.
    bounds = json.loads(llmsched(*arguments).out)["bounds"]
    assert bounds["median_ttft_ms"] == {"value": 1875.0, "scope": "every schedule"}
    batch = (*arguments, "--offline")
    assert "bounds" not in json.loads(llmsched(*batch).out)
    assert "mean_ttft_ms" in json.loads(llmsched(*batch, "--latency-bound").out)["bounds"]


def test_why_there_is_no_bound_is_said_if_one_was_asked_for(llmsched: Run, trace: Path) -> None:
    arguments = ("simulate", trace, "--policy", "fcfs", "--concurrency", 1)
    assert "no bound on latency" not in llmsched(*arguments).err
    outcome = llmsched(*arguments, "--latency-bound")
    assert outcome.code == 0
    assert "no bound on latency: in a closed loop arrivals depend on the schedule" in outcome.err
