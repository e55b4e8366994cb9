"""A slice of the sweep: a fixed number of its cases with a fixed seed. `make sweep` runs more."""

from __future__ import annotations

import pytest

from benchmarks.sweep.checks import check
from benchmarks.sweep.draw import draw

SLICE, PARTS = 600, 12


@pytest.mark.parametrize("part", range(PARTS))
def test_no_case_of_the_slice_breaks_a_law(part: int) -> None:
    broken = [
        f"python -m benchmarks.sweep --case 0:{index}: {failure.kind}: {failure.message}"
        for index in range(part, SLICE, PARTS)
        for failure in check(draw(0, index)).failures
    ]
    assert not broken, "\n".join(broken)
