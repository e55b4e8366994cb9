"""A result as DataFrames: the same numbers, with names."""

from __future__ import annotations

import numpy as np
import pytest

from llmsched.comparison.frame import to_frame
from llmsched.engine import STEP_COLUMNS
from tests.comparison.results import cell, document, matrix, row
from tests.hand import outputs, replay

# Two slots; a stage of n one-token prompts takes 0.5 + 0.25 n s, a round 1 s.
#   0.00 stage of 0 and 1 | 1.00 round | 2.00 stage of 2 | 2.75 two rounds | 4.75 end
HAND = replay("fcfs", outputs(4, 2, 3), 2)


def test_requests_have_their_latencies_beside_what_the_file_has() -> None:
    frame = HAND.requests
    assert list(frame.columns[:13]) == list(HAND.request_columns())
    assert frame.id.tolist() == ["0", "1", "2"]
    assert frame.queue_s.tolist() == [0.0, 0.0, 2.0]
    assert frame.ttft_s.tolist() == [1.0, 1.0, 2.75]
    assert frame.tpot_s.tolist() == [3.75 / 3, 1.0, 1.0]
    assert frame.e2el_s.tolist() == [4.75, 2.0, 4.75]
    assert frame.recomputed_tokens.sum() == 0


def test_one_token_has_no_time_for_each_further_one() -> None:
    assert np.isnan(replay("fcfs", outputs(1), 1).requests.tpot_s[0])


def test_steps_are_the_table_with_counts_as_integers() -> None:
    frame = HAND.steps
    assert list(frame.columns) == list(STEP_COLUMNS)
    assert frame.start_s.tolist() == [0.0, 1.0, 2.0, 2.75]
    assert frame.rounds.tolist() == [1, 1, 1, 2]
    assert frame.dtypes.rounds == "int64"
    assert (frame.to_numpy() == HAND.step_rows).all()


@pytest.mark.parametrize("name", ["makespan_s", "utilization"])
def test_a_comparison_has_a_row_a_policy_and_a_level_an_axis(name: str) -> None:
    frame = to_frame(document(row("fcfs"), row("ljf", **{name: 0.5})))
    assert frame.index.names == ["policy"]
    assert frame.loc["ljf", name] == 0.5
    two = (
        cell(row("fcfs", **{name: x}), label={"lengths": at}) for x, at in ((1.0, "a"), (2.0, "b"))
    )
    frame = to_frame(matrix(*two))
    assert frame.index.names == ["lengths", "policy"]
    assert frame.loc[("b", "fcfs"), name] == 2.0
