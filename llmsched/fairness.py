"""How evenly the classes of a trace are served.

The service of a request is its prompt tokens plus twice its output tokens, the weights of the
virtual token counter (Sheng et al., "Fairness in serving large language models", OSDI 2024). The
rate of a class is the service of its requests over the seconds in which it has work in the system:
in which one of them has arrived and has not left. A class that asks for little is thus not
underserved.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from llmsched.engine.result import SimulationResult

INPUT_WEIGHT, OUTPUT_WEIGHT = 1, 2


def service_rates(result: SimulationResult) -> NDArray[np.float64]:
    """Return the service of each class per second, shape (classes,); empty without classes."""
    names, of = result.trace.classes
    if not names:
        return np.zeros(0)
    left = ~np.isnan(result.finish)
    of, classes = of[left], len(names)
    tokens = INPUT_WEIGHT * result.computed_input + OUTPUT_WEIGHT * result.emitted
    service = np.bincount(of, tokens[left], classes)
    seconds = busy_seconds(of, result.arrival[left], result.finish[left], classes)
    return np.divide(service, seconds, out=np.zeros(classes), where=seconds > 0)


def busy_seconds(
    of: NDArray[np.int32],
    arrival: NDArray[np.float64],
    finish: NDArray[np.float64],
    classes: int,
) -> NDArray[np.float64]:
    """Return for how long each class has work: the length of the union of [arrival, finish]."""
    order = np.lexsort((arrival, of))
    of, arrival, finish = of[order], arrival[order], finish[order]
    ends = np.searchsorted(of, np.arange(classes + 1))
    seconds = np.zeros(classes)
    for place, (start, end) in enumerate(pairwise(ends.tolist())):
        if end > start:
            until = np.maximum.accumulate(finish[start:end])
            idle = arrival[start + 1 : end] - until[:-1]
            seconds[place] = until[-1] - arrival[start] - idle[idle > 0].sum()
    return seconds


def jain_index(rates: NDArray[np.float64]) -> float:
    """Return Jain's index, from 1 / classes to 1 where all rates are equal; NaN below two classes.

    Jain, Chiu and Hawe, "A quantitative measure of fairness and discrimination", DEC-TR-301, 1984.
    """
    if len(rates) < 2 or not rates.any():
        return float("nan")
    return float(rates.sum() ** 2 / (len(rates) * (rates**2).sum()))


def service_ratio(rates: NDArray[np.float64]) -> float:
    """Return the greatest rate over the least; NaN below two classes, or if one got nothing."""
    if len(rates) < 2 or not rates.min() > 0:
        return float("nan")
    return float(rates.max() / rates.min())
