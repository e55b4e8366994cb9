"""Profiles from measured steps: known laws are found, degenerate data is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from llmsched.calibration.measured import MeasuredSteps, read_steps
from llmsched.calibration.steps import calibrate, fit, relative_error
from llmsched.errors import InputError
from llmsched.hardware.affine import Affine
from llmsched.hardware.piecewise import Piecewise
from llmsched.hardware.step_time import StepTime

LAW = Affine(
    per_step=8e-3,
    per_prefill_token=8e-5,
    per_decode_seq=5e-5,
    per_kv_token_decode=3e-8,
    per_kv_token_mixed=5e-8,
    per_prefill_token_sq=1e-9,
    per_prefill_token_x_context=2e-9,
)


def _steps(law: StepTime, n: int = 240, *, seed: int = 0) -> MeasuredSteps:
    """Return equally many decode, prefill and mixed steps, timed by a law."""
    rng = np.random.default_rng(seed)
    prefill = np.where(np.arange(n) % 3 > 0, rng.integers(1, 2048, n), 0)
    decode = np.where(np.arange(n) % 3 != 1, rng.integers(1, 256, n), 0)
    kv = decode * rng.integers(16, 4096, n)
    columns = [prefill, prefill**2, prefill * rng.integers(0, 4096, n), decode, kv]
    seconds = [law.step(*map(int, row)) for row in np.column_stack(columns)]
    p, sq, x, d, k = (column.astype(float) for column in columns)
    return MeasuredSteps(p, d, k, sq, x, np.array(seconds))


def test_an_affine_law_is_found_again_to_the_last_digits() -> None:
    found = calibrate(_steps(LAW), "affine")
    for name in ("per_step", "per_prefill_token", "per_decode_seq", "per_kv_token_mixed"):
        assert getattr(found.step_time, name) == pytest.approx(getattr(LAW, name), rel=1e-5)
    assert np.abs(found.held_out).max() < 1e-5
    assert found.unidentified == ()


def test_a_table_is_found_again_where_its_knots_are() -> None:
    law = Piecewise(
        tokens=(1, 128, 129, 512, 2303),
        seconds=(0.010, 0.012, 0.018, 0.030, 0.100),
        per_kv_token_decode=3e-8,
        per_kv_token_mixed=5e-8,
    )
    found, _ = fit(_steps(law, 1200), "piecewise")
    assert np.abs(relative_error(found, _steps(law, 300, seed=1))).mean() < 0.003
    assert found.base(0, 129) / found.base(0, 128) > 1.4


def test_a_fitted_table_never_falls_even_on_noise() -> None:
    steps = _steps(LAW)
    noise = np.random.default_rng(3).uniform(0.5, 2.0, len(steps))
    found, _ = fit(replace(steps, seconds=steps.seconds * noise), "piecewise")
    assert isinstance(found, Piecewise)
    assert (np.diff(found.seconds) >= 0).all()
    assert found.seconds[0] > 0


def test_what_the_data_does_not_vary_is_said_and_not_priced() -> None:
    steps = replace(_steps(LAW), sum_sq=None, sum_x_context=None)
    pure = steps.take(~steps.kinds["mixed"])
    found = calibrate(pure, "affine")
    assert found.step_time.per_prefill_token_sq == 0
    assert found.step_time.per_kv_token_mixed == found.step_time.per_kv_token_decode
    assert [line.partition(":")[0] for line in found.unidentified] == [
        "per_kv_token_mixed",
        "per_prefill_token_sq",
        "per_prefill_token_x_context",
    ]


def test_knots_without_data_are_left_out_and_named() -> None:
    steps = _steps(LAW)
    found = calibrate(steps.take((steps.tokens < 300) | (steps.tokens > 900)), "piecewise")
    assert isinstance(found.step_time, Piecewise)
    assert 512 not in found.step_time.tokens
    assert "385, 512, 513, 768, 769" in found.unidentified[-1]


def _same_context(steps: MeasuredSteps) -> MeasuredSteps:
    return replace(steps, kv_tokens=512 * steps.decode_seqs)


def _only(kind: str, steps: MeasuredSteps) -> MeasuredSteps:
    return steps.take(steps.kinds[kind])


@pytest.mark.parametrize("kind", ["affine", "piecewise"])
@pytest.mark.parametrize(
    ("steps", "message"),
    [
        (_steps(LAW, 19), "expected at least 20 rows, got 19"),
        (_only("prefill", _steps(LAW)), "no row is decode-only"),
        (_only("decode", _steps(LAW)), "no row holds prefill tokens"),
        (_same_context(_steps(LAW)), "kv_tokens is proportional to num_decode_seqs"),
        (replace(_steps(LAW), seconds=np.full(240, 0.02)), "every step takes the same time"),
        (replace(_steps(LAW), kv_tokens=np.full(240, 512.0)), "decode rows read equally many"),
        (
            replace(_steps(LAW), seconds=np.random.default_rng(4).uniform(1e-3, 1.0, 240)),
            "step times do not follow from the batches",
        ),
        (_steps(LAW).take(np.tile([0, 1, 2, 3], 60)), "cannot tell"),
    ],
)
def test_degenerate_data_is_refused_with_a_reason(
    kind: str, steps: MeasuredSteps, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        calibrate(steps, kind)


def test_another_kind_is_refused() -> None:
    with pytest.raises(InputError, match="expected affine or piecewise, got 'roofline'"):
        calibrate(_steps(LAW), "roofline")


@pytest.mark.parametrize(
    ("name", "piecewise", "affine"),
    [
        ("llama2-70b_a100_tp8_graph", 2.5, 3.6),  # no affine law is below 3.35 on these rows
        ("llama2-70b_h100_tp8_graph", 2.5, 3.5),
        ("llama3-8b_a100_tp1_nccl", 2.5, 4.8),  # nor below 4.47 on these
    ],
)
def test_noise_and_outliers_leave_clean_held_out_steps_well_predicted(
    recorded: Path, name: str, piecewise: float, affine: float
) -> None:
    """300 random rows, 5 % noise, 3 % outliers of 2 to 6 times; the median of 20 seeds."""
    data = read_steps(recorded / "steps" / f"steps_{name}.csv.gz")
    for kind, limit in (("piecewise", piecewise), ("affine", affine)):
        errors = []
        for seed in range(20):
            rng = np.random.default_rng(seed)
            order = rng.permutation(len(data))
            sample = data.take(order[:300])
            seconds = sample.seconds * (1 + 0.05 * rng.standard_normal(300))
            outlier = rng.random(300) < 0.03
            seconds[outlier] *= rng.uniform(2, 6, int(outlier.sum()))
            step_time, _ = fit(replace(sample, seconds=seconds), kind)
            errors.append(np.abs(relative_error(step_time, data.take(order[300:]))).mean())
        assert 100 * np.median(errors) <= limit
