"""Mean latency from how many requests are there."""

from __future__ import annotations

import numpy as np
import pytest

from llmsched.hardware import HardwareProfile, load_profile
from llmsched.hardware.affine import Affine
from llmsched.hardware.roofline import Roofline
from llmsched.latency_bounds import latency_bounds
from llmsched.latency_bounds.crowd import crowd
from llmsched.latency_bounds.isolated import isolated
from llmsched.latency_bounds.shares import shares_of
from llmsched.latency_bounds.steps import steps_of
from llmsched.policies import NAMED
from llmsched.replay import simulate
from llmsched.spared import spared_of
from llmsched.trace import Trace

STREAM = Trace.from_columns(0.02 * np.arange(200), [400] * 200, [100] * 200)


def mean_crowd(hardware: HardwareProfile) -> float:
    longest = 500
    steps = steps_of(hardware.step_time, hardware.engine, longest)
    spared = spared_of(STREAM, hardware.engine)
    alone = isolated(STREAM, steps, longest, spared)
    _, priced = shares_of(STREAM, steps, longest, spared)
    return crowd(STREAM, steps, alone, priced[0], longest, spared) / len(STREAM)


@pytest.mark.parametrize("name", ["llama3-8b-a100", "llama2-70b-h200x8-analytic"])
def test_requests_that_cannot_leave_slow_each_other_down(name: str) -> None:
    # Fifty a second, each of which takes a second at least: none is alone, and the rounds of many
    # last longer than the shortest.
    hardware = load_profile(name)
    steps = steps_of(hardware.step_time, hardware.engine, 500)
    spared = spared_of(STREAM, hardware.engine)
    alone = float(isolated(STREAM, steps, 500, spared).whole.mean())
    result = simulate(STREAM, hardware, NAMED["vllm"])
    seen = float(np.mean(result.finish - STREAM.arrival))
    assert 1.05 * alone < mean_crowd(hardware) < seen
    bounds = latency_bounds(STREAM, hardware)
    assert 1e3 * mean_crowd(hardware) <= bounds.every["mean_e2el_ms"].value < 1e3 * seen


def test_where_steps_may_take_no_time_it_says_nothing() -> None:
    assert mean_crowd(HardwareProfile("free", Affine(per_decode_seq=1e-3))) == 0.0


def test_many_knots_are_looked_at_in_ranges() -> None:
    # A price that bends at every token count, and one on its chords, which is no lower.
    bent = Roofline(fixed=0.004, read_weights=0.01, per_token_compute=1e-4, per_token_move=1e-6)
    hardware = HardwareProfile("bent", bent, load_profile("llama3-8b-a100").engine)
    result = simulate(STREAM, hardware, NAMED["vllm"])
    assert 0 < mean_crowd(hardware) < float(np.mean(result.finish - STREAM.arrival))
