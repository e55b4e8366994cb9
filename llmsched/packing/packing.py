"""What a packing is, and the lower bounds that need no search."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llmsched.errors import Defect, InputError

MAX_WORK = 2**62
"""Total durations above this are refused: loads stay exact in int64."""


@dataclass(frozen=True, eq=False)
class Packing:
    """Requests assigned to bins (slots or replicas), with a proven lower bound on the makespan.

    Attributes
    ----------
    bin_of : int32, shape (n,)
        Bin of each request.
    load : int64, shape (bins,)
        Sum of the durations in each bin, in the unit of the durations.
    lower_bound : int
        No assignment has a smaller makespan.
    closed_by : str
        The step that found this makespan: lpt, repartition, highs, cp-sat; or expected, where the
        packing was chosen for its mean over sampled durations (`robust.expected`).
    bound_by : str
        The argument behind `lower_bound`: average, longest, pigeonhole, columns, cp-sat.
    cpu_s : float
        Processor time spent; the one field that differs from run to run.
    stopped_by : str
        What ended the search before a proof: "" (nothing did), effort (the deterministic budget),
        time (the wall-clock cap: another run may end elsewhere) or interrupt.
    """

    bin_of: NDArray[np.int32]
    load: NDArray[np.int64]
    lower_bound: int
    closed_by: str
    bound_by: str
    cpu_s: float
    stopped_by: str = ""

    def __post_init__(self) -> None:
        if self.makespan < self.lower_bound:
            raise Defect(f"makespan {self.makespan} is below the proven bound {self.lower_bound}")

    @property
    def makespan(self) -> int:
        """Load of the fullest bin."""
        return int(self.load.max())

    @property
    def gap_percent(self) -> float:
        """Distance to the bound in percent of the bound; 0 where both are 0."""
        return 100.0 * (self.makespan - self.lower_bound) / max(self.lower_bound, 1)

    @property
    def status(self) -> str:
        """``optimal`` where the bound is reached, otherwise ``feasible``."""
        return "optimal" if self.makespan == self.lower_bound else "feasible"


@dataclass(frozen=True)
class Progress:
    """One line of a solver's log: where bound and best makespan stand."""

    seconds: float
    stage: str
    makespan: int
    lower_bound: int


OnProgress = Callable[[Progress], None]


def validate(durations: NDArray[np.int64], bins: int) -> None:
    """Refuse what cannot be packed.

    Raises
    ------
    InputError
        No durations, a negative one, a sum above `MAX_WORK`, or fewer than one bin.
    """
    if bins < 1:
        raise InputError(f"bins: expected an integer >= 1, got {bins}")
    if durations.ndim != 1 or len(durations) == 0:
        raise InputError(f"durations: expected a non-empty vector, got shape {durations.shape}")
    if int(durations.min()) < 0:
        raise InputError(f"durations: expected integers >= 0, got {int(durations.min())}")
    if float(durations.sum(dtype=np.float64)) > MAX_WORK:
        raise InputError(f"durations: expected a sum of at most 2**62, got {durations.sum():.3g}")


def simple_bound(durations: NDArray[np.int64], bins: int) -> tuple[int, str]:
    """Return the best of three bounds on the makespan, and its name.

    The average load; the longest request; and pigeonhole: among the ``k*bins + 1`` longest requests
    some ``k + 1`` share a bin, so the ``k + 1`` shortest of them bound the makespan.
    """
    falling = np.sort(durations)[::-1]
    bounds = [(-(-int(durations.sum()) // bins), "average"), (int(falling[0]), "longest")]
    prefix = np.concatenate([[0], np.cumsum(falling)])
    crowd = np.arange(1, (len(falling) - 1) // bins + 1)
    if len(crowd):
        shared = prefix[crowd * bins + 1] - prefix[crowd * bins - crowd]
        bounds.append((int(shared.max()), "pigeonhole"))
    return max(bounds, key=lambda bound: bound[0])
