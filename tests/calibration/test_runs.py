"""Prices from a run's per-request times: a simulated truth, and two real runs."""

from __future__ import annotations

from pathlib import Path
from statistics import median

import numpy as np
import pytest

from llmsched.calibration.agreement import HEADLINES, headlines
from llmsched.calibration.recorded import MeasuredRun, read_run
from llmsched.calibration.runs import PRIOR, RunCalibration, calibrate_run
from llmsched.config import EngineConfig
from llmsched.errors import InputError
from llmsched.hardware import HardwareProfile, load_profile, shipped_profiles
from llmsched.hardware.affine import Affine
from llmsched.policies import NAMED
from llmsched.replay import simulate
from llmsched.trace import Trace

TRUTH = Affine(
    per_step=11e-3,
    per_prefill_token=6e-5,
    per_decode_seq=6e-5,
    per_kv_token_decode=9e-8,
    per_kv_token_mixed=1.2e-7,
    per_prefill_token_x_context=2e-9,
)
KNOBS = EngineConfig(max_num_seqs=16, max_num_batched_tokens=512, num_gpu_blocks=360)


@pytest.fixture(scope="module")
def run() -> MeasuredRun:
    """A run under KV pressure of an engine whose prices are known."""
    rng = np.random.default_rng(5)
    trace = Trace.from_columns(
        np.cumsum(rng.exponential(0.15, 60)), rng.integers(20, 900, 60), rng.integers(2, 200, 60)
    )
    result = simulate(trace, HardwareProfile("truth", TRUTH), NAMED["vllm"], KNOBS)
    assert result.preemptions.sum() > 0
    return MeasuredRun(trace, result.first_token, result.finish)


@pytest.fixture(scope="module")
def found(run: MeasuredRun) -> RunCalibration:
    return calibrate_run(run, KNOBS, np.arange(60) < 30)


def test_a_simulated_truth_is_predicted_on_the_other_half(
    run: MeasuredRun, found: RunCalibration
) -> None:
    profile = HardwareProfile("fitted", found.step_time)
    rows = {"other half": np.arange(60) >= 30}
    for one in headlines(run, profile, KNOBS, rows)["other half"]:
        assert abs(one.error_percent) < 1.5


def test_the_prices_come_with_how_well_they_are_determined(found: RunCalibration) -> None:
    by_name = {price.name: price for price in found.prices}
    assert by_name["per_step"].value == pytest.approx(TRUTH.per_step, rel=0.15)
    assert all(0 <= price.from_data_percent <= 100 for price in found.prices)
    assert all(price.error_percent >= 0 for price in found.prices)
    # a step's price shows in every latency, that of context before a chunk in next to none
    hidden = by_name["per_prefill_token_x_context"].from_data_percent
    assert hidden < by_name["per_step"].from_data_percent


def test_the_fit_is_the_same_every_time(run: MeasuredRun, found: RunCalibration) -> None:
    again = calibrate_run(run, KNOBS, np.arange(60) < 30)
    assert again.step_time == found.step_time


def test_too_few_requests_to_fit_are_refused(run: MeasuredRun) -> None:
    with pytest.raises(InputError, match="expected at least 20 requests to fit"):
        calibrate_run(run, KNOBS, np.arange(60) < 10)


def test_headlines_of_the_truth_have_no_error(run: MeasuredRun) -> None:
    everything = {"all": np.ones(60, dtype=np.bool_)}
    values = headlines(run, HardwareProfile("truth", TRUTH), KNOBS, everything)["all"]
    assert tuple(one.name for one in values) == HEADLINES
    assert [one.error_percent for one in values] == pytest.approx([0.0] * 4)


def test_the_prior_is_what_the_shipped_fitted_profiles_say() -> None:
    ratios: dict[tuple[str, str], list[float]] = {}
    for name in shipped_profiles():
        step_time = load_profile(name).document["step_time"]
        assert isinstance(step_time, dict)
        if "affine_fallback" not in step_time:
            continue
        decode, prefill = (step_time["affine_fallback"][key] for key in ("decode", "prefill"))
        for pair, value in (
            (("per_decode_seq", "per_step"), decode["per_seq"] / decode["base"]),
            (("per_prefill_token", "per_decode_seq"), prefill["per_token"] / decode["per_seq"]),
            (
                ("per_prefill_token_x_context", "per_prefill_token"),
                step_time["per_prefill_token_x_context"] / prefill["per_token"],
            ),
        ):
            ratios.setdefault(pair, []).append(value)
    for price, of, ratio, spread in PRIOR:
        if (price, of) in ratios:
            middle = median(ratios[price, of])
            assert abs(np.log(ratio / middle)) < spread / 2
    # where it was measured, context beside a prefill costs 1.7 and 2.1 times as much; elsewhere 1
    (mixed,) = (ratio for price, _, ratio, _ in PRIOR if price == "per_kv_token_mixed")
    assert 1 < mixed < 2.1


@pytest.mark.parametrize("name", ["llama31-8b_rtxpro6000_tp1", "qwen3-32b_rtxpro6000_tp2"])
def test_a_real_run_is_predicted_within_one_and_a_half_percent_from_its_first_half(
    recorded: Path, name: str
) -> None:
    run = read_run(recorded / "vllm-measured" / f"{name}.jsonl.gz")
    knobs = EngineConfig(max_num_seqs=128, max_num_batched_tokens=2048)
    first = np.arange(len(run.trace)) < len(run.trace) // 2
    profile = HardwareProfile(name, calibrate_run(run, knobs, first).step_time)
    for one in headlines(run, profile, knobs, {"second half": ~first})["second half"]:
        assert abs(one.error_percent) < 1.5, one.name
