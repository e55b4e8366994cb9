"""Block phases against counting every sequence's blocks."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from llmsched.kernel.blocks import BlockPool

SEQUENCES = st.lists(st.integers(1, 40), max_size=12)
SIZE = st.integers(1, 9)


def pooled(tokens: list[int], size: int, spare: int, clock: int) -> BlockPool:
    """A pool in which sequences of these lengths begin to decode at `clock`."""
    held = sum(-(-t // size) for t in tokens)
    pool = BlockPool(held + spare, size)
    for t in tokens:
        pool.take(pool.blocks(t))
        pool.grow(t, clock)
    return pool


def taken(tokens: list[int], size: int, rounds: int) -> int:
    """Blocks that `rounds` rounds take, sequence by sequence."""
    return sum(-(-(t + rounds) // size) - -(-t // size) for t in tokens)


@given(SEQUENCES, SIZE, st.integers(0, 30), st.integers(0, 30), st.integers(0, 50))
def test_the_blocks_of_any_number_of_rounds_are_those_of_all_sequences(
    tokens: list[int], size: int, spare: int, clock: int, rounds: int
) -> None:
    pool = pooled(tokens, size, spare, clock)
    assert pool.free == spare
    pool.advance(clock, rounds)
    assert pool.free == spare - taken(tokens, size, rounds)
    assert pool.demand(clock + rounds) == taken(tokens, size, rounds + 1) - taken(
        tokens, size, rounds
    )


@given(SEQUENCES.filter(bool), SIZE, st.integers(0, 60), st.integers(0, 30))
def test_rounds_left_is_the_last_round_that_the_free_blocks_pay_for(
    tokens: list[int], size: int, spare: int, clock: int
) -> None:
    left = pooled(tokens, size, spare, clock).rounds_left(clock)
    assert taken(tokens, size, left) <= spare
    assert taken(tokens, size, left + 1) > spare


@given(SEQUENCES, SIZE, st.integers(0, 9), st.integers(0, 30))
def test_a_sequence_that_settles_is_forgotten(
    tokens: list[int], size: int, clock: int, rounds: int
) -> None:
    pool = pooled(tokens, size, 400, clock)
    pool.advance(clock, rounds)
    for t in tokens:
        pool.settle(t + rounds, clock + rounds)
    assert pool.phase == [0] * size
    assert pool.rounds_left(clock + rounds) > 2**60


def test_the_peak_remembers_most_blocks_in_use() -> None:
    pool = BlockPool(10, 4)
    pool.take(6)
    pool.free += 3
    pool.take(1)
    assert (pool.peak, pool.free) == (6, 6)
