"""Every law that a replay is held against catches one that breaks it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import pytest
from numpy.typing import NDArray

from llmsched.config import EngineConfig
from llmsched.engine import STEP_COLUMNS, SimulationResult, session
from llmsched.errors import Defect
from llmsched.hardware import HardwareProfile
from llmsched.hardware.affine import Affine
from llmsched.kernel.engine import Engine
from llmsched.kernel.rows import Rows
from llmsched.kernel.waiting import Knobs
from tests.hand import outputs, replay

Tamper: TypeAlias = Callable[[pytest.MonkeyPatch], None]


def hand() -> SimulationResult:
    """Replay three requests in four rows of the step table.

    0.00 stage of 0 and 1 | 1.00 round | 2.00 stage of 2 | 2.75 two rounds | 4.75 end
    """
    rows = outputs(4, 2, 3)
    return replay("fcfs", rows, 2, max_num_batched_tokens=4, num_gpu_blocks=9, block_size=1)


def with_step(row: int, **columns: float) -> Tamper:
    """Let the engine write other values into one row of its step table."""

    class Told(Rows):
        def written(self) -> NDArray[np.float64]:
            at, block = row - self.gone, super().written().copy()
            for name, value in columns.items():
                if 0 <= at < block.shape[1]:
                    block[STEP_COLUMNS.index(name), at] = value
            return block

    return lambda patch: patch.setattr(session, "Rows", Told)


def with_time(name: str, row: int, value: float) -> Tamper:
    """Let the engine tell something else of one request."""

    class Told(Engine):
        def outcome(self) -> dict[str, NDArray[Any]]:
            columns = super().outcome()
            columns[name] = columns[name].copy()
            columns[name][row] = value
            return columns

    return lambda patch: patch.setattr(session, "Engine", Told)


def test_a_sound_replay_passes() -> None:
    assert hand().column("start_s").tolist() == [0.0, 1.0, 2.0, 2.75]


@pytest.mark.parametrize("block", [1, 2, 3, 8])
@pytest.mark.parametrize(
    ("tamper", "broken"),
    [
        (with_step(1, duration_s=-1.0), "step 1 at 1.000000 s lasts -1.000000 s"),
        (with_step(1, duration_s=np.nan), "step 1 at 1.000000 s lasts nan s"),
        (with_step(3, duration_s=np.inf), "step 3 at 2.750000 s lasts inf s"),
        (with_step(3, duration_s=0.0), "step 3 at 2.750000 s takes no time, though it has a price"),
        (with_step(1, start_s=0.5), "step 1 starts before the one before it ends"),
        (with_step(2, start_s=1.5), "step 2 starts before the one before it ends"),
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
        (with_step(1, decode_seqs=4), "step 1 computes 4 sequences, and 2 are running"),
        (with_step(1, decode_seqs=1), "its steps compute 8 tokens, the requests need 9"),
        (with_time("recomputed", 2, 4), "its steps compute 9 tokens, the requests need 13"),
        (with_step(1, running=3), "step 1 uses 3 of max_num_seqs, and 2 can be used"),
        (with_step(2, kv_blocks=9), "step 2 uses 9 of num_gpu_blocks, and 8 can be used"),
        (with_step(3, kv_blocks_end=9), "step 3 uses 9 of num_gpu_blocks, and 8 can be used"),
        (with_step(2, held_tokens=8), "step 2 uses 9 of the KV cache's tokens, and 8 can be used"),
    ],
)
def test_a_broken_law_is_named_and_never_becomes_a_number(
    tamper: Tamper, broken: str, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "Session", partial(session.Session, block=block))
    tamper(monkeypatch)
    with pytest.raises(Defect) as error:
        hand()
    assert error.value.exit_code == 70
    told = f"defect in llmsched, please report it: policy fcfs on hand: {broken}"
    assert str(error.value) == told


def test_the_token_budget_is_a_law(monkeypatch: pytest.MonkeyPatch) -> None:
    def unlimited(config: EngineConfig, *, ahead: bool) -> Knobs:
        return Knobs(config.max_num_seqs)

    monkeypatch.setattr(session, "_knobs", unlimited)
    with pytest.raises(Defect, match="step 0 uses 6 of max_num_batched_tokens, and 4 can be used"):
        replay("fcfs", [(0.0, 3, 1)] * 2, 2, max_num_batched_tokens=4)


def test_a_step_may_take_no_time_where_the_profile_charges_nothing() -> None:
    free = HardwareProfile("free prefill", Affine(per_decode_seq=1.0))
    assert replay("fcfs", outputs(2, 1), 2, free).column("duration_s").tolist() == [0.0, 1.0]


def test_a_profile_that_charges_less_than_nothing_moves_no_clock() -> None:
    backwards = HardwareProfile("backwards", Affine(per_step=-1.0))
    with pytest.raises(Defect, match=r"step 0 at 0\.000000 s lasts -1\.000000 s"):
        replay("fcfs", outputs(2, 1), 2, backwards)
