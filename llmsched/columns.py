"""NumPy columns read and written one entry at a time.

A memory view of an array hands out plain Python numbers, several times faster than indexing the
array, and both share their memory: scalar code in a loop, vector code around it.
"""

from __future__ import annotations

from typing import TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

Ints: TypeAlias = "memoryview[int]"
Floats: TypeAlias = "memoryview[float]"


def ints(column: NDArray[np.int64]) -> Ints:
    """Return a view of an integer column."""
    return column.data


def floats(column: NDArray[np.float64]) -> Floats:
    """Return a view of a floating-point column."""
    return cast(Floats, column.data)
