"""Every law that a result is held against catches a result that breaks it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from llmsched.engine import STEP_COLUMNS, SimulationResult
from llmsched.engine.laws import check_laws
from llmsched.errors import Defect
from llmsched.hardware import HardwareProfile
from llmsched.hardware.affine import Affine
from tests.hand import outputs, replay

# 0.00 stage of 0 and 1 | 1.00 round | 2.00 stage of 2 | 2.75 two rounds | 4.75 end
HAND = replay("fcfs", outputs(4, 2, 3), 2, max_num_batched_tokens=4, num_gpu_blocks=9, block_size=1)


def with_step(row: int, **columns: float) -> SimulationResult:
    """Return the replay with other values in one row of its step table."""
    steps = HAND.step_rows.copy()
    for name, value in columns.items():
        steps[row, STEP_COLUMNS.index(name)] = value
    return replace(HAND, step_rows=steps)


def with_time(name: str, row: int, value: float) -> SimulationResult:
    """Return the replay with another time of one request."""
    column = getattr(HAND, name).copy()
    column[row] = value
    changed: Any = {name: column}
    return replace(HAND, **changed)


def test_a_sound_result_passes() -> None:
    check_laws(HAND)


@pytest.mark.parametrize(
    ("result", "broken"),
    [
        (with_step(1, duration_s=-1.0), "step 1 at 1.000000 s lasts -1.000000 s"),
        (with_step(1, duration_s=np.nan), "step 1 at 1.000000 s lasts nan s"),
        (with_step(3, duration_s=np.inf), "step 3 at 2.750000 s lasts inf s"),
        (with_step(3, duration_s=0.0), "step 3 at 2.750000 s takes no time, though it has a price"),
        (with_step(1, start_s=0.5), "step 1 starts before the one before it ends"),
        (with_step(3, rounds=0), "step 3 has no rounds"),
        (with_step(3, rounds=-2), "step 3 has no rounds"),
        (
            with_time("finish", 1, np.nan),
            "request '1': finish at nan s, first token at 1.000000 s",
        ),
        (
            with_time("first_token", 2, 1.5),
            "request '2': first token at 1.500000 s, admission at 2.000000 s",
        ),
        (
            with_time("admitted", 0, -0.5),
            "request '0': admission at -0.500000 s, arrival at 0.000000 s",
        ),
        (with_time("first_token", 1, 2.0), "request '1': first token at 2.000000 s, amid a step"),
        (with_time("finish", 0, 4.5), "request '0': finish at 4.500000 s, amid a step"),
        (with_step(0, prefill_tokens=1), "its steps compute 8 tokens, the requests need 9"),
        (with_step(3, decode_seqs=3), "its steps compute 11 tokens, the requests need 9"),
        (
            replace(HAND, recomputed_tokens=np.array([0, 0, 4])),
            "its steps compute 9 tokens, the requests need 13",
        ),
        (with_step(1, running=3), "step 1 uses 3 of max_num_seqs, and 2 can be used"),
        (with_step(2, kv_blocks=9), "step 2 uses 9 of num_gpu_blocks, and 8 can be used"),
        (with_step(2, held_tokens=8), "step 2 uses 9 of the KV cache's tokens, and 8 can be used"),
    ],
)
def test_a_broken_law_is_named_and_never_becomes_a_number(
    result: SimulationResult, broken: str
) -> None:
    with pytest.raises(Defect) as error:
        check_laws(result)
    assert error.value.exit_code == 70
    told = f"defect in llmsched, please report it: policy fcfs on hand: {broken}"
    assert str(error.value) == told


def test_the_token_budget_is_a_law() -> None:
    tight = replace(HAND, config=replace(HAND.config, max_num_batched_tokens=1))
    with pytest.raises(Defect, match="step 0 uses 2 of max_num_batched_tokens, and 1 can be used"):
        check_laws(tight)


def test_a_step_may_take_no_time_where_the_profile_charges_nothing() -> None:
    free = HardwareProfile("free prefill", Affine(per_decode_seq=1.0))
    assert replay("fcfs", outputs(2, 1), 2, free).column("duration_s").tolist() == [0.0, 1.0]


def test_a_profile_that_charges_less_than_nothing_moves_no_clock() -> None:
    backwards = HardwareProfile("backwards", Affine(per_step=-1.0))
    with pytest.raises(Defect, match=r"step 0 at 0\.000000 s lasts -1\.000000 s"):
        replay("fcfs", outputs(2, 1), 2, backwards)
