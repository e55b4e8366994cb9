"""Small result documents, so that gates and reports can be tested without a simulation."""

from __future__ import annotations

from typing import Any

from llmsched.comparison.document import Document


def row(policy: str, **metrics: float | None) -> dict[str, Any]:
    """Return a row with the columns that every result has, and those given."""
    usual = {
        "completed": 10,
        "makespan_s": 100.0,
        "utilization": 0.8,
        "efficiency": 0.75,
        "output_throughput": 1000.0,
        "mean_ttft_ms": 200.0,
        "p99_ttft_ms": 500.0,
        "mean_tpot_ms": 20.0,
        "lower_bound_s": 80.0,
        "gap_percent": 25.0,
    }
    return {"policy": policy, **usual, **metrics}


def cell(*rows: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Return the records of one cell."""
    records: dict[str, Any] = {
        "trace": {
            "name": "t.jsonl",
            "note": "",
            "sha256": "0" * 64,
            "requests": 10,
            "input_tokens": 100,
            "output_tokens": 200,
        },
        "hardware": {"name": "node", "step_time": {"kind": "stages"}, "provenance": {"note": "x"}},
        "engine": {
            "max_num_seqs": 4,
            "max_num_batched_tokens": None,
            "block_size": 16,
            "num_gpu_blocks": None,
        },
        "lengths": "oracle",
        "results": list(rows),
    }
    return {**records, **changes}


def document(*rows: dict[str, Any], baseline: str = "fcfs", **changes: Any) -> Document:
    """Return a comparison of one cell."""
    return {**_head(baseline), **cell(*rows), "published": [], "gates": [], **changes}


def matrix(*cells: dict[str, Any], baseline: str = "fcfs", **changes: Any) -> Document:
    """Return a comparison of several cells, each of which has a label."""
    return {**_head(baseline), "cells": list(cells), "published": [], "gates": [], **changes}


def _head(baseline: str) -> Document:
    return {
        "schema_version": 1,
        "llmsched": "0.1.0",
        "scenario": "small",
        "note": "",
        "seed": 0,
        "slo": {},
        "baseline": baseline,
    }
