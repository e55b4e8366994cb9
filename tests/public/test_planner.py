"""Packing instances whose optimum is known: the cheap ones; `make bench-planner` runs the rest."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmarks.instances import instance
from llmsched.packing import pack
from tests.cli.conftest import Outcome
from tests.conftest import RECORDED
from tests.public.marks import mended_by

Run = Callable[..., Outcome]

LINES = (RECORDED / "public-cases" / "planner" / "cases.jsonl").read_text().splitlines()
KNOWN = {case["name"]: case for case in map(json.loads, LINES)}


@pytest.mark.parametrize(
    "name",
    [
        "u50_100-108x36-1",
        "n100_20-108x36-1",
        "llm-500x200-1",
        "triplets-20-1000-1",
        "u50_100-200x80-1",
        "n4n_n-108x36-1",
        pytest.param("u1_10000-100x25-1", marks=mended_by(26)),
    ],
)
def test_a_generated_instance_is_packed_and_proven_to_its_optimum(name: str) -> None:
    case = KNOWN[name]
    packing = pack(np.array(instance(case)), case["m"])
    assert (packing.makespan, packing.lower_bound) == (case["opt"], case["opt"])


@pytest.mark.parametrize(
    ("file", "options", "makespan"),
    [
        # every length is a multiple of 17,000, so the makespan is one too: 238 x 17,000
        pytest.param(
            "gcd", ("--max-num-seqs", 5, "--time-limit", 1), 4_046_000, marks=mended_by(26)
        ),
        # few requests, large numbers: all splits over two slots, tried one by one
        pytest.param(
            "tiny-ms", ("--max-num-seqs", 2, "--unit", "ms"), 1_309_383, marks=mended_by(26)
        ),
        # all 3^8 ways to give eight requests to replicas of three speeds
        pytest.param(
            "speeds",
            ("--replicas", 3, "--speeds", "1,0.25,0.5", "--max-num-seqs", 1),
            49_964,
            marks=mended_by(26),
        ),
    ],
)
def test_a_small_plan_is_proven_optimal(
    llmsched: Run, cases: Path, file: str, options: tuple[object, ...], makespan: int
) -> None:
    trace = cases / "planner" / f"{file}.jsonl"
    outcome = llmsched("plan", trace, *options, "--format", "json")
    plan = json.loads(outcome.out)
    assert (outcome.code, plan["status"]) == (0, "optimal")
    assert plan["makespan"] == pytest.approx(makespan, abs=0.5)
    assert plan["lower_bound"] == pytest.approx(makespan, abs=0.5)
