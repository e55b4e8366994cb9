"""What a prefix cache spares at most, against every order of computing requests."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmsched.bounds import least_work, lower_bound, turns
from llmsched.catalog import find
from llmsched.config import EngineConfig
from llmsched.engine.result import ABORTED, COMPLETED
from llmsched.hardware import HardwareProfile
from llmsched.hardware.affine import Affine
from llmsched.latency_bounds import latency_bounds
from llmsched.replay import Case, simulate
from llmsched.request_prices import decodes_or_resumptions, not_undercut, own_rounds
from llmsched.spared import spared_in, spared_of
from llmsched.trace import Trace
from tests.hand import MIXED, STAGES

CACHED = EngineConfig(max_num_seqs=8, block_size=2, enable_prefix_caching=True)
Path = tuple[int, ...]


def shared(*requests: tuple[Path, int], arrival: float = 0.0) -> Trace:
    """Return requests of a prompt of these blocks of two tokens, and so many output tokens each."""
    paths = [path for path, _ in requests]
    prompt = [2 * len(path) for path in paths]
    output = [tokens for _, tokens in requests]
    ids = tuple(_named(path) for path in paths)
    return Trace.from_columns(
        [arrival * i for i in range(len(paths))], prompt, output, hash_ids=ids, hash_block_size=2
    )


def _named(path: Path) -> Path:
    """Return a name for each block that depends on all before it."""
    names, name = [], 0
    for label in path:
        name = 10 * name + label
        names.append(name)
    return tuple(names)


def spared(trace: Trace) -> tuple[list[int], ...]:
    """Return most, first, own and common."""
    found = spared_of(trace, CACHED)
    return tuple(column.tolist() for column in (found.most, found.first, found.own, found.common))


def test_nothing_is_spared_without_a_cache_or_where_nobody_says_who_shares_what() -> None:
    trace = shared(((1, 2), 3), ((1, 2, 3), 3))
    for one, config in (
        (trace, replace(CACHED, enable_prefix_caching=False)),
        (Trace.from_columns([0, 0], [4, 6], [3, 3]), CACHED),
    ):
        found = spared_of(one, config)
        assert (found.block_size, found.own.tolist()) == (0, [4, 6])
        assert not found.most.any()
        assert not found.first.any()
        assert not found.common.any()


def test_what_two_requests_share_is_on_the_account_of_the_first() -> None:
    # Each may find two blocks; of the second one's three the third is its own.
    trace = shared(((1, 2, 4), 1), ((1, 2, 3), 1))
    assert spared(trace) == ([4, 4], [0, 4], [6, 2], [4, 4])


def test_a_prompt_that_is_all_found_computes_its_last_block() -> None:
    # Whoever is computed first, the other one finds one block of two, and both compute four tokens
    # and two: on two accounts there are no more than that, and not the last block twice.
    assert spared(shared(((1, 2), 1), ((1, 2), 1)))[0] == [2, 2]
    # The second one may be computed first, and the first one finds all of it.
    most, first, own, _ = spared(shared(((1, 2, 3), 1), ((1, 2), 1)))
    assert (most, first, own) == ([4, 2], [0, 4], [6, 0])


def test_a_later_turn_may_find_all_of_the_turn_before() -> None:
    trace = Trace.from_columns([0, np.nan], [5, 12], [4, 3], session=["a", "a"], delay=[0, 1])
    # Eight tokens of five and four are computed: the last one is not. The first turn finds nothing,
    # and nobody runs beside another.
    assert spared(trace) == ([0, 8], [0, 8], [5, 4], [0, 0])


def test_another_order_has_other_accounts() -> None:
    trace = shared(((1, 2, 4), 1), ((1, 2, 3), 1))
    found = spared_in(trace, CACHED, np.array([1, 0]))
    assert (found.first.tolist(), found.own.tolist()) == ([0, 4], [6, 2])
    apart = spared_of(trace, CACHED).apart(trace.input_tokens)
    assert (apart.first.tolist(), apart.own.tolist()) == ([4, 4], [2, 2])


@st.composite
def forests(draw: st.DrawFn) -> tuple[Trace, int]:
    """Up to five requests whose ids may name their outputs too, and a block size."""
    size = draw(st.sampled_from([1, 2, 3]))
    labels = st.lists(st.integers(1, 2), min_size=1, max_size=4)
    rows = draw(
        st.lists(st.tuples(labels, st.integers(1, 9), st.integers(1, 5)), min_size=1, max_size=5)
    )
    prompts, outputs, ids = [], [], []
    for path, tokens, output in rows:
        prompt = min(tokens, len(path) * size)
        prompts.append(prompt)
        outputs.append(output)
        ids.append(_named(tuple(path))[: -(-(prompt + output) // size)])
    trace = Trace.from_columns(
        [0.0] * len(rows), prompts, outputs, hash_ids=tuple(ids), hash_block_size=size
    )
    return trace, draw(st.sampled_from([1, 2, 3, 4]))


def contents(trace: Trace, row: int) -> list[object]:
    """Return what each token of prompt and output is: a name of it and all before it.

    A block that an id names and that is not full is somebody's own from where it ends.
    """
    assert trace.hash_ids is not None
    size, ids = trace.hash_block_size, trace.hash_ids[row]
    prompt, both = (
        int(trace.input_tokens[row]),
        int(trace.input_tokens[row] + trace.output_tokens[row]),
    )
    named = prompt if len(ids) * size < prompt + size else both
    return [
        (ids[at // size], at % size, min(named - at // size * size, size))
        if at < min(named, len(ids) * size)
        else ("own", row, at)
        for at in range(both)
    ]


def plain(trace: Trace, block_size: int, order: tuple[int, ...]) -> list[int]:
    """Return the prompt tokens computed of each, one after another, with a cache of everything."""
    known: set[tuple[object, ...]] = set()
    computed = [0] * len(trace)
    for row in order:
        tokens = contents(trace, row)
        prompt = int(trace.input_tokens[row])
        blocks = [tuple(tokens[: end + block_size]) for end in range(0, len(tokens), block_size)]
        found = 0
        while (found + 1) * block_size <= prompt - 1 and blocks[found] in known:
            found += 1
        computed[row] = prompt - found * block_size
        known |= set(blocks[: (len(tokens) - 1) // block_size])
    return computed


@given(forests())
def test_no_order_of_computing_beats_the_accounts(given: tuple[Trace, int]) -> None:
    trace, block_size = given
    config = replace(CACHED, block_size=block_size)
    found = spared_of(trace, config)
    backwards = np.arange(len(trace))[::-1]
    apart = found.apart(trace.input_tokens)
    for order in permutations(range(len(trace))):
        computed = np.array(plain(trace, block_size, order))
        assert (computed >= trace.input_tokens - found.most).all()
        for rows, accounts in (
            (backwards[::-1], found),
            (backwards, spared_in(trace, config, backwards)),
        ):
            # Any suffix, for nobody before it has what is on its accounts.
            left = computed[rows] - accounts.own
            assert (np.cumsum(left[::-1]) >= 0).all()
        assert (computed >= apart.own).all()
    assert (found.first + found.own <= trace.input_tokens).all()


ROUND = EngineConfig(max_num_seqs=4, block_size=2, enable_prefix_caching=True)


def test_the_bound_counts_shared_tokens_once() -> None:
    # Stages of 0.5 s and 0.25 s a token: four tokens shared, and two of each request's own.
    trace = shared(((1, 2, 4), 1), ((1, 2, 3), 1))
    plainly = replace(ROUND, enable_prefix_caching=False)
    assert lower_bound(trace, STAGES, plainly) == 0.5 + 0.25 * 12
    assert lower_bound(trace, STAGES, ROUND) == 0.5 + 0.25 * 8
    assert least_work(trace, STAGES, ROUND) == 0.5 + 0.25 * 8


def test_the_bound_of_the_last_arrival_is_what_it_computes_alone() -> None:
    trace = shared(((1, 2, 4), 1), ((1, 2, 3), 1), arrival=100.0)
    assert lower_bound(trace, STAGES, ROUND) == 100 + 0.5 + 0.25 * 2


def test_a_later_turn_is_released_when_the_tail_of_the_one_before_is_computed() -> None:
    trace = Trace.from_columns(
        [0, np.nan, np.nan], [4, 8, 10], [1, 1, 1], session=["a"] * 3, delay=[0, 1, 1]
    )
    come, ends = turns(trace, STAGES, ROUND)
    assert come.tolist() == [0, 0.5 + 0.25 * 4 + 1, 2.5 + 0.5 + 0.25 * 4 + 1]
    assert ends[2] == 5.0 + 0.5 + 0.25 * 2
    assert lower_bound(trace, STAGES, ROUND) == 6.0


def test_a_result_is_held_against_what_nobody_else_has_where_somebody_left() -> None:
    # The second one computes the shared blocks and leaves after its first token.
    trace = replace(
        shared(((1, 2, 4), 1), ((1, 2, 3), 50), arrival=0.0), timeout=np.array([np.inf, 0.1])
    )
    case = Case(trace, STAGES, ROUND)
    result = simulate(trace, STAGES, find("fcfs"), ROUND)
    assert result.status.tolist() == [COMPLETED, ABORTED]
    assert case.bounds_of(result).least == 0.5 + 0.25 * 2


def attention(**more: Any) -> HardwareProfile:
    return HardwareProfile("attention", Affine(per_step=1.0, **more))


@pytest.mark.parametrize(
    ("prices", "seconds"),
    [
        # Two tokens after four: their squares and twice each times those before make 36 - 16.
        ({"per_prefill_token_sq": 1.0, "per_prefill_token_x_context": 2.0}, 20.0),
        # Token by token: one square each, and 4 and 5 before them.
        ({"per_prefill_token_sq": 1.0}, 2.0),
        ({"per_prefill_token_x_context": 1.0}, 0.0),  # a single chunk, were nothing found
        ({"per_prefill_token_sq": 0.25, "per_prefill_token_x_context": 1.0}, 0.25 * 20),
    ],
)
def test_attention_to_what_is_found_is_paid_for(prices: dict[str, float], seconds: float) -> None:
    trace = shared(((1, 2, 4), 1), ((1, 2, 3), 1), arrival=1000.0)
    hardware = attention(**prices)
    assert lower_bound(trace, hardware, ROUND) == 1000 + 1 + seconds
    least = latency_bounds(trace, hardware, ROUND).alone.first
    exact = 4.0 if prices == {"per_prefill_token_sq": 1.0} else seconds
    assert 1 + seconds <= least[1] <= 1 + exact


def test_a_resumed_request_may_compute_no_more_than_what_is_beyond_its_full_blocks() -> None:
    step_time = Affine(per_step=1.0, per_prefill_token=0.25, per_decode_seq=0.6)
    (minorant,) = step_time.minorants()
    # Contexts of 4, 5, 6, 7 tokens: one token beyond full blocks of 4, then two, three and four.
    price = decodes_or_resumptions(np.array([4]), np.array([4]), step_time, minorant, 4)
    assert price.tolist() == pytest.approx([0.25 + 0.5 + 0.6 + 0.6])
    long = decodes_or_resumptions(np.array([2**20]), np.array([4]), step_time, minorant, 4)
    assert long.tolist() == pytest.approx([4 * 0.25])  # whatever its place in a block


def test_where_steps_are_exclusive_a_stage_of_one_token_may_stand_for_a_round() -> None:
    step_time = Affine(per_step=1.0, per_prefill_token=0.25, per_decode_seq=0.5, mixed=False)
    (minorant,) = step_time.minorants()
    config = EngineConfig(4, block_size=1, num_gpu_blocks=65, enable_prefix_caching=True)
    prompt, rounds = np.array([8]), np.array([3])
    share = not_undercut(prompt, step_time, minorant, config, 4, longest=16)
    assert share == 0.25 / (0.5 + 1 / 4)
    assert own_rounds(prompt, rounds, step_time, minorant, config, cached=True).tolist() == [
        1.25 / 1.5
    ]


def test_blocks_that_others_share_fill_nobodys_room() -> None:
    # A room of 12 tokens; each request holds 6, of which 4 are both's, and grows by 4.
    trace = shared(((1, 2, 4), 5), ((1, 2, 3), 5))
    config = replace(ROUND, num_gpu_blocks=7)
    steps = [
        lower_bound(trace, MIXED, replace(config, enable_prefix_caching=on)) for on in (False, True)
    ]
    own = 2 * (2 + 3 + 4 + 5 + 6)
    assert steps[1] >= np.ceil(own / 12)
    assert steps[1] < steps[0]
