"""A calibration as text for a person, and as a profile document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import floor, log10

import numpy as np

from llmsched import __version__
from llmsched.calibration.agreement import Headline
from llmsched.calibration.measured import MeasuredSteps
from llmsched.calibration.runs import RunCalibration
from llmsched.calibration.steps import Calibration, relative_error
from llmsched.hardware.affine import Affine
from llmsched.hardware.fitted import RANGES
from llmsched.hardware.piecewise import Piecewise
from llmsched.report.profiles import aligned

_LABELS = dict(
    zip(
        RANGES,
        ("tokens of a step", "prefill tokens", "decode sequences", "context tokens read"),
        strict=True,
    )
)
_NOT_IN_STEPS = "what the measured steps left out (often CPU time between steps)"
_NOT_IN_RUN = "the price of a squared chunk (0); steps the run never took are extrapolated"


def profile_document(
    name: str,
    step_time: Affine | Piecewise,
    engine: Mapping[str, int],
    provenance: Mapping[str, object],
) -> dict[str, object]:
    """Return the YAML document of a fitted kind, prices in ms with six digits."""
    prices: dict[str, object] = {"kind": step_time.kind, "unit": "ms"}
    if isinstance(step_time, Affine):
        for key in ("per_step", "per_prefill_token", "per_decode_seq"):
            prices[key] = _ms(getattr(step_time, key))
    else:
        table = {"tokens": list(step_time.tokens), "ms": [_ms(s) for s in step_time.seconds]}
        prices["token_table"] = table
    for key in (
        "per_kv_token_decode",
        "per_kv_token_mixed",
        "per_prefill_token_sq",
        "per_prefill_token_x_context",
    ):
        prices[key] = _ms(getattr(step_time, key))
    return {
        "schema_version": 1,
        "name": name,
        "engine": dict(engine),
        "step_time": prices,
        "provenance": dict(provenance),
    }


def steps_provenance(source: str, steps: MeasuredSteps, found: Calibration) -> dict[str, object]:
    """Return where a profile fitted to steps came from."""
    error = 100 * np.abs(found.held_out)
    return {
        "status": "calibrated",
        "method": "relative Huber NNLS on measured steps"
        + (", monotone token table" if isinstance(found.step_time, Piecewise) else ""),
        "sources": [f"{source} ({len(steps)} steps)"],
        "tool": f"llmsched {__version__}",
        "holdout_mape_percent": _rounded(float(error.mean()), 3),
        "holdout_p95_percent": _rounded(float(np.percentile(error, 95)), 3),
        "holdout_max_percent": _rounded(float(error.max()), 3),
        "fitted": _fitted(steps),
        "missing": [_NOT_IN_STEPS, *found.unidentified],
    }


def steps_report(source: str, steps: MeasuredSteps, found: Calibration) -> str:
    """Return what a fit to steps is worth: errors by kind, range, and what it could not tell."""
    kinds = {**steps.kinds, "all": np.ones(len(steps), dtype=np.bool_)}
    rows: list[tuple[str, ...]] = [("held-out error, %", "steps", "mean", "median", "p95", "max")]
    for kind, mask in kinds.items():
        if mask.any():
            error = 100 * np.abs(found.held_out[mask])
            shown = (error.mean(), np.median(error), np.percentile(error, 95), error.max())
            rows.append((f"  {kind}", str(mask.sum()), *(f"{value:.2f}" for value in shown)))
    lines = [
        f"{found.step_time.kind} fitted to {len(steps)} steps of {source}",
        "",
        *aligned(rows, left=1),
        "",
        _round_sums(steps, found.step_time),
        "",
        "the data covers",
        *(f"  {key}: {value}" for key, value in _covers(steps).items()),
        f"  mixed steps: {np.count_nonzero(steps.kinds['mixed'])}",
        "could not be told from the data",
        *(f"  {line}" for line in found.unidentified or ("nothing: all prices were determined",)),
    ]
    return "\n".join(lines)


def run_provenance(
    source: str, requests: int, found: RunCalibration, held_out: Sequence[Headline]
) -> dict[str, object]:
    """Return where a profile fitted to a run came from."""
    provenance: dict[str, object] = {
        "status": "calibrated",
        "method": "simulated (policy vllm) until first tokens, times per token and ends agreed",
        "sources": [f"{source} ({requests} requests)"],
        "tool": f"llmsched {__version__}",
        "fitted": {key: list(ends) for key, ends in found.fitted.items()},
        "determined": {
            price.name: f"{price.error_percent:.1f} % standard error, "
            f"{price.from_data_percent:.0f} % from the data"
            for price in found.prices
        },
        "missing": [_NOT_IN_RUN],
    }
    if held_out:
        provenance["held_out_requests_error_percent"] = {
            one.name: round(one.error_percent, 2) for one in held_out
        }
    return provenance


def run_report(source: str, found: RunCalibration, judged: Mapping[str, Sequence[Headline]]) -> str:
    """Return the prices with how well each is determined, and the errors on groups of requests."""
    prices = [("price", "ms", "std error", "from data")] + [
        (
            f"  {price.name}",
            f"{1e3 * price.value:.4g}",
            f"{price.error_percent:.1f} %",
            f"{price.from_data_percent:.0f} %",
        )
        for price in found.prices
    ]
    lines = [f"affine fitted to {source}, {found.simulations} simulations", ""]
    lines += aligned(prices, left=1)
    lines += [
        "  std error: jackknife over blocks of requests; from data: the rest is the prior",
        f"  tokens were seen {found.lag_steps:.1f} steps after the simulated engine computed them",
    ]
    for label, group in judged.items():
        rows: list[tuple[str, ...]] = [(label, "measured", "simulated", "error")]
        for one in group:
            ms = one.name == "mean TPOT"
            values = (one.measured, one.simulated)
            shown = (f"{1e3 * v:.3f} ms" if ms else f"{v:.3f} s" for v in values)
            rows.append((f"  {one.name}", *shown, f"{one.error_percent:+.2f} %"))
        lines += ["", *aligned(rows, left=1)]
    return "\n".join(lines)


def _round_sums(steps: MeasuredSteps, step_time: Affine | Piecewise) -> str:
    """Return the error of sums of decode rounds, in which errors of single steps cancel."""
    decode = steps.take(steps.kinds["decode"])
    error = relative_error(step_time, decode) * decode.seconds
    sums = []
    for seqs in np.unique(decode.decode_seqs):
        batch = decode.decode_seqs == seqs
        if np.count_nonzero(batch) > 1:
            sums.append(100 * abs(float(error[batch].sum() / decode.seconds[batch].sum())))
    if not sums:
        return "sum of k decode rounds: no batch size was measured twice"
    return (
        f"sum of k decode rounds of one batch size: off by {np.mean(sums):.2f} % in the mean, "
        f"{max(sums):.2f} % at most ({len(sums)} sizes)"
    )


def _covers(steps: MeasuredSteps) -> dict[str, str]:
    """Return the ranges of the data in words."""
    found = _fitted(steps)
    return {
        label: "{} to {}".format(*found[key]) if key in found else "none"
        for key, label in _LABELS.items()
    }


def _fitted(steps: MeasuredSteps) -> dict[str, list[int]]:
    """Return the least and the most of each kind of work that the steps held."""
    decode, prefill = steps.decode_seqs > 0, steps.prefill_tokens > 0
    columns = (
        steps.tokens,
        steps.prefill_tokens[prefill],
        steps.decode_seqs[decode],
        steps.kv_tokens[decode],
    )
    return {
        key: [int(values.min()), int(values.max())]
        for key, values in zip(RANGES, columns, strict=True)
        if len(values)
    }


def _ms(seconds: float) -> float:
    return _rounded(1000.0 * seconds, 6)


def _rounded(value: float, digits: int) -> float:
    return round(value, digits - 1 - floor(log10(abs(value)))) if value else 0.0
