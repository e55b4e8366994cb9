"""Caches against counting every sequence's blocks."""

from __future__ import annotations

from hypothesis import assume, given
from hypothesis import strategies as st

from llmsched.kernel.blocks import UNBOUNDED, Blocks, Cache, Rationed, Reserved

SEQUENCES = st.lists(st.integers(1, 40), max_size=12)
SIZE = st.integers(1, 9)


def decoding(tokens: list[int], size: int, spare: int, clock: int) -> Blocks:
    """A cache in which sequences of these lengths begin to decode at `clock`."""
    held = sum(-(-t // size) for t in tokens)
    cache = Blocks(held + spare, size)
    for request, t in enumerate(tokens):
        cache.admit(request, t, 99)
        cache.grow(t, clock)
    return cache


def taken(tokens: list[int], size: int, rounds: int) -> int:
    """Blocks that `rounds` rounds take, sequence by sequence."""
    return sum(-(-(t + rounds) // size) - -(-t // size) for t in tokens)


@given(SEQUENCES, SIZE, st.integers(0, 30), st.integers(0, 30), st.integers(0, 50))
def test_the_blocks_of_any_number_of_rounds_are_those_of_all_sequences(
    tokens: list[int], size: int, spare: int, clock: int, rounds: int
) -> None:
    cache = decoding(tokens, size, spare + taken(tokens, size, rounds), clock)
    free = cache.free
    cache.advance(clock, rounds)
    assert free - cache.free == taken(tokens, size, rounds)
    assert cache.used + cache.free == cache.usable
    assert cache.demand(clock + rounds) == taken(tokens, size, rounds + 1) - taken(
        tokens, size, rounds
    )


@given(SEQUENCES.filter(bool), SIZE, st.integers(0, 60), st.integers(0, 30))
def test_rounds_left_is_the_last_round_that_the_free_blocks_pay_for(
    tokens: list[int], size: int, spare: int, clock: int
) -> None:
    left = decoding(tokens, size, spare, clock).rounds_left(clock)
    assert taken(tokens, size, left) <= spare
    assert taken(tokens, size, left + 1) > spare


@given(SEQUENCES, SIZE, st.integers(0, 9), st.integers(0, 30))
def test_sequences_that_settle_and_leave_are_forgotten(
    tokens: list[int], size: int, clock: int, rounds: int
) -> None:
    cache = decoding(tokens, size, 400, clock)
    cache.advance(clock, rounds)
    for request, t in enumerate(tokens):
        cache.settle(t + rounds, clock + rounds)
        cache.leave(request, t + rounds, 99)
    assert [cache.demand(clock + later) for later in range(size)] == [0] * size
    assert cache.rounds_left(clock + rounds) > 2**60
    assert (cache.used, cache.free) == (0, cache.usable)


@given(SEQUENCES.filter(bool), SIZE, st.integers(0, 30), st.integers(0, 30))
def test_the_demand_of_a_round_is_that_of_the_sequences_which_grow(
    tokens: list[int], size: int, clock: int, rounds: int
) -> None:
    cache = decoding(tokens, size, 400, clock)
    grow = [cache.grows(t + rounds) for t in tokens]
    assert cache.demand(clock + rounds) == sum(grow)
    assert grow == [cache.blocks(t + rounds + 1) > cache.blocks(t + rounds) for t in tokens]


def test_an_admission_leaves_what_decodes_take_and_what_is_spared() -> None:
    cache = Blocks(10, 4)
    cache.admit(0, 8, 99)  # 2 blocks, full: its next round takes a third
    cache.grow(8, 5)
    assert cache.free == 8
    assert cache.admits(20, 99, 5, 0, 2)  # 5 + 2 of 8 less 1
    assert not cache.admits(21, 99, 5, 0, 2)
    assert cache.admits(21, 99, 6, 0, 2)  # the round after it takes none


def test_a_begun_prompt_goes_on_in_what_its_last_block_has_left() -> None:
    cache = Blocks(3, 4)
    cache.admit(0, 3, 99)
    assert cache.extend(0, 3, 1, 0)
    assert cache.free == 2
    assert cache.extend(0, 4, 8, 0)
    assert (cache.free, cache.used) == (0, 3)
    assert not cache.extend(0, 12, 1, 0)
    assert (cache.free, cache.used) == (0, 3)


def test_the_peak_remembers_most_blocks_in_use() -> None:
    cache = Blocks(10, 4)
    cache.take(6)
    cache.give(3)
    cache.take(1)
    assert (cache.peak, cache.used, cache.free) == (6, 4, 6)


@given(SEQUENCES, SIZE, st.integers(0, 9), st.integers(0, 30))
def test_what_is_reserved_is_all_that_a_request_may_become_and_nothing_grows(
    tokens: list[int], size: int, clock: int, more: int
) -> None:
    most = [t + more for t in tokens]
    blocks = [-(-m // size) for m in most]
    cache = Reserved(sum(blocks), size)
    for request, (t, m) in enumerate(zip(tokens, most, strict=True)):
        assert cache.admits(t, m, clock, 0, 0)
        cache.admit(request, t, m)
        assert cache.extend(request, t, more, clock)
        cache.grow(t, clock)
        assert not cache.grows(t)
        assert cache.held(t, m) == blocks[request]
    assert (cache.free, cache.demand(clock)) == (0, 0)
    assert not cache.admits(1, 1, clock, 0, 0)
    assert cache.rounds_left(clock) == UNBOUNDED
    cache.advance(clock, 1000)
    for request, (t, m) in enumerate(zip(tokens, most, strict=True)):
        cache.settle(t, clock)
        cache.leave(request, t, m)
    assert (cache.used, cache.peak) == (0, sum(blocks))


def test_what_is_spared_is_not_reserved() -> None:
    cache = Reserved(10, 4)
    assert cache.admits(1, 32, 0, 0, 2)
    assert not cache.admits(1, 33, 0, 0, 2)


def rationed(held: list[tuple[int, int]], share: float, usable: int, size: int) -> Rationed:
    """Begun prompts of so many tokens, and the most that each may come to."""
    cache = Rationed(usable, size, 1, share)
    for request, (tokens, most) in enumerate(held):
        cache.admit(request, tokens, most)
    return cache


def owed(cache: Cache, held: list[tuple[int, int]]) -> int:
    return sum(cache.owed(tokens, most) for tokens, most in held)


def test_an_admission_leaves_each_its_share_of_what_it_may_yet_take() -> None:
    held = [(4, 16), (3, 11)]  # at a half 10 and 7 tokens are expected: 3 + 2 blocks, 2 held
    cache = rationed(held, 0.5, 10, 4)
    assert owed(cache, held) == 3
    assert cache.admits(4, 12, 0, 3, 1)  # 8 tokens expected: 2 blocks, 1 spared, of 8 less 3
    assert cache.admits(4, 20, 0, 3, 1)
    assert cache.admits(8, 24, 0, 3, 1)
    assert not cache.admits(8, 26, 0, 3, 1)
    assert not cache.admits(8, 24, 0, 4, 1)


def test_alone_a_request_is_admitted_whatever_its_limit() -> None:
    cache = Rationed(4, 4, 1, 1.0)
    assert cache.admits(4, 999, 0, 0, 1)
    cache.admit(0, 4, 999)
    assert not cache.admits(1, 1, 0, cache.owed(4, 999), 1)


@given(
    st.lists(st.tuples(st.integers(1, 20), st.integers(0, 20)), max_size=5),
    SIZE,
    st.integers(1, 20),
    st.integers(0, 20),
    st.integers(0, 30),
)
def test_shares_of_none_and_all_admit_as_those_that_reserve_none_and_all(
    held: list[tuple[int, int]], size: int, tokens: int, more: int, spare: int
) -> None:
    pairs = [(now, now + later) for now, later in held]
    usable = sum(-(-most // size) for _, most in pairs) + spare
    most = tokens + more
    assume(-(-most // size) < usable)  # else it is refused
    for share, kind in ((0.0, Blocks), (1.0, Reserved)):
        plain = kind(usable, size, 1)
        for request, (now, later) in enumerate(pairs):
            plain.admit(request, now, later)
        cache = rationed(pairs, share, usable, size)
        wanted = plain.admits(tokens, most, 0, 0, plain.spare)
        assert cache.admits(tokens, most, 0, owed(cache, pairs), 1) == wanted


@given(st.integers(1, 2**40), st.integers(0, 2**20))
def test_a_cache_without_a_limit_counts_nothing(tokens: int, clock: int) -> None:
    cache = Cache()
    assert cache.admits(tokens, tokens, clock, 0, 0)
    cache.admit(0, tokens, tokens)
    cache.grow(tokens, clock)
    assert cache.extend(0, tokens, tokens, clock)
    assert not cache.grows(tokens)
    cache.advance(clock, tokens)
    cache.settle(tokens, clock)
    cache.leave(0, tokens, tokens)
    counted = (cache.used, cache.peak, cache.demand(clock), cache.held(tokens, tokens))
    assert counted == (0, 0, 0, 0)
    assert cache.free == cache.rounds_left(clock) == UNBOUNDED
