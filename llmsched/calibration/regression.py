"""Non-negative least squares that neither large steps nor outliers dominate."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

Floats = NDArray[np.float64]

_HUBER = 1.345  # 95 % efficiency on Gaussian noise
_ROUNDS = 50
_TOLERANCE = 1e-7


def fit_relative(columns: Floats, seconds: Floats) -> Floats:
    """Return coefficients >= 0 that minimise the Huber loss of relative errors.

    Iteratively re-weighted: residuals are relative to the current prediction, in units of their
    median absolute deviation, and those beyond 1.345 count linearly instead of squared
    (P. J. Huber, Robust Estimation of a Location Parameter, 1964). Each round is a non-negative
    least-squares problem (Lawson and Hanson, 1974).

    Parameters
    ----------
    columns : float64, shape (n, k)
        What is priced, each column with a non-zero entry.
    seconds : float64, shape (n,)
        What it took, > 0.
    """
    size = np.abs(columns).max(axis=0)
    scaled = columns / size
    weight, reference = np.ones_like(seconds), seconds
    coefficients = np.zeros(columns.shape[1])
    for _ in range(_ROUNDS):
        by = np.sqrt(weight) / reference
        before, (coefficients, _) = (
            coefficients,
            nnls(scaled * by[:, None], seconds * by, maxiter=100 * columns.shape[1]),
        )
        if np.allclose(coefficients, before, rtol=_TOLERANCE, atol=0.0):
            break
        predicted = scaled @ coefficients
        reference = np.maximum(predicted, 1e-3 * seconds)
        error = np.abs(seconds - predicted) / reference
        spread = 1.4826 * float(np.median(error))
        weight = np.minimum(1.0, _HUBER * spread / np.maximum(error, 1e-12))
        weight = np.maximum(weight, 1e-9)  # an exact fit has no spread
    return np.asarray(coefficients / size)


def indistinguishable(columns: Floats, seconds: Floats) -> list[int]:
    """Return the columns of the largest linear dependence, or none if all can be told apart."""
    relative = columns / seconds[:, None]
    size = np.linalg.norm(relative, axis=0)
    if not size.all():
        return [int(i) for i in np.flatnonzero(size == 0)]
    if len(columns) < columns.shape[1]:
        return list(range(columns.shape[1]))
    _, singular, right = np.linalg.svd(relative / size, full_matrices=False)
    if singular[-1] > 1e-6 * singular[0]:
        return []
    return [int(i) for i in np.flatnonzero(np.abs(right[-1]) > 1e-3)]
