"""Profiles to draw from: all shipped ones, and random documents of every kind, zero prices too."""

from __future__ import annotations

import logging
from functools import lru_cache

from numpy.random import Generator

from llmsched.hardware import HardwareProfile, load_profile, parse_profile, shipped_profiles

Document = dict[str, object]


@lru_cache
def shipped(name: str) -> HardwareProfile:
    """Return a shipped profile; what its loading warns of is not of interest here."""
    logging.getLogger("llmsched.hardware").setLevel(logging.ERROR)
    return load_profile(name)


def draw(rng: Generator) -> tuple[HardwareProfile, str]:
    """Return a profile, and its name if it is a shipped one ("" if not)."""
    if rng.random() < 0.4:
        name = str(rng.choice(shipped_profiles()))
        return shipped(name), name
    kind = str(rng.choice(["stages", "affine", "piecewise", "roofline"]))
    return parse_profile(_document(rng, kind), f"random {kind}"), ""


def _document(rng: Generator, kind: str) -> Document:
    """Return a profile as its YAML file would hold it: times in milliseconds."""
    times = {"stages": _stages, "affine": _affine, "piecewise": _piecewise}
    document: Document = {"schema_version": 1, "name": f"random-{kind}"}
    if kind == "roofline":
        return document | _roofline(rng)
    return document | {"step_time": {"kind": kind, "unit": "ms", **times[kind](rng)}}


def _price(rng: Generator, *values: float) -> float:
    """Return one of the prices or, often, none at all."""
    return float(rng.choice([0.0, *values]))


def _attention(rng: Generator) -> Document:
    return {
        "per_kv_token_decode": _price(rng, 7.77e-05, 0.01, 0.3),
        "per_kv_token_mixed": _price(rng, 7.77e-05, 0.02, 0.2),
        "per_prefill_token_sq": _price(rng, 1.3e-06, 0.001),
        "per_prefill_token_x_context": _price(rng, 4.1e-06, 0.002),
        "mixed": bool(rng.random() < 0.7),
    }


def _stages(rng: Generator) -> Document:
    prefill = {"per_stage": _price(rng, 1.73432, 10.0, 60.0), "per_token": _price(rng, 0.26302)}
    decode_round = float(rng.choice([10.0, 68.892343]))
    per_seq = _price(rng, 0.107106, 1.0)
    return {"decode_round": decode_round, "per_decode_seq": per_seq, "prefill": prefill}


def _affine(rng: Generator) -> Document:
    per_step, per_seq = _price(rng, 8.0, 10.18), _price(rng, 0.04567, 1.0)
    if per_step == per_seq == 0:
        per_step = 3.0  # decoding must take some time
    return {
        "per_step": per_step,
        "per_prefill_token": _price(rng, 0.06792, 1.0),
        "per_decode_seq": per_seq,
        **_attention(rng),
    }


def _piecewise(rng: Generator) -> Document:
    tokens = [[1, 8, 9, 64], [1, 128, 129, 512, 4096], [16], [1, 2]][rng.integers(4)]
    ms = (rng.uniform(1, 10) + rng.choice([0.0, 0.4, 9.0], len(tokens)).cumsum()).round(3)
    overhead = {"per_step": _price(rng, 1.5), "per_seq": _price(rng, 0.01)}
    table = {"tokens": tokens, "ms": ms.tolist()}
    return {"token_table": table, "overhead": overhead, **_attention(rng)}


def _roofline(rng: Generator) -> Document:
    heads = int(rng.choice([8, 32, 64]))
    model = {
        "num_layers": int(rng.choice([2, 32, 80])),
        "num_attention_heads": heads,
        "num_key_value_heads": int(rng.choice([1, 8, heads])),
        "head_dim": 128,
        "hidden_size": 128 * heads,
        "intermediate_size": int(rng.choice([1024, 14336, 28672])),
    }
    ranks = int(rng.choice([1, 2, 8]))
    gpu = {"peak_flops_bf16": 3.12e14, "hbm_bandwidth": 2.039e12, "interconnect_bandwidth": 3e11}
    family = str(rng.choice(["a100-graph", "h100-graph", "a100-eager"]))
    return {
        "model": model,
        "gpu": {**gpu, "count": ranks},
        "engine": {"tensor_parallel_size": ranks},
        "step_time": {"kind": "roofline", "unit": "ms", "family": family},
    }
