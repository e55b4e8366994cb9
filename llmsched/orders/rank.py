"""Queues by fixed keys, which most orders need nothing else than."""

from llmsched.errors import InputError
from llmsched.kernel.queues import Queue, RankQueue, Weighted

__all__ = ["Queue", "RankQueue", "Weighted", "check_weight"]


def check_weight(name: str, weight: float) -> None:
    """Refuse a weight below 0, or one that sums of keys may not hold.

    Raises
    ------
    InputError
        So it is.
    """
    if not 0 <= weight <= 1e9:
        raise InputError(f"{name}: expected a number in 0..1e9, got {weight}")
