"""Who shares which tokens: held against token by token, and against caches that keep everything."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmsched.prefixes import OPEN, reuse
from llmsched.trace import Trace

NAN = float("nan")
SIZES = st.sampled_from([1, 2, 3, 4, 6, 8])
Names = list[Hashable]
"""What full blocks of a request are: equal ones hold the same tokens, after the same ones."""


def in_tree(trace: Trace, block_size: int) -> list[Names]:
    """Return what the tree calls the blocks of each request."""
    tree = trace.tree
    assert tree is not None
    blocks, found = tree.blocks(block_size), []
    for row in range(len(trace)):
        whole = int(trace.input_tokens[row] + trace.output_tokens[row]) // block_size
        names: Names = []
        for entry in range(tree.start[row], tree.start[row + 1]):
            own = whole - len(names) if blocks[entry] == OPEN else int(blocks[entry])
            names += [(int(tree.segment[entry]), place) for place in range(own)]
        found.append(names)
    return found


def by_tokens(texts: Sequence[Sequence[Hashable]], block_size: int) -> list[Names]:
    """Return the same of texts of tokens."""
    return [
        [tuple(text[:end]) for end in range(block_size, len(text) + 1, block_size)]
        for text in texts
    ]


def assert_alike(one: list[Names], other: list[Names]) -> None:
    """Hold that both call the same blocks equal."""
    there: dict[Hashable, Hashable] = {}
    for ours, theirs in zip(one, other, strict=True):
        assert len(ours) == len(theirs)
        for mine, right in zip(ours, theirs, strict=True):
            assert there.setdefault(right, mine) == mine
    assert len(set(there.values())) == len(there)


@st.composite
def named(draw: st.DrawFn) -> Trace:
    """Traces whose ids are few, so that they repeat, name answers or not, and may well lie."""
    n, size = draw(st.integers(1, 6)), draw(SIZES)
    prompt = draw(st.lists(st.integers(1, 20), min_size=n, max_size=n))
    output = draw(st.lists(st.integers(1, 12), min_size=n, max_size=n))
    counts = [
        draw(st.integers(-(-p // size), -(-(p + o) // size)))
        for p, o in zip(prompt, output, strict=True)
    ]
    ids = [
        tuple(draw(st.lists(st.integers(0, 2), min_size=count, max_size=count))) for count in counts
    ]
    times = sorted(draw(st.lists(st.integers(0, 5), min_size=n, max_size=n)))
    return Trace.from_columns(times, prompt, output, hash_ids=tuple(ids), hash_block_size=size)


def texts_of(trace: Trace) -> Iterator[list[Hashable]]:
    """Yield tokens that are as the ids say: a block that is cut is another than the whole one."""
    assert trace.hash_ids is not None
    size = trace.hash_block_size
    for row, own in enumerate(trace.hash_ids):
        prompt, total = int(trace.input_tokens[row]), int(trace.input_tokens[row])
        total += int(trace.output_tokens[row])
        known = prompt if len(own) <= -(-prompt // size) else min(total, len(own) * size)
        length = [min(size, known - at * size) for at in range(len(own))]
        text: list[Hashable] = [(own[t // size], length[t // size], t % size) for t in range(known)]
        yield text + [("own", row, t) for t in range(known, total)]


@given(named(), SIZES)
def test_requests_share_a_block_of_the_engine_where_their_ids_say_so_and_nowhere_else(
    trace: Trace, block_size: int
) -> None:
    assert_alike(in_tree(trace, block_size), by_tokens(list(texts_of(trace)), block_size))


@st.composite
def chats(draw: st.DrawFn) -> tuple[Trace, list[list[Hashable]]]:
    """Sessions and their tokens; some prompts forget what was said before."""
    n = draw(st.integers(1, 8))
    sessions = draw(st.lists(st.sampled_from("abc"), min_size=n, max_size=n))
    said: dict[str, list[Hashable]] = {}
    texts, prompts = [], []
    for row, name in enumerate(sessions):
        before, new = said.get(name, []), draw(st.integers(1, 9))
        if before and draw(st.integers(0, 4)) == 0:
            before, new = [], min(new, len(before) - 1)  # it is shorter, which shows it
        prompts.append(before + [(row, "asked", t) for t in range(new)])
        said[name] = prompts[-1] + [(row, "said", t) for t in range(draw(st.integers(1, 9)))]
        texts.append(said[name])
    later = [name in sessions[:row] for row, name in enumerate(sessions)]
    trace = Trace.from_columns(
        [NAN if wait else 0 for wait in later],
        [len(prompt) for prompt in prompts],
        [len(text) - len(prompt) for text, prompt in zip(texts, prompts, strict=True)],
        id=[str(row) for row in range(n)],
        session=sessions,
        delay=[float(wait) for wait in later],
    )
    return trace, [texts[int(row)] for row in trace.id]


@given(chats(), SIZES)
def test_a_turn_shares_what_was_said_before_it_and_sessions_share_nothing(
    chat: tuple[Trace, list[list[Hashable]]], block_size: int
) -> None:
    trace, texts = chat
    if trace.session is None:
        assert trace.tree is None
        return
    assert_alike(in_tree(trace, block_size), by_tokens(texts, block_size))


def with_ids(trace: Trace, texts: list[list[Hashable]], size: int) -> Trace:
    """Return a trace that names the blocks of its prompts as its tokens have them."""
    known: dict[Hashable, int] = {}
    ids = [
        tuple(
            known.setdefault(tuple(text[: min(end + size, prompt)]), len(known))
            for end in range(0, prompt, size)
        )
        for text, prompt in zip(texts, trace.input_tokens.tolist(), strict=True)
    ]
    return Trace.from_columns(
        np.where(trace.previous < 0, trace.arrival, NAN),
        trace.input_tokens,
        trace.output_tokens,
        session=trace.session,
        delay=trace.delay,
        hash_ids=tuple(ids),
        hash_block_size=size,
    )


@given(chats(), SIZES, SIZES)
def test_ids_of_prompts_tell_of_the_answers_that_later_turns_repeat(
    chat: tuple[Trace, list[list[Hashable]]], size: int, block_size: int
) -> None:
    trace, texts = chat
    named = with_ids(trace, texts, size)
    ours, right = in_tree(named, block_size), by_tokens(texts, block_size)
    if block_size % size == 0:
        if trace.session is not None:
            assert_alike(ours, right)
        return
    there: dict[Hashable, Hashable] = {}  # finer or crooked blocks may be missed, never made up
    for mine, theirs in zip(ours, right, strict=True):
        for name, block in zip(mine, theirs, strict=True):
            assert there.setdefault(name, block) == block


def found_in(trace: Trace, block_size: int, order: Sequence[int]) -> list[int]:
    """Return the tokens that each request finds in a cache without an end, served in an order."""
    names, cache = in_tree(trace, block_size), set[Hashable]()
    found = [0] * len(trace)
    for row in order:
        most = (int(trace.input_tokens[row]) - 1) // block_size
        hits = [name in cache for name in names[row][:most]]
        found[row] = block_size * (hits.index(False) if False in hits else most)
        whole = int(trace.input_tokens[row] + trace.output_tokens[row]) - 1
        cache.update(names[row][: whole // block_size])
    return found


def assert_no_order_finds_more(trace: Trace, block_size: int, seed: int) -> None:
    told = reuse(trace, block_size)
    assert told is not None
    random = Random(seed)
    turns = trace.previous.tolist()
    for _ in range(8):
        waiting, order = [row for row, before in enumerate(turns) if before < 0], []
        while waiting:  # a turn is served after the one before it
            order.append(waiting.pop(random.randrange(len(waiting))))
            waiting += [row for row, before in enumerate(turns) if before == order[-1]]
        found = found_in(trace, block_size, order)
        assert (np.array(found) <= told.most).all()
        assert sum(found) <= told.later.sum()


@given(named(), SIZES, st.integers(0, 99))
def test_no_order_of_serving_finds_more_than_ids_allow(
    trace: Trace, block_size: int, seed: int
) -> None:
    assert_no_order_finds_more(trace, block_size, seed)


@given(chats(), SIZES, SIZES, st.integers(0, 99))
def test_no_order_of_serving_finds_more_than_sessions_allow(
    chat: tuple[Trace, list[list[Hashable]]], size: int, block_size: int, seed: int
) -> None:
    trace, texts = chat
    if trace.session is not None:
        assert_no_order_finds_more(trace, block_size, seed)
    assert_no_order_finds_more(with_ids(trace, texts, size), block_size, seed)


@given(named(), SIZES, st.data())
def test_a_part_of_a_trace_shares_what_it_shared_in_the_whole(
    trace: Trace, block_size: int, data: st.DataObject
) -> None:
    rows = data.draw(st.lists(st.integers(0, len(trace) - 1), min_size=1, unique=True))
    whole = in_tree(trace, block_size)
    assert_alike(in_tree(trace.take(rows), block_size), [whole[row] for row in sorted(rows)])


@given(named(), SIZES, st.data())
def test_other_outputs_leave_the_prompts_shared_as_they_were(
    trace: Trace, block_size: int, data: st.DataObject
) -> None:
    drawn = st.lists(st.integers(1, 12), min_size=len(trace), max_size=len(trace))
    again = trace.with_outputs(np.array(data.draw(drawn), np.int64))
    prompts = trace.input_tokens // block_size
    one, other = (
        [names[:most] for names, most in zip(in_tree(each, block_size), prompts, strict=True)]
        for each in (again, trace)
    )
    assert_alike(one, other)


def test_a_cache_spares_what_it_does_in_a_case_worked_by_hand() -> None:
    trace = Trace.from_columns(
        [0, 1, 2], [40, 40, 33], [5, 5, 5], hash_ids=((1, 2, 3), (1, 2, 4), (1, 2, 5)),
        hash_block_size=16,
    )  # fmt: skip
    told = reuse(trace, 16)
    assert told is not None
    assert told.most.tolist() == [32, 32, 32]
    assert told.later.tolist() == [0, 32, 32]


def test_the_last_token_of_a_prompt_is_always_computed() -> None:
    trace = Trace.from_columns([0, 1], [32, 32], [1, 1], hash_ids=((1, 2),) * 2, hash_block_size=16)
    told = reuse(trace, 16)
    assert told is not None
    assert told.most.tolist() == [16, 16]


def test_a_trace_without_ids_and_sessions_shares_nothing() -> None:
    trace = Trace.from_columns([0, 1], [32, 32], [1, 1])
    assert trace.tree is None
    assert reuse(trace, 16) is None


@pytest.mark.parametrize("size", [0, 16])
def test_ids_of_blocks_of_unknown_size_say_nothing(size: int) -> None:
    trace = Trace.from_columns([0], [32], [1], hash_ids=((1, 2),), hash_block_size=size)
    assert (trace.tree is None) is (size == 0)


def test_an_id_with_two_different_predecessors_is_two_blocks() -> None:
    lie = Trace.from_columns(
        [0, 0], [32, 32], [1, 1], hash_ids=((1, 9), (2, 9)), hash_block_size=16
    )
    first, second = in_tree(lie, 16)
    assert not set(first) & set(second)
