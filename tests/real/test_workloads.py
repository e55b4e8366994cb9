"""Drawn workloads have every feature, and blocks that are equal where their tokens are."""

from __future__ import annotations

from itertools import product

from benchmarks.vllm_workloads import FEATURES, block_ids, drawn
from tests.verify.plain_vllm import KNOBS, replayed

PLAIN = {"max_num_seqs", "max_num_batched_tokens", "num_gpu_blocks", "block_size", "policy"}


def test_sixteen_in_a_row_have_every_combination_of_features() -> None:
    seen = set()
    for seed in range(160, 176):
        config = drawn(seed)["config"]
        seen.add(
            (
                "enable_prefix_caching" in config,
                "async_scheduling" in config,
                config["policy"] == "priority",
                not {"enable_prefix_caching", "async_scheduling"} >= config.keys() - PLAIN,
            )
        )
    assert seen == set(product((False, True), repeat=len(FEATURES)))


def test_every_knob_is_drawn_sooner_or_later() -> None:
    drawn_knobs = {name for seed in range(256) for name in drawn(seed)["config"]}
    assert set(KNOBS) <= drawn_knobs


def test_a_workload_is_its_seed_s() -> None:
    assert drawn(7) == drawn(7)
    assert drawn(7) != drawn(23)


def test_blocks_are_equal_where_all_tokens_up_to_their_end_are() -> None:
    one, two, three = block_ids([[1, 2, 3, 4, 5], [1, 2, 9, 9], [3, 4, 3, 4]], 2)
    assert len(one) == len(two) == len(three) == 2
    assert one[0] == two[0]
    assert len({one[0], one[1], two[1], *three}) == 5


def test_drawn_workloads_stress_the_cache_and_the_kv_blocks() -> None:
    documents = [replayed(drawn(seed)) for seed in range(48)]
    assert sum(sum(document["preemptions"]) for document in documents) > 100
    hits = [row[5] for document in documents for row in document["steps"] if len(row) > 5]
    assert sum(hits) > 10_000
