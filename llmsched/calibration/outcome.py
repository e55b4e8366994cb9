"""A calibration as a profile document: prices, where they came from, what they cover."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import floor, log10

import numpy as np

from llmsched.calibration.agreement import Headline
from llmsched.calibration.measured import MeasuredSteps
from llmsched.calibration.runs import RunCalibration
from llmsched.calibration.steps import Calibration
from llmsched.hardware.affine import Affine
from llmsched.hardware.fitted import RANGES
from llmsched.hardware.piecewise import Piecewise
from llmsched.version import __version__

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
        "fitted": covered(steps),
        "missing": [_NOT_IN_STEPS, *found.unidentified],
    }


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


def covered(steps: MeasuredSteps) -> dict[str, list[int]]:
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
