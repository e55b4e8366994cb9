"""What a calibration is worth, for a reader."""

from __future__ import annotations

import re

import numpy as np
import pytest

from llmsched.calibration.agreement import Headline
from llmsched.calibration.measured import MeasuredSteps
from llmsched.calibration.runs import FittedPrice, RunCalibration
from llmsched.calibration.steps import Calibration, round_sums
from llmsched.hardware.affine import Affine
from llmsched.report.calibration import run_report, steps_report

LAW = Affine(per_step=0.01)
ROUND = 0.0125  # measured where the law says 0.01: a fifth less
STEPS = MeasuredSteps(
    np.array([0.0, 0.0, 64.0]),
    np.array([2.0, 2.0, 0.0]),
    np.array([100.0, 200.0, 0.0]),
    None,
    None,
    np.array([ROUND, ROUND, 0.01]),
)


def test_the_sum_of_rounds_is_off_by_what_the_price_is() -> None:
    assert round_sums(STEPS, LAW) == [pytest.approx(20.0)]
    assert round_sums(STEPS.take(np.array([True, False, True])), LAW) == []


@pytest.mark.parametrize("width", [50, 80, 120])
def test_a_fit_to_steps_is_told_with_its_errors_and_its_range(width: int) -> None:
    found = Calibration(LAW, np.array([-0.2, -0.2, 0.0]), ("the price of a squared chunk",))
    page = steps_report("steps.csv", STEPS, found, width=width)
    assert max(map(len, page.splitlines())) <= width
    assert page.startswith("affine fitted to 3 steps of steps.csv\n")
    assert re.search(r"^  decode +2 +20.00 +20.00 +20.00 +20.00$", page, re.MULTILINE)
    words = " ".join(page.split())
    assert "one batch size: off by 20.00 % in the mean, 20.00 % at most (1 sizes)" in words
    assert "prefill tokens: 64 to 64 decode sequences: 2 to 2 context tokens read: 100" in words
    assert "could not be told from the data the price of a squared chunk" in words


def test_a_fit_to_a_run_is_told_with_its_prices_and_its_agreement() -> None:
    found = RunCalibration(LAW, (FittedPrice("per_step", 0.01, 1.25, 98.0),), 1.5, 123, {})
    judged = {"first 24 requests, fitted": [Headline("mean TPOT", 0.02, 0.021)]}
    lines = run_report("run.jsonl", found, judged).splitlines()
    assert lines[0] == "affine fitted to run.jsonl, 123 simulations"
    rows = [line.split() for line in lines]
    assert ["per_step", "10", "1.2", "%", "98", "%"] in rows
    assert ["mean", "TPOT", "20.000", "ms", "21.000", "ms", "+5.00", "%"] in rows
