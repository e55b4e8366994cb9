"""pack(): every request once, loads add up, bounds hold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmsched.errors import InputError
from llmsched.planner import pack

DURATIONS = st.lists(st.integers(0, 60), min_size=1, max_size=24)


@given(durations=DURATIONS, bins=st.integers(1, 8))
def test_every_request_has_one_bin_and_loads_add_up(durations: list[int], bins: int) -> None:
    packing = pack(np.array(durations), bins, solver="heuristic")
    load = np.bincount(packing.bin_of, weights=np.array(durations), minlength=bins)
    assert packing.bin_of.shape == (len(durations),)
    assert packing.load.tolist() == load.astype(int).tolist()
    assert packing.lower_bound <= packing.makespan


@pytest.mark.parametrize(
    ("durations", "bins", "message"),
    [
        ([], 2, "non-empty"),
        ([1, -1], 2, ">= 0, got -1"),
        ([1], 0, ">= 1, got 0"),
        ([2**62, 2**62], 2, "at most 2\\*\\*62"),
    ],
)
def test_what_cannot_be_packed_is_refused(durations: list[int], bins: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        pack(np.array(durations, dtype=np.int64), bins)
