"""How evenly the classes of a trace are served.

The service of a request is its prompt tokens plus twice its output tokens, the weights of the
virtual token counter (Sheng et al., "Fairness in serving large language models", OSDI 2024). The
rate of a class is the service of its requests over the seconds that they spend in the system, each
counted: what a request of the class gets a second while it is there. A class that asks for little
is thus not underserved, and equal treatment of equal requests is equal whatever their numbers.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from llmsched.engine.result import SimulationResult

INPUT_WEIGHT, OUTPUT_WEIGHT = 1, 2


def service_rates(result: SimulationResult) -> NDArray[np.float64]:
    """Return the service of each class per request-second, shape (classes,); empty without any."""
    names, of = result.trace.classes
    if not names:
        return np.zeros(0)
    left = ~np.isnan(result.finish)
    of, classes = of[left], len(names)
    tokens = INPUT_WEIGHT * result.computed_input + OUTPUT_WEIGHT * result.emitted
    service = np.bincount(of, tokens[left], classes)
    seconds = np.bincount(of, (result.finish - result.arrival)[left], classes)
    return np.divide(service, seconds, out=np.zeros(classes), where=seconds > 0)


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
