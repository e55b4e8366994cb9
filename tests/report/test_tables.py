"""The tables of ``--requests`` and ``--steps``."""

from __future__ import annotations

from llmsched.report.tables import requests_csv, steps_csv
from tests.hand import outputs, replay

HAND = replay("fcfs", outputs(4, 2, 3), 2)


def test_one_line_a_request_in_trace_order() -> None:
    assert requests_csv(HAND).splitlines() == [
        "id,arrival_s,input_tokens,output_tokens,admitted_s,first_token_s,finish_s,preemptions,"
        "status,emitted_tokens,worst_gap_s,worst_gap_cause,stall_s",
        "0,0.0,1,4,0.0,1.0,4.75,0,completed,4,1.75,prefill of 2,0.75",
        "1,0.0,1,2,0.0,1.0,2.0,0,completed,2,1.0,decode,0.0",
        "2,0.0,1,3,2.0,2.75,4.75,0,completed,3,1.0,decode,0.0",
    ]


def test_one_line_a_step_and_a_run_of_rounds_is_one_line() -> None:
    assert steps_csv(HAND).splitlines() == [
        "start_s,duration_s,rounds,prefill_tokens,prefill_seqs,decode_seqs,kv_tokens,running,waiting",
        "0.0,1.0,1,2,2,0,0,2,1",
        "1.0,1.0,1,0,0,2,2,2,1",
        "2.0,0.75,1,1,1,0,0,2,0",
        "2.75,2.0,2,0,0,2,3,2,0",
    ]


def test_times_are_written_to_the_last_digit() -> None:
    result = replay("fcfs", [(0.1, 1, 1), (0.2, 1, 1)], 1)
    for line, finish in zip(requests_csv(result).splitlines()[1:], result.finish, strict=True):
        assert float(line.split(",")[6]) == finish
