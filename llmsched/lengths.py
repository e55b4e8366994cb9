"""Output lengths as a policy may see them: the truth, its mean, or the truth with error."""

from __future__ import annotations

from math import isfinite, log, sqrt

import numpy as np
from numpy.typing import NDArray

from llmsched.errors import InputError
from llmsched.trace import Trace


def chosen_mode(trace: Trace, asked: str | None) -> str:
    """Return the mode asked for; where none is, the trace's own predictions if it has them."""
    if asked is not None:
        return asked
    return "oracle" if trace.predicted_output_tokens is None else "trace"


def in_words(mode: str) -> str:
    """Return what policies know of the lengths under `mode`, for a title."""
    return "the trace's predicted lengths" if mode == "trace" else f"{mode} lengths"


def predict(trace: Trace, mode: str = "oracle", seed: int = 0) -> NDArray[np.int64]:
    """Predict the output length of each request.

    Parameters
    ----------
    mode : str
        ``oracle``: the true lengths. ``mean``: the trace's mean for every request. ``noisy:CV``:
        the truth times a lognormal error of mean 1 and coefficient of variation CV, independent for
        each request. ``trace``: the predictions that came with the trace.
    seed : int
        Seed of the error.

    Returns
    -------
    int64, shape (n,)
        Predicted output tokens, each >= 1.

    Raises
    ------
    InputError
        An unknown mode, a CV outside 0..10, a negative seed, or a trace without predictions.
    """
    if seed < 0:
        raise InputError(f"seed: expected an integer >= 0, got {seed}")
    check_mode(trace, mode)
    if mode == "oracle":
        return trace.output_tokens
    if mode == "mean":
        mean = max(1, round(float(trace.output_tokens.mean())))
        return np.full(len(trace), mean, dtype=np.int64)
    if mode == "trace":
        assert trace.predicted_output_tokens is not None
        return trace.predicted_output_tokens
    cv = coefficient_of_variation(mode.partition(":")[2])
    error = lognormal_error(cv, (len(trace),), seed)
    return np.maximum(1, np.rint(trace.output_tokens * error)).astype(np.int64)


def check_mode(trace: Trace, mode: str) -> None:
    """Refuse a mode that `predict` does not know, or that this trace has nothing for.

    Raises
    ------
    InputError
        As `predict`.
    """
    name, _, value = mode.partition(":")
    if name == "noisy":
        coefficient_of_variation(value)
    elif mode == "trace" and trace.predicted_output_tokens is None:
        raise InputError(f"lengths: {trace.name} carries no predicted_output_length")
    elif mode not in ("oracle", "mean", "trace"):
        raise InputError(f"lengths: expected oracle, mean, noisy:CV or trace, got {mode!r}")


def lognormal_error(cv: float, shape: tuple[int, ...], seed: int) -> NDArray[np.float64]:
    """Draw independent factors of this shape: lognormal, mean 1, coefficient of variation `cv`."""
    variance = log(1 + cv * cv)
    error = np.random.default_rng(seed).normal(-variance / 2, sqrt(variance), shape)
    return np.asarray(np.exp(error))


def coefficient_of_variation(text: str) -> float:
    """Read the CV of ``noisy:CV``.

    Raises
    ------
    InputError
        It is not a number in 0..10.
    """
    try:
        cv = float(text)
    except ValueError:
        cv = -1.0
    if not (isfinite(cv) and 0 <= cv <= 10):
        raise InputError(
            f"lengths: noisy: expected a coefficient of variation in 0..10, got {text!r}"
        )
    return cv
