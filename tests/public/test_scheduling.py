"""Replays that people reported, on a machine of round numbers: 10 ms a step, 0.1 ms a prompt token.

Each right value follows by hand from that; the comment of a case does the sum. Names of metrics
that do not exist yet follow the house's style.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Outcome

Run = Callable[..., Outcome]


@dataclass(frozen=True)
class Right:
    """What is right.

    Attributes
    ----------
    metrics : sequence of (name, value)
        Somewhere in the JSON document.
    ttft_ms, at_most_ms : mapping
        Time to the first token, by request; exactly, or not more.
    """

    metrics: tuple[tuple[str, float], ...] = ()
    ttft_ms: Mapping[str, float] = field(default_factory=dict)
    at_most_ms: Mapping[str, float] = field(default_factory=dict)


CASES = [
    # S1: 40,960 tokens in ten chunks of 4,096 (419.6 ms) while another request streams. Exclusive
    # steps hold the stream for all ten and a round; mixed ones for 4,095 prompt tokens and its own.
    pytest.param(
        "stall.jsonl --policy fcfs",
        Right((("max_itl_ms", 4206.0),)),
        id="S1-stall-exclusive",
    ),
    pytest.param(
        "stall.jsonl --policy vllm",
        Right((("max_itl_ms", 419.5),)),
        id="S1-stall-mixed",
    ),
    # S2: the attacker arrives at 0.1 s and starts at 0.101; ten chunks, four rounds between two:
    # 10 x 419.6 + 9 x 40 + 1 ms.
    pytest.param(
        "stall.jsonl --policy fcfs+./interleave.py:Interleave:n=4",
        Right(ttft_ms={"attacker": 4557.0}),
        id="S2-interleave",
    ),
    pytest.param(
        "stall.jsonl --policy interleave:n=4",
        Right(ttft_ms={"attacker": 4557.0}),
        id="S2-interleave-shipped",
    ),
    # S3: greedy declares 11,700 tokens and holds 763 of 768 blocks until it ends at
    # 60 + 299 x 10 ms = 3.05 s; a, b, c need 21 each and start then: + 10 + 600 x 0.1 ms.
    pytest.param(
        "declared.jsonl --policy vllm --num-gpu-blocks 769 --max-num-seqs 16"
        " --engine reserve=max_output",
        Right((("makespan_s", 4.110),), ttft_ms={"a": 3020.0, "b": 3020.0, "c": 3020.0}),
        id="S3-declared",
    ),
    # S4: a request of 200 + 50 tokens every 0.1 s: 30 ms to the first token, the last one arrives
    # at 19.9 s and ends 30 + 49 x 10 ms later. Three more can never fit and are refused.
    pytest.param(
        "servable.jsonl --policy vllm --num-gpu-blocks 4791",
        Right((("completed", 200), ("makespan_s", 20.420), ("p99_ttft_ms", 30.0))),
        id="S4-servable",
    ),
    pytest.param(
        "unservable.jsonl --policy vllm --num-gpu-blocks 4791 --on-error skip",
        Right(
            (("completed", 200), ("refused", 3), ("makespan_s", 20.420), ("p99_ttft_ms", 30.0)),
        ),
        id="S4-unservable",
    ),
    # S5: a model of 8,192 tokens refuses the prompt of 9,000 and ends the answer to 8,000 there:
    # 50 + 192 output tokens.
    pytest.param(
        "context.jsonl --policy vllm --engine max_model_len=8192",
        Right((("completed", 2), ("refused", 1), ("total_output_tokens", 242))),
        id="S5-context",
    ),
    # S6: one prompt of 4,096 tokens is in the cache while it is computed: 256 of 1,000 blocks.
    pytest.param(
        "kvpeak.jsonl --policy vllm --num-gpu-blocks 1001",
        Right((("kv_peak_tokens", 4096),)),
        id="S6-kvpeak",
    ),
    # S8: the engine takes four requests, running or waiting: q0 and q1 at 0 (until 0.13 s), q2 and
    # q3 at 5 ms, which start at 0.13 and see a token after 10 + 20 ms; six are refused.
    pytest.param(
        "burst10.jsonl --policy vllm --max-num-seqs 2 --engine max_num_queued_reqs=4",
        Right(
            (("completed", 4), ("refused", 6), ("makespan_s", 0.260)),
            ttft_ms={"q2": 155.0, "q3": 155.0},
        ),
        id="S8-burst10",
    ),
    # S9: r0 runs until 1.0 s; r1's client leaves at 1.495, seen when the step in flight ends at
    # 1.5: a token at 1.02 and 48 more are wasted; r2 runs from 1.5 to 2.5 s.
    pytest.param(
        "impatient.jsonl --policy vllm --max-num-seqs 1",
        Right(
            (
                ("completed", 2),
                ("aborted", 1),
                ("makespan_s", 2.5),
                ("wasted_output_tokens", 49),
            )
        ),
        id="S9-impatient",
    ),
    # S10: after the first four, which start together, every prompt of 1,000 tokens is alone:
    # 10 + 100 ms.
    pytest.param(
        "startup.jsonl --policy vllm --max-num-batched-tokens 2048 --concurrency 4 --warmup 4",
        Right((("mean_ttft_ms", 110.0), ("p99_ttft_ms", 110.0))),
        id="S10-startup",
    ),
    # S11: three prompts of 10,000 tokens and one of 100, 512 a step (61.2 ms): with one long
    # prompt at a time and a second place for others, the short one is in the first step, beside 256
    # tokens; the first long one ends a step later than alone: 45.6 + 20 x 61.2 ms.
    pytest.param(
        "partial.jsonl --policy vllm --max-num-batched-tokens 512"
        " --engine max_num_partial_prefills=2 --engine max_long_partial_prefills=1"
        " --engine long_prefill_token_threshold=1000",
        Right(ttft_ms={"short": 45.6, "long0": 1269.6}),
        id="S11-partial",
    ),
    # S12: 100,000 tokens are 24 chunks (419.6 ms) and one of 1,696 that the short prompts share
    # (229.6 ms); the short ones arrive 10 ms later and wait for all of it.
    pytest.param(
        "classes.jsonl --policy vllm --by class",
        Right((("mean_ttft_ms", 10_290.0), ("mean_ttft_ms", 10_300.0))),
        id="S12-classes",
    ),
]


@pytest.mark.parametrize(("command", "right"), CASES)
def test_a_replay_gives_the_values_worked_out_by_hand(
    llmsched: Run,
    cases: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    right: Right,
) -> None:
    monkeypatch.chdir(cases / "scheduling")
    table = tmp_path / "requests.csv"
    options = ["--hardware", "hand.yaml", "--requests", table, "--format", "json"]
    outcome = llmsched("simulate", *command.split(), *options)
    assert outcome.code == 0, outcome.err
    document = json.loads(outcome.out)
    for name, value in right.metrics:
        assert pytest.approx(value, rel=1e-9) in list(anywhere(document, name)), name
    waited = ttft_ms(table)
    for request, value in right.ttft_ms.items():
        assert waited[request] == pytest.approx(value, rel=1e-9), request
    for request, value in right.at_most_ms.items():
        assert waited[request] <= value * (1 + 1e-9), request


@pytest.mark.parametrize("rule", ["interleave:n=4", "fcfs+./interleave.py:Interleave:n=4"])
def test_chunks_by_turns_hold_a_stream_for_a_chunk_and_a_round(
    llmsched: Run, cases: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rule: str
) -> None:
    """S2 once more: the longest gap between two tokens of the victim is 419.6 + 10 ms."""
    monkeypatch.chdir(cases / "scheduling")
    table = tmp_path / "steps.csv"
    policy = ["--policy", rule]
    options = ["--hardware", "hand.yaml", "--steps", table]
    assert llmsched("simulate", "stall.jsonl", *policy, *options).code == 0
    seen = []
    with table.open() as file:
        for row in csv.DictReader(file):
            if int(row["decode_seqs"]):
                start, rounds = float(row["start_s"]), int(row["rounds"])
                each = float(row["duration_s"]) / rounds
                seen += [start + each * (k + 1) for k in range(rounds)]
    gaps = [after - before for before, after in pairwise(seen)]
    assert max(gaps) == pytest.approx(0.4296, rel=1e-9)


# S7: prompts of 1,500 tokens at a second each, one after the other: 1,500,030 ms a request.
WIDE = ["4,500,070.0", "4,500,070.0", "6,900,118.0", "7,200,124.0", "7,440,128.8"]


@pytest.mark.parametrize("case", ["S7-wide"])
def test_columns_of_large_times_do_not_fuse(
    llmsched: Run, cases: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    monkeypatch.chdir(cases / "scheduling")
    outcome = llmsched("simulate", "wide.jsonl", "--hardware", "slow.yaml", "--policy", "vllm")
    rows = [line.split() for line in outcome.out.splitlines()]
    assert any(row[-5:] == WIDE for row in rows), outcome.out


def anywhere(node: Any, name: str) -> Iterator[Any]:
    """Yield each value under that key of a JSON document."""
    if isinstance(node, dict):
        if name in node:
            yield node[name]
        for value in node.values():
            yield from anywhere(value, name)
    elif isinstance(node, list):
        for value in node:
            yield from anywhere(value, name)


def ttft_ms(table: Path) -> dict[str, float]:
    """Read what `--requests` wrote; requests without a first token are left out."""
    with table.open() as file:
        return {
            row["id"]: 1e3 * (float(row["first_token_s"]) - float(row["arrival_s"]))
            for row in csv.DictReader(file)
            if row["first_token_s"]
        }
