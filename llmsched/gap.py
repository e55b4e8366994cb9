"""How far a total time is from what is proven of it."""

from __future__ import annotations

from llmsched.errors import Defect

ROUNDING = 1e-9
"""Share by which sums of the same durations, taken in another order, may differ."""


def gap_percent(what: str, makespan: float, bound: float, clock: float = 0.0) -> float:
    """Return the distance of a total time to a bound, in percent of the bound; NaN without one.

    Parameters
    ----------
    what : str
        Whose time it is, for the message.
    clock : float
        The latest time of which `makespan` is a difference: as coarse as that is rounding.

    Raises
    ------
    Defect
        The time is below the bound by more than rounding: one of the two is wrong.
    """
    _check(what, makespan, bound, clock)
    return max(0.0, 100 * (makespan / bound - 1)) if bound > 0 else float("nan")


def efficiency(what: str, makespan: float, work: float, clock: float = 0.0) -> float:
    """Return the share of a total time that its work needs at least; NaN without work or time.

    On the same requests no slower policy has a higher one, whatever its steps look like.

    Parameters
    ----------
    what : str
        Whose time it is, for the message.
    work : float
        What :func:`least_work` says of the requests.
    clock : float
        As in :func:`gap_percent`.

    Raises
    ------
    Defect
        The share exceeds one by more than rounding.
    """
    _check(what, makespan, work, clock)
    return min(1.0, work / makespan) if work > 0 and makespan > 0 else float("nan")


def _check(what: str, makespan: float, bound: float, clock: float) -> None:
    if makespan < bound - ROUNDING * max(bound, clock):
        raise Defect(f"{what}: {makespan!r} s in all is below the proven bound of {bound!r} s")
