"""From measured steps to a profile: an affine law, or a monotone table over tokens."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from llmsched.calibration.measured import MeasuredSteps
from llmsched.calibration.regression import Floats, fit_relative, indistinguishable
from llmsched.errors import InputError
from llmsched.hardware.affine import Affine
from llmsched.hardware.piecewise import Piecewise

KNOTS = (
    *(1, 32, 64, 96, 128, 129, 192, 193, 256, 257, 320, 384, 385, 512, 513, 768, 769),
    *(1024, 1025, 1536, 2048, 3072, 4096, 8192, 16384, 32768, 65536),
)
"""Candidates: tiles of 64 and 128 tokens, with room for a jump behind a full one."""

_ROWS_PER_COLUMN = 2
_SIZES_PER_KNOT = 2
_FOLDS = 5
_LEAST_ROWS = 20
_HOPELESS = 0.3


@dataclass(frozen=True, eq=False)
class Calibration:
    """A fitted kind and how far to trust it.

    Attributes
    ----------
    step_time : Affine or Piecewise
        The fit to all rows.
    held_out : float64, shape (n,)
        Relative error of each row, predicted - measured over measured, from a fit to four fifths
        of the rows that do not contain it.
    unidentified : tuple of str
        What the data could not tell, and what was done instead.
    """

    step_time: Affine | Piecewise
    held_out: Floats
    unidentified: tuple[str, ...]


def calibrate(steps: MeasuredSteps, kind: str) -> Calibration:
    """Fit the kind "affine" or "piecewise" to measured steps.

    Relative weights, non-negative least squares and Huber re-weighting; see `fit_relative`.

    Raises
    ------
    InputError
        The kind is another one, or the data cannot determine its prices; the message says why.
    """
    if kind not in ("affine", "piecewise"):
        raise InputError(f"kind: expected affine or piecewise, got {kind!r}")
    _check(steps)
    step_time, unidentified = fit(steps, kind)
    held_out = np.empty(len(steps))
    fold = np.random.default_rng(0).permutation(len(steps)) % _FOLDS
    for k in range(_FOLDS):
        part, _ = fit(steps.take(fold != k), kind)
        held_out[fold == k] = relative_error(part, steps.take(fold == k))
    typical = float(np.median(np.abs(held_out)))
    if typical > _HOPELESS:
        raise InputError(
            f"{steps.source}: step times do not follow from the batches: half of those held out "
            f"are off by over {100 * typical:.0f} %"
        )
    return Calibration(step_time, held_out, unidentified)


def relative_error(step_time: Affine | Piecewise, steps: MeasuredSteps) -> Floats:
    """Return (predicted - measured) / measured of each step."""
    zero = np.zeros(len(steps))
    counts = np.column_stack(
        [
            steps.prefill_tokens,
            zero if steps.sum_sq is None else steps.sum_sq,
            zero if steps.sum_x_context is None else steps.sum_x_context,
            steps.decode_seqs,
            steps.kv_tokens,
        ]
    ).astype(np.int64)
    predicted = np.array([step_time.step(*map(int, row)) for row in counts])
    return np.asarray(predicted / steps.seconds - 1.0)


def round_sums(steps: MeasuredSteps, step_time: Affine | Piecewise) -> list[float]:
    """Return by how many percent the sum of the decode rounds of each batch size is off.

    Errors of single steps cancel there. Only sizes that were measured more than once have a sum.
    """
    decode = steps.take(steps.kinds["decode"])
    error = relative_error(step_time, decode) * decode.seconds
    sums = []
    for seqs in np.unique(decode.decode_seqs):
        batch = decode.decode_seqs == seqs
        if np.count_nonzero(batch) > 1:
            sums.append(100 * abs(float(error[batch].sum() / decode.seconds[batch].sum())))
    return sums


def _check(steps: MeasuredSteps) -> None:
    """Refuse data that cannot determine a profile, saying why."""
    kinds = steps.kinds
    if len(steps) < _LEAST_ROWS:
        raise InputError(f"{steps.source}: expected at least {_LEAST_ROWS} rows, got {len(steps)}")
    if not kinds["decode"].any():
        raise InputError(f"{steps.source}: no row is decode-only, so a decode round has no price")
    if not (kinds["prefill"] | kinds["mixed"]).any():
        raise InputError(f"{steps.source}: no row holds prefill tokens, so a prompt has no price")
    if np.ptp(steps.seconds) == 0:
        raise InputError(f"{steps.source}: every step takes the same time, whatever it holds")
    if np.ptp(steps.kv_tokens[kinds["decode"]]) == 0:
        raise InputError(
            f"{steps.source}: all decode rows read equally many tokens; vary the context"
        )
    # two columns alone, because in a large file the constant and others hide the dependence
    decode = steps.take(kinds["decode"])
    pair = np.column_stack([decode.decode_seqs, decode.kv_tokens])
    if indistinguishable(pair, decode.seconds):
        raise InputError(
            f"{steps.source}: kv_tokens is proportional to num_decode_seqs in all decode rows, so "
            "the prices of a sequence and of its context cannot be told apart; vary the context"
        )


def fit(steps: MeasuredSteps, kind: str) -> tuple[Affine | Piecewise, tuple[str, ...]]:
    """Return the fit to all rows, and a line for each thing that the rows could not tell.

    Raises
    ------
    InputError
        Some prices cannot be told apart, or the fitted table would start at 0.
    """
    attention, missing = _attention_columns(steps)
    if kind == "affine":
        named = {
            "per_step": np.ones(len(steps)),
            "per_prefill_token": steps.prefill_tokens,
            "per_decode_seq": steps.decode_seqs,
            **attention,
        }
        prices = _prices(named, steps)
        return Affine(mixed=True, **_with_mixed(prices)), tuple(missing)
    knots, dropped = _knots(steps.tokens)
    hats = {f"knot {knots[0]}": np.ones(len(steps))}
    for low, high in pairwise(knots):
        hats[f"knot {high}"] = np.clip((steps.tokens - low) / (high - low), 0.0, 1.0)
    prices = _prices({**hats, **attention}, steps)
    rises = [prices.pop(name) for name in hats]
    if dropped:
        listed = ", ".join(map(str, dropped))
        missing.append(
            f"knots with fewer than {_SIZES_PER_KNOT} sizes of steps behind, left out: {listed}"
        )
    table = Piecewise(
        tokens=tuple(knots),
        seconds=tuple(float(value) for value in np.cumsum(rises)),
        mixed=True,
        **_with_mixed(prices),
    )
    if table.seconds[0] <= 0:
        raise InputError(
            f"{steps.source}: the fitted table starts at 0 ms; are the smallest steps missing?"
        )
    return table, tuple(missing)


def _attention_columns(steps: MeasuredSteps) -> tuple[dict[str, Floats], list[str]]:
    """Return the context columns that the data varies, and a line for each that it does not."""
    prefill = steps.prefill_tokens > 0
    columns = {"per_kv_token_decode": np.where(prefill, 0.0, steps.kv_tokens)}
    missing = []
    mixed = np.where(prefill, steps.kv_tokens, 0.0)
    if np.count_nonzero(mixed) >= _ROWS_PER_COLUMN:
        columns["per_kv_token_mixed"] = mixed
    else:
        missing.append("per_kv_token_mixed: no mixed rows; set to per_kv_token_decode")
    for name, column in (
        ("per_prefill_token_sq", steps.sum_sq),
        ("per_prefill_token_x_context", steps.sum_x_context),
    ):
        if column is None:
            missing.append(f"{name}: its column is not there; 0")
        elif np.count_nonzero(column) < _ROWS_PER_COLUMN:
            missing.append(f"{name}: its column is 0; 0")
        else:
            columns[name] = column
    return columns, missing


def _prices(columns: dict[str, Floats], steps: MeasuredSteps) -> dict[str, float]:
    matrix = np.column_stack(list(columns.values()))
    names = list(columns)
    alike = [names[i] for i in indistinguishable(matrix, steps.seconds)]
    if alike:
        raise InputError(
            f"{steps.source}: {len(steps)} rows cannot tell {', '.join(alike)} apart; "
            "measure more varied batches"
        )
    return dict(zip(names, map(float, fit_relative(matrix, steps.seconds)), strict=True))


def _with_mixed(prices: dict[str, float]) -> dict[str, Any]:
    return {"per_kv_token_mixed": prices["per_kv_token_decode"], **prices}


def _knots(tokens: Floats) -> tuple[list[int], list[int]]:
    """Return the knots that steps of enough sizes stand behind, and the candidates left out."""
    least, most = int(tokens.min()), int(tokens.max())
    kept, dropped = [least], []
    candidates = [knot for knot in KNOTS if least < knot < most] + [most]
    for knot, after in zip(candidates, [*candidates[1:], most], strict=True):
        jump = knot == kept[-1] + 1  # a jump is told from what lies behind it
        behind = np.unique(tokens[(tokens > kept[-1]) & (tokens <= (after if jump else knot))])
        if knot == most > least or len(behind) >= _SIZES_PER_KNOT:
            kept.append(knot)
        else:
            dropped.append(knot)
    return kept, dropped
