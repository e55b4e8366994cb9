"""What a calibration is worth, for a reader: errors, and what the data could not tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from llmsched.calibration.agreement import Headline
from llmsched.calibration.measured import MeasuredSteps
from llmsched.calibration.outcome import covered
from llmsched.calibration.runs import RunCalibration
from llmsched.calibration.steps import Calibration, round_sums
from llmsched.hardware.fitted import RANGES
from llmsched.report.console import PLAIN_WIDTH, Grid, Part, page
from llmsched.report.layout import wrapped

_LABELS = dict(
    zip(
        RANGES,
        ("tokens of a step", "prefill tokens", "decode sequences", "context tokens read"),
        strict=True,
    )
)


def steps_report(
    source: str,
    steps: MeasuredSteps,
    found: Calibration,
    *,
    width: int = PLAIN_WIDTH,
    color: bool = False,
) -> str:
    """Return what a fit to steps is worth: errors by kind, range, and what it could not tell."""
    missing = found.unidentified or ("nothing: all prices were determined",)
    parts: list[Part] = [
        "",
        _errors(steps, found),
        "",
        *wrapped(_round_sums(steps, found), width),
        "",
        "the data covers",
        *(f"  {label}: {ends}" for label, ends in _covers(steps).items()),
        f"  mixed steps: {np.count_nonzero(steps.kinds['mixed'])}",
        "could not be told from the data",
        *(line for text in missing for line in wrapped(f"  {text}", width, "  ")),
    ]
    title = f"{found.step_time.kind} fitted to {len(steps)} steps of {source}"
    return page(parts, title=title, width=width, color=color)


def run_report(
    source: str,
    found: RunCalibration,
    judged: Mapping[str, Sequence[Headline]],
    *,
    width: int = PLAIN_WIDTH,
    color: bool = False,
) -> str:
    """Return the prices with how well each is determined, and the errors on groups of requests."""
    prices = [
        (
            f"  {price.name}",
            f"{1e3 * price.value:.4g}",
            f"{price.error_percent:.1f} %",
            f"{price.from_data_percent:.0f} %",
        )
        for price in found.prices
    ]
    legend = (
        "  std error: jackknife over blocks of requests; from data: the rest is the prior",
        f"  tokens were seen {found.lag_steps:.1f} steps after the simulated engine computed them",
    )
    parts: list[Part] = [
        "",
        Grid(prices, [("price", "ms", "std error", "from data")]),
        *(line for text in legend for line in wrapped(text, width, "  ")),
    ]
    for label, group in judged.items():
        titles = (label, "measured", "simulated", "error")
        parts += ["", Grid([_headline(one) for one in group], [titles], names=40)]
    title = f"affine fitted to {source}, {found.simulations} simulations"
    return page(parts, title=title, width=width, color=color)


def _errors(steps: MeasuredSteps, found: Calibration) -> Grid:
    """Return the errors of held-out steps, by kind."""
    kinds = {**steps.kinds, "all": np.ones(len(steps), dtype=np.bool_)}
    rows = []
    for kind, mask in kinds.items():
        if mask.any():
            error = 100 * np.abs(found.held_out[mask])
            shown = (error.mean(), np.median(error), np.percentile(error, 95), error.max())
            rows.append((f"  {kind}", str(mask.sum()), *(f"{value:.2f}" for value in shown)))
    return Grid(rows, [("held-out error, %", "steps", "mean", "median", "p95", "max")])


def _round_sums(steps: MeasuredSteps, found: Calibration) -> str:
    sums = round_sums(steps, found.step_time)
    if not sums:
        return "sum of k decode rounds: no batch size was measured twice"
    return (
        f"sum of k decode rounds of one batch size: off by {np.mean(sums):.2f} % in the mean, "
        f"{max(sums):.2f} % at most ({len(sums)} sizes)"
    )


def _covers(steps: MeasuredSteps) -> dict[str, str]:
    """Return the ranges of the data in words."""
    found = covered(steps)
    return {
        label: "{} to {}".format(*found[key]) if key in found else "none"
        for key, label in _LABELS.items()
    }


def _headline(one: Headline) -> tuple[str, str, str, str]:
    ms = one.name == "mean TPOT"
    measured, simulated = (
        f"{1e3 * value:.3f} ms" if ms else f"{value:.3f} s"
        for value in (one.measured, one.simulated)
    )
    return f"  {one.name}", measured, simulated, f"{one.error_percent:+.2f} %"
