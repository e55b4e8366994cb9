"""From arrays of a replay to one flat row."""

from __future__ import annotations

from dataclasses import fields, replace
from math import isnan
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmsched import metrics
from llmsched.batching.chunked import Chunked
from llmsched.bounds import least_work
from llmsched.catalog import find
from llmsched.comparison.gates import judge, parse_gate
from llmsched.config import EngineConfig
from llmsched.contract import Policy
from llmsched.engine import SimulationResult
from llmsched.engine.replicas import Assignment, merge
from llmsched.engine.result import (
    ABORTED,
    COMPLETED,
    PER_REQUEST,
    REFUSED,
    latencies,
    latency,
)
from llmsched.errors import Defect, InputError, PolicyError
from llmsched.files import shipped
from llmsched.grouping import grouped
from llmsched.hardware import HardwareProfile, load_profile
from llmsched.hardware.affine import Affine
from llmsched.importers import load
from llmsched.metric import METRICS
from llmsched.metrics import session_times, summarize, summarize_groups, utilization
from llmsched.orders.ljf import Ljf
from llmsched.policies import NAMED
from llmsched.replay import simulate
from llmsched.trace import Trace
from tests.cases import AnyStep, Case, cases
from tests.hand import MIXED, STAGES, outputs, replay, token_gaps, trace_of

# Two slots; a stage of n one-token prompts takes 0.5 + 0.25 n s, a round 1 s.
#   0.00 stage of 0 and 1 | 1.00 round | 2.00 stage of 2 | 2.75 two rounds | 4.75 end
# Tokens of request 0 at 1, 2, 3.75 and 4.75; of 1 at 1 and 2; of 2 at 2.75, 3.75 and 4.75.
HAND = replay("fcfs", outputs(4, 2, 3), 2)


def test_latencies_of_each_request_by_hand() -> None:
    times = latencies(HAND)
    assert times.queue.tolist() == [0.0, 0.0, 2.0]
    assert times.ttft.tolist() == [1.0, 1.0, 2.75]
    assert times.tpot.tolist() == [1.25, 1.0, 1.0]
    assert times.e2el.tolist() == [4.75, 2.0, 4.75]


def test_gaps_between_tokens_by_hand() -> None:
    gaps, counts = token_gaps(HAND)
    assert sorted(np.repeat(gaps, counts).tolist()) == [1.0, 1.0, 1.0, 1.0, 1.0, 1.75]


def test_the_flat_row_by_hand() -> None:
    row = summarize(HAND, lower_bound_s=3.8, least_work_s=1.9)
    expected = {
        "completed": 3,
        "total_input_tokens": 3,
        "total_output_tokens": 9,
        "makespan_s": 4.75,
        "utilization": (2 * 1 + 2 * 1 + 1 * 0.75 + 2 * 2) / (2 * 4.75),
        "efficiency": 1.9 / 4.75,
        "request_throughput": 3 / 4.75,
        "output_throughput": 9 / 4.75,
        "total_token_throughput": 12 / 4.75,
        "mean_ttft_ms": 4750 / 3,
        "median_ttft_ms": 1000.0,
        "p90_ttft_ms": 1000 + 0.8 * 1750,  # position 1.8 of 0, 1, 2
        "p99_ttft_ms": 1000 + 0.98 * 1750,
        "mean_tpot_ms": 3250 / 3,
        "mean_itl_ms": 6750 / 6,
        "median_itl_ms": 1000.0,
        "p90_itl_ms": 1000 + 0.5 * 750,  # position 4.5 of 0..5
        "mean_e2el_ms": 11500 / 3,
        "mean_queue_ms": 2000 / 3,
        "preemptions": 0,
        "recomputed_tokens": 0,
        "steps": 5,
        "prefill_steps": 2,
        "mean_batch": (2 + 2 + 1 + 2 * 2) / 5,
        "kv_peak_tokens": 7,  # 4 of request 0 and 3 of request 2, after the last round
        "kv_mean_tokens": (2 * 1 + 4 * 1 + 3 * 0.75 + 5 * 1 + 7 * 1) / 4.75,
        "lower_bound_s": 3.8,
        "gap_percent": 25.0,
    }
    assert {name: row[name] for name in expected} == pytest.approx(expected, rel=1e-12)


def test_a_total_below_its_bound_is_a_defect_and_never_a_number() -> None:
    assert summarize(HAND, lower_bound_s=4.75 * (1 + 1e-12))["gap_percent"] == 0.0  # rounding
    with pytest.raises(Defect) as error:
        summarize(HAND, lower_bound_s=4.76)
    with pytest.raises(Defect, match=r"fcfs: 4\.75 s in all is below the proven bound of 4\.76 s"):
        summarize(HAND, least_work_s=4.76)
    assert str(error.value) == (
        "defect in llmsched, please report it: "
        "fcfs: 4.75 s in all is below the proven bound of 4.76 s"
    )


def test_rounding_is_as_coarse_as_the_clock() -> None:
    late = [(1e9, 1, 4), (1e9, 1, 2), (1e9, 1, 3)]  # a second of this clock has seven digits
    assert summarize(replay("fcfs", late, 2), lower_bound_s=4.7500001)["gap_percent"] == 0.0
    assert summarize(replay("fcfs", late, 2), least_work_s=4.7500001)["efficiency"] == 1.0


def test_where_a_slower_policy_fills_more_slots_its_efficiency_is_still_lower() -> None:
    """Context read beside a prompt is dear here, so the exclusive steps of fcfs are faster."""
    dear = Affine(
        per_step=1.0, per_prefill_token=0.25, per_decode_seq=0.125, per_kv_token_mixed=0.5
    )
    hardware, rows = HardwareProfile("dear", dear), [(0.0, 4, 3), (0.5, 4, 1)]
    work = least_work(trace_of(rows), hardware, EngineConfig(max_num_seqs=2))
    assert work == 3 * 1 + 8 * 0.25 + 2 * 0.125  # three steps, eight prompt tokens, two decodes
    fast, slow = (replay(name, rows, 2, hardware) for name in ("fcfs", "vllm"))
    fast_row, slow_row = (summarize(result, least_work_s=work) for result in (fast, slow))
    assert fast_row["makespan_s"] == 2 + 2 + 2 * 1.125
    assert slow_row["makespan_s"] == 2 + (2 + 0.125 + 4 * 0.5) + 1.125
    assert fast_row["utilization"] == 0.5
    assert slow_row["utilization"] == (2 + 2 * 4.125 + 1.125) / (2 * 7.25)
    assert fast_row["efficiency"] == 5.25 / 6.25
    assert slow_row["efficiency"] == 5.25 / 7.25


def test_what_has_no_sample_is_nan_and_never_zero() -> None:
    row = summarize(replay("fcfs", outputs(1, 1), 2))
    stats = ("mean", "median", "p90", "p95", "p99", "p999", "max")
    none = {f"{stat}_{name}_ms" for stat in stats for name in ("tpot", "itl")}
    none |= {"mean_stall_ms", "p99_stall_ms"}
    none |= {"request_goodput", "slo_attainment", "lower_bound_s", "gap_percent"}
    none |= {"kv_peak", "kv_mean", "efficiency", "first_wave", "jain_index", "service_ratio"}
    none |= {"mean_session_ms", "p99_session_ms"}
    none |= {"cached_tokens", "prefix_cache_hit_rate"}
    assert {name for name, value in row.items() if isnan(value)} == none


def with_a_cache(*, aborts: bool = False) -> SimulationResult:
    """Two prompts of six tokens, the first four alike; the second one comes when they are known."""
    trace = Trace.from_columns(
        [0.0, 10.0],
        [6, 6],
        [2, 9],
        hash_ids=((1, 2, 3), (1, 2, 4)),
        hash_block_size=2,
        timeout=[np.inf, 1.5 if aborts else np.inf],
    )
    config = EngineConfig(2, block_size=2, enable_prefix_caching=True)
    return simulate(trace, STAGES, find("fcfs"), config)


def test_what_prompts_find_in_the_cache_is_counted_as_hits_of_all_that_is_looked_for() -> None:
    row = summarize(with_a_cache())
    assert (row["cached_tokens"], row["prefix_cache_hit_rate"]) == (4, 4 / 12)
    assert row["total_input_tokens"] == 12


def test_what_an_aborted_request_found_is_no_hit() -> None:
    row = summarize(with_a_cache(aborts=True))
    assert (row["completed"], row["aborted"]) == (1, 1)
    assert (row["cached_tokens"], row["prefix_cache_hit_rate"]) == (0, 0.0)


def test_a_group_has_hits_of_its_own() -> None:
    result = with_a_cache()
    assert summarize(result, rows=np.array([1]))["prefix_cache_hit_rate"] == 4 / 6


def test_rates_are_nan_where_no_time_passes() -> None:
    free = HardwareProfile("free prefill", Affine(per_decode_seq=1.0))
    row = summarize(replay("fcfs", outputs(1, 1), 2, free), lower_bound_s=0.0, least_work_s=0.0)
    assert row["makespan_s"] == 0.0
    shares = ("utilization", "efficiency", "gap_percent")
    for name in (*shares, "request_throughput", "output_throughput", "kv_mean_tokens"):
        assert isnan(row[name])
    held = summarize(replay("fcfs", outputs(1, 1), 2, free, num_gpu_blocks=9))
    assert isnan(held["kv_mean"])


@pytest.mark.parametrize(
    ("slo", "attained"),
    [
        ({"ttft_ms": 1000.0}, 2),  # the limit itself is kept
        ({"ttft_ms": 999.0}, 0),
        ({"tpot_ms": 1000.0}, 2),
        ({"e2el_ms": 4750.0}, 3),
        ({"ttft_ms": 1000.0, "tpot_ms": 1000.0}, 1),
    ],
)
def test_goodput_counts_the_requests_that_keep_every_limit(
    slo: dict[str, float], attained: int
) -> None:
    row = summarize(HAND, slo=slo)
    assert row["slo_attainment"] == attained / 3
    assert row["request_goodput"] == attained / 4.75


def test_a_single_token_keeps_any_tpot() -> None:
    assert summarize(replay("fcfs", outputs(1), 1), slo={"tpot_ms": 1e-9})["slo_attainment"] == 1.0


@given(cases(), st.sampled_from([None, {"ttft_ms": 20.0}, {"e2el_ms": 500.0, "tpot_ms": 12.0}]))
@settings(max_examples=30)
def test_a_row_holds_plain_numbers_that_json_can_hold(
    case: Case, slo: dict[str, float] | None
) -> None:
    try:
        result = case.replay(NAMED["fcfs"])
    except PolicyError:  # a livelock
        return
    row = summarize(result, lower_bound_s=case.bound(), slo=slo)
    assert {type(value) for value in row.values()} <= {int, float}


def test_an_unknown_objective_is_refused() -> None:
    with pytest.raises(InputError) as error:
        summarize(HAND, slo={"itl_ms": 5.0})
    assert str(error.value) == (
        "slo: expected one of ttft_ms, tpot_ms, e2el_ms or a statistic like p99_ttft_ms, "
        "got 'itl_ms'"
    )


def test_a_prompt_being_computed_is_in_the_kv_cache() -> None:
    row = summarize(replay("fcfs", [(0.0, 4096, 1)], 1, num_gpu_blocks=1001))
    assert (row["kv_peak_tokens"], row["kv_mean_tokens"]) == (4096, 4096.0)
    assert row["kv_peak"] == 256 / 1000
    # In stages of 4 tokens: 4 in the cache, then 8, then 10, in stages of 1.5, 1.5 and 1 s.
    chunks = summarize(replay("fcfs", [(0.0, 10, 1)], 1, max_num_batched_tokens=4))
    assert chunks["kv_peak_tokens"] == 10
    assert chunks["kv_mean_tokens"] == (1.5 * 4 + 1.5 * 8 + 1 * 10) / 4


def test_kv_use_of_replicas_is_the_fullest_ones_and_one_ones_mean() -> None:
    trace = trace_of([(0.0, 8, 1), (0.0, 2, 1)])
    assignment = Assignment(np.array([0, 1], dtype=np.int32), 2)
    parts = [
        replay("fcfs", [row], 1, num_gpu_blocks=11, block_size=1)
        for row in ((0.0, 8, 1), (0.0, 2, 1))
    ]
    row = summarize(merge(trace, assignment, parts))
    assert (row["kv_peak_tokens"], row["kv_peak"]) == (8, 0.8)
    # 2.5 s of 8 tokens, 1 s of 2 tokens, over two replicas and 2.5 s.
    assert row["kv_mean_tokens"] == (2.5 * 8 + 1 * 2) / (2 * 2.5)


def test_kv_use_is_a_share_of_the_usable_blocks() -> None:
    # Prompt of 2 tokens, 2 rounds: blocks of 2 tokens held are 1, then 2, of 4 usable ones.
    row = summarize(replay("fcfs", [(0.0, 2, 3)], 1, num_gpu_blocks=5, block_size=2))
    assert row["kv_peak"] == 0.5
    # One block for the stage of 1 s; tokens 3 and 4 lie in a second one, for 2 rounds of 1 s.
    assert row["kv_mean"] == (1 * 1 + 2 * 2) / (4 * 3)


def test_a_replay_that_held_no_block_has_a_peak_of_zero() -> None:
    held = replay("fcfs", [(0.0, 2, 3)], 1, num_gpu_blocks=5, block_size=2)
    assert summarize(replace(held, peak_blocks=0))["kv_peak"] == 0.0


def test_preempted_tokens_are_counted_and_their_gap_is_one_gap() -> None:
    # 6 usable blocks of 1 token. 1.5 s stage, 1 s round: both hold 3 tokens and each wants one
    # more; request 1 gives up its 3. Request 0 decodes 2 more rounds, until 4.5 s; then 4 tokens
    # are recomputed in 1.5 s, which yields the last of request 1's tokens, due since 2.5 s.
    rows = [(0.0, 2, 4), (0.0, 2, 3)]
    result = replay("fcfs", rows, 2, num_gpu_blocks=7, block_size=1)
    assert result.finish.tolist() == [4.5, 6.0]
    row = summarize(result)
    assert (row["preemptions"], row["recomputed_tokens"]) == (1, 3)
    gaps, counts = token_gaps(result)
    assert sorted(np.repeat(gaps, counts).tolist()) == [1.0, 1.0, 1.0, 1.0, 3.5]


def test_a_sequence_that_decodes_on_after_it_was_resumed_has_one_gap_a_token() -> None:
    # As above, but request 1 wants a fourth token: from 6 s on, one round after the recomputation.
    rows = [(0.0, 2, 4), (0.0, 2, 4)]
    result = replay("fcfs", rows, 2, num_gpu_blocks=7, block_size=1)
    assert result.finish.tolist() == [4.5, 7.0]
    gaps, counts = token_gaps(result)
    assert sorted(np.repeat(gaps, counts).tolist()) == [1.0, 1.0, 1.0, 1.0, 1.0, 3.5]


def test_the_last_token_of_a_recomputation_is_a_decode_whose_gap_is_counted_once() -> None:
    # 6 blocks of one token, two tokens a step. Steps end at 1.5 (2 prompt tokens), 2.875, 4.25 (a
    # decode and a prompt token each); request 1 has its first token, both hold all blocks, and it
    # gives up its own. Request 0 ends at 5.375. Of the 3 tokens to recompute two take 1.5 s; the
    # third is a decode of 1.125 s and yields the next token at 8 s. One round more.
    rows = [(0.0, 2, 4), (0.0, 2, 3)]
    result = replay(
        *("vllm", rows, 2, MIXED), max_num_batched_tokens=2, num_gpu_blocks=7, block_size=1
    )
    assert result.first_token.tolist() == [1.5, 4.25]
    assert result.finish.tolist() == [5.375, 9.125]
    gaps, counts = token_gaps(result)
    assert sorted(np.repeat(gaps, counts).tolist()) == [1.125, 1.125, 1.375, 1.375, 3.75]


def test_equal_rounds_are_one_run_and_growing_ones_are_not() -> None:
    gaps, counts = token_gaps(replay("fcfs", outputs(40), 1))
    assert (gaps.tolist(), counts.tolist()) == ([1.0, 1.0], [1, 38])  # the first, all others
    # One token of context in the cache, then 2 and 3, at 1 s each beside 1 s a step.
    dear = HardwareProfile("dear", Affine(mixed=False, per_step=1.0, per_kv_token_decode=1.0))
    gaps, counts = token_gaps(replay("fcfs", outputs(4), 1, dear))
    assert (sorted(gaps.tolist()), counts.tolist()) == ([2.0, 3.0, 4.0], [1, 1, 1])


def test_request_columns_are_those_of_the_file() -> None:
    columns = HAND.request_columns()
    names = "id arrival_s input_tokens output_tokens admitted_s first_token_s finish_s preemptions"
    streams = "worst_gap_s worst_gap_cause stall_s"
    assert list(columns) == [*names.split(), "status", "emitted_tokens", *streams.split()]
    assert columns["finish_s"].tolist() == [4.75, 2.0, 4.75]
    assert columns["worst_gap_s"].tolist() == [1.75, 1.0, 1.0]
    assert columns["worst_gap_cause"].tolist() == ["prefill of 2", "decode", "decode"]
    assert columns["stall_s"].tolist() == [0.75, 0.0, 0.0]


def test_the_longest_gap_and_stalls_are_told_beside_the_percentiles() -> None:
    row = summarize(HAND)
    assert (row["max_itl_ms"], row["p99_itl_ms"] < 1750, row["max_ttft_ms"]) == (1750, True, 2750)
    assert row["p999_itl_ms"] == pytest.approx(1000 + 750 * (0.999 * 5 - 4))  # six gaps
    assert row["mean_stall_ms"] == 250
    assert row["p99_stall_ms"] == pytest.approx(750 * (0.99 * 2 - 1))
    alone = summarize(replace(HAND, streams=None))
    assert isnan(alone["mean_stall_ms"])
    assert alone["max_itl_ms"] == 1750


POLICIES = st.one_of(
    st.builds(AnyStep, st.integers(0, 2**32)).map(lambda rule: Policy("any", Ljf(), rule)),
    st.just(Policy("chunked", Ljf(), Chunked())),
    st.just(Policy("small", Ljf(), Chunked(token_budget=7))),
)


@given(st.one_of(cases(mixed=True), cases(mixed=True, kv=True)), POLICIES)
def test_gaps_sum_to_the_time_between_first_and_last_token(case: Case, policy: Policy) -> None:
    result = case.replay(policy)
    gaps, counts = token_gaps(result)
    assert (counts > 0).all()
    assert counts.sum() == (result.trace.output_tokens - 1).sum()
    spans = (result.finish - result.first_token).sum()
    assert (gaps * counts).sum() == pytest.approx(spans, rel=1e-9, abs=1e-9)
    assert (gaps > -1e-12).all()


@given(cases(mixed=True), POLICIES, st.booleans())
@settings(max_examples=50)
def test_percentiles_are_those_of_all_values_written_out(
    case: Case, policy: Policy, as_ramps: bool
) -> None:
    result = case.replay(policy)
    with patch.object(metrics, "_WRITTEN_OUT", 0 if as_ramps else 2**20):
        row, times = summarize(result), latencies(result)
        itl = np.repeat(*token_gaps(result))
    for name, values in (
        ("ttft", times.ttft),
        ("tpot", times.tpot[~np.isnan(times.tpot)]),
        ("e2el", times.e2el),
        ("itl", itl),
    ):
        if not len(values):
            assert isnan(row[f"mean_{name}_ms"])
            continue
        assert row[f"mean_{name}_ms"] == pytest.approx(1e3 * values.mean(), abs=1e-9)
        for stat, q in (("median", 50), ("p90", 90), ("p95", 95), ("p99", 99)):
            expected = 1e3 * np.percentile(values, q)
            assert row[f"{stat}_{name}_ms"] == pytest.approx(expected, rel=1e-9, abs=1e-9)


@given(cases(), st.integers(0, 2**32))
@settings(max_examples=50)
def test_utilization_is_a_share_and_batches_fit_the_slots(case: Case, seed: int) -> None:
    result = case.replay(Policy("any", Ljf(), AnyStep(seed, case.hardware.step_time.mixed)))
    if not result.column("duration_s").any():
        return  # a profile may charge nothing for a prefill
    assert 0 < utilization(result) <= 1 + 1e-9
    row = summarize(result)
    assert 0 < row["mean_batch"] <= result.config.max_num_seqs


def test_chunked_prefill_beside_decodes_by_hand() -> None:
    # Steps end at 2, 3.875, 5.25 and 6.5 s; request 0 decodes in the last three, 1 in the last.
    result = replay("vllm", [(0.0, 2, 4), (0.0, 6, 2)], 2, MIXED, max_num_batched_tokens=4)
    gaps, counts = token_gaps(result)
    assert sorted(np.repeat(gaps, counts).tolist()) == [1.25, 1.25, 1.375, 1.875]


def test_on_real_arrivals_equal_totals_have_equal_efficiency_and_gates_follow_it() -> None:
    trace, hardware = (
        load(shipped("traces", "azure-llm-2023-conv.jsonl.gz")),
        load_profile("llama3-8b-a100"),
    )
    work = least_work(trace, hardware)
    rows = {
        name: summarize(simulate(trace, hardware, find(name)), least_work_s=work)
        for name in ("static", "fcfs", "online")
    }
    shares = [row["efficiency"] for row in rows.values()]
    assert shares == pytest.approx([0.638] * 3, abs=1e-3)
    assert rows["static"]["makespan_s"] > rows["fcfs"]["makespan_s"]
    fcfs, static = ({"policy": name, **rows[name]} for name in ("fcfs", "static"))
    assert not judge(parse_gate("utilization:0%"), fcfs, static).passed  # though fcfs is faster
    assert judge(parse_gate("efficiency:0%"), fcfs, static).passed
    assert not judge(parse_gate("efficiency:0%"), static, fcfs).passed


def test_kv_mean_takes_each_row_at_the_mean_of_its_first_and_its_last_round() -> None:
    # Chunks of 4, 4 and 2 tokens in 1.5, 1.5 and 1 s hold 4, 8 and 10 of 10 blocks. What a step
    # writes has its blocks from its start, and each of these rows is a single step.
    row = summarize(
        replay(
            "fcfs",
            [(0.0, 10, 1)],
            1,
            max_num_batched_tokens=4,
            num_gpu_blocks=11,
            block_size=1,
        )
    )
    assert row["kv_mean"] == (1.5 * 4 + 1.5 * 8 + 1 * 10) / (10 * 4)
    # A stage of 1 s computes a prompt of 2 tokens: one block of 2. Four rounds of 1 s write tokens
    # 3, 4, 5 and 6, beside which 2, 2, 3 and 3 blocks are held: a row of 4 s that begins with 2
    # and ends with 3. The last of 5 tokens of output is never computed.
    result = replay("fcfs", [(0.0, 2, 5)], 1, num_gpu_blocks=7, block_size=2)
    assert result.column("kv_blocks").tolist() == [1, 2]
    assert result.column("kv_blocks_end").tolist() == [1, 3]
    assert summarize(result)["kv_mean"] == (1 * 1 + 4 * (2 + 3) / 2) / (6 * 5)


DEAR = HardwareProfile("dear", Affine(mixed=False, per_step=1.0, per_kv_token_decode=1.0))
"""One token of context in the cache costs 1 s beside 1 s a step: rounds of 2, 3, 4 ... seconds."""


@pytest.mark.parametrize(
    ("output", "limit", "samples", "ramps"),
    [
        (5, 2**20, [2.0, 3.0, 4.0, 5.0], []),  # few: written out
        (5, 3, [2.0, 3.0, 4.0, 5.0], []),
        (5, 2, [2.0], [(2.0, 1.0, 3, 1)]),  # 2 + 1 j seconds for j in 1..3
        (4, 0, [2.0], [(2.0, 1.0, 2, 1)]),
        (3, 0, [2.0, 3.0], []),  # a single round more is no ramp
    ],
)
def test_growing_rounds_are_a_ramp_where_there_are_many(
    output: int,
    limit: int,
    samples: list[float],
    ramps: list[tuple[float, float, int, int]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(metrics, "_WRITTEN_OUT", limit)
    samples_ms, found = written_out(replay("fcfs", outputs(output), 1, DEAR))
    assert samples_ms == [1e3 * seconds for seconds in samples]
    assert found == ramps


def test_equal_rounds_are_never_a_ramp(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "_WRITTEN_OUT", 0)
    samples_ms, found = written_out(replay("fcfs", outputs(40), 1))
    assert found == []
    assert samples_ms == [1e3] * 39


def written_out(
    result: SimulationResult,
) -> tuple[list[float], list[tuple[float, float, int, int]]]:
    """Return gaps that are samples, in milliseconds, and ramps: first, step, length, weight."""
    samples: list[float] = []
    ramps: list[tuple[float, float, int, int]] = []
    for piece in metrics.inter_token_latencies(result):
        samples += np.repeat(piece.values, piece.counts).tolist()
        found = piece.ramps
        columns = (found.first, found.step, found.length, found.weight)
        ramps += zip(*(column.tolist() for column in columns), strict=True)
    return sorted(samples), ramps


def test_a_request_that_is_not_completed_has_only_the_latencies_that_came() -> None:
    gone = replace(
        HAND,
        finish=np.array([4.75, 2.0, np.nan]),
        first_token=np.array([1.0, 1.0, np.nan]),
        admitted=np.array([0.0, 0.0, np.nan]),
        status=np.array([ABORTED, COMPLETED, REFUSED], np.int8),
        emitted=np.array([3, 2, 0]),
    )
    assert latency(gone, "ttft").tolist()[:2] == [1.0, 1.0]
    for span in ("e2el", "tpot"):
        assert np.isnan(latency(gone, span)).tolist() == [True, False, True]
    assert gone.makespan == 4.75


def test_failures_are_counted_and_attain_no_objective() -> None:
    gone = replace(
        HAND,
        finish=np.array([4.75, 2.0, np.nan]),
        status=np.array([ABORTED, COMPLETED, REFUSED], np.int8),
        emitted=np.array([3, 2, 0]),
        computed_input=np.array([1, 1, 0]),
    )
    row = summarize(gone, slo={"tpot_ms": 1e9})
    counts = (
        "offered",
        "completed",
        "refused",
        "aborted",
        "wasted_output_tokens",
        "wasted_input_tokens",
    )
    assert [row[name] for name in counts] == [3, 1, 1, 1, 3, 1]
    assert (row["total_input_tokens"], row["total_output_tokens"]) == (1, 2)
    assert row["request_throughput"] == 1 / 4.75
    assert row["output_throughput"] == 2 / 4.75
    assert (row["slo_attainment"], row["request_goodput"]) == (1 / 3, 1 / 4.75)


def with_classes(*classes: str) -> SimulationResult:
    trace = HAND.trace
    columns = (trace.arrival, trace.input_tokens, trace.output_tokens)
    return replace(HAND, trace=type(trace).from_columns(*columns, job_class=classes))


def test_a_row_of_some_requests_by_hand() -> None:
    """Of HAND without its first request: outputs 2 and 3, which end at 2 and 4.75 s."""
    whole, part = summarize(HAND, lower_bound_s=3.8), summarize(HAND, rows=np.array([1, 2]))
    expected = {
        "completed": 2,
        "total_output_tokens": 5,
        "measured_s": 4.75,
        "output_throughput": 5 / 4.75,
        "mean_ttft_ms": (1000 + 2750) / 2,
        "mean_itl_ms": 1000.0,  # gaps of 1 s, one and two of them
        "mean_e2el_ms": (2000 + 4750) / 2,
    }
    assert {name: part[name] for name in expected} == pytest.approx(expected, rel=1e-12)
    assert isnan(part["p99_itl_ms"])  # nobody knows whose gaps they are
    for name in ("makespan_s", "utilization", "steps", "mean_batch", "kv_peak_tokens"):
        assert part[name] == whole[name]


def test_rates_of_some_requests_are_over_their_own_time() -> None:
    # The second one arrives when the first ends: 0.75 + 1 s, then 0.75 + 2 s from 5 s on.
    result = replay("fcfs", [(0.0, 1, 2), (5.0, 1, 3)], 1)
    row = summarize(result, rows=np.array([1]), lower_bound_s=7.0)
    assert (row["makespan_s"], row["measured_s"]) == (7.75, 2.75)
    assert row["request_throughput"] == 1 / 2.75
    assert row["gap_percent"] == 100 * (7.75 / 7.0 - 1)


def test_rows_of_groups_by_hand() -> None:
    result = with_classes("a", "b", "a")
    rows = summarize_groups(result, grouped(result.trace, "class"), slo={"b:ttft_ms": 999.0})
    assert list(rows) == ["a", "b"]
    assert (rows["a"]["completed"], rows["b"]["completed"]) == (2, 1)
    assert rows["a"]["mean_ttft_ms"] == (1000 + 2750) / 2
    assert rows["b"]["mean_e2el_ms"] == 2000.0
    assert rows["b"]["request_throughput"] == 1 / 4.75  # over the same time as all others
    assert rows["b"]["slo_attainment"] == 0.0
    assert isnan(rows["a"]["slo_attainment"])  # it has no limit
    none = {name for name, metric in METRICS.items() if metric.whole_only}
    assert {"makespan_s", "steps", "kv_mean", "lower_bound_s", "p99_itl_ms"} <= none
    assert all(isnan(rows["a"][name]) for name in none)


def test_the_limit_of_a_class_stands_in_for_the_general_one_there() -> None:
    result = with_classes("a", "b", "a")  # TTFT 1, 1 and 2.75 s
    assert summarize(result, slo={"ttft_ms": 1000.0})["slo_attainment"] == 2 / 3
    assert summarize(result, slo={"ttft_ms": 1000.0, "b:ttft_ms": 500.0})["slo_attainment"] == 1 / 3
    assert summarize(result, slo={"ttft_ms": 1.0, "a:ttft_ms": 3000.0})["slo_attainment"] == 2 / 3
    assert summarize(result, slo={"a:ttft_ms": 1000.0})["slo_attainment"] == 1 / 2  # b has none
    assert isnan(summarize(result, slo={"p99_ttft_ms": 1000.0})["slo_attainment"])


def test_the_first_wave_is_the_part_of_p99_that_goes_with_it() -> None:
    # One slot: three at 0 wait for each other (0.75, 1.5, 2.25 s), the last at 9 s for nobody.
    result = replay("fcfs", [(0.0, 1, 1), (0.0, 1, 1), (0.0, 1, 1), (9.0, 1, 1)], 1)
    row = summarize(result)
    assert row["first_wave"] == pytest.approx(1 - 750 / row["p99_ttft_ms"], rel=1e-12)
    assert isnan(summarize(result, rows=np.array([3]))["first_wave"])
    assert isnan(summarize(HAND)["first_wave"])  # all arrive at once


def test_every_column_of_a_request_is_cut_with_it() -> None:
    columns = {
        field.name
        for field in fields(HAND)
        if isinstance(getattr(HAND, field.name), np.ndarray) and field.name != "resume_gap"
    }
    assert columns == set(PER_REQUEST)


def session_trace() -> Trace:
    """Two sessions, one of one turn, and somebody in none; prompts of two tokens."""
    return Trace.from_columns(
        [0, 0.0, np.nan, 20.0],
        [2] * 4,
        [3, 1, 2, 4],
        session=["a", "b", "a", ""],
        delay=[0, 0, 2, 0],
    )


def test_a_session_lasts_from_its_first_arrival_to_its_last_turns_end() -> None:
    result = simulate(session_trace(), STAGES, find("fcfs"), EngineConfig(1))
    # a: stage and two rounds to 3 s; b's stage to 4 s; a's second turn from 5 s to 7 s.
    assert session_times(result).tolist() == [7.0, 4.0]
    row = summarize(result)
    assert (row["sessions"], row["mean_session_ms"]) == (2, 5500.0)
    assert row["p99_session_ms"] == pytest.approx(4000 + 0.99 * 3000)


def test_a_session_with_a_turn_that_was_not_completed_is_none() -> None:
    trace = replace(session_trace(), timeout=np.array([2.0, np.inf, np.inf, np.inf]))
    result = simulate(trace, STAGES, find("fcfs"), EngineConfig(1))
    assert result.status.tolist() == [ABORTED, COMPLETED, COMPLETED, COMPLETED]
    assert summarize(result)["sessions"] == 1


def test_a_session_counts_where_all_of_its_turns_do() -> None:
    result = simulate(session_trace(), STAGES, find("fcfs"), EngineConfig(1))
    assert summarize(result, rows=np.array([1, 2, 3]))["sessions"] == 1
    assert summarize(result, rows=np.array([0, 2, 3]))["mean_session_ms"] == 7000.0


def test_without_sessions_their_times_are_not_known() -> None:
    row = summarize(HAND)
    assert row["sessions"] == 0
    assert isnan(row["mean_session_ms"])
    assert isnan(row["p99_session_ms"])
