"""KV-cache blocks: how many are free, and in how many decode rounds they run out.

A decoding sequence needs a new block once in `block_size` rounds, always at the same remainder of
the decode clock. Counting sequences by that remainder (their phase) gives the blocks that any
number of rounds will take without walking through them.
"""

from __future__ import annotations


class BlockPool:
    """Free blocks and the growth of the decoding sequences.

    Parameters
    ----------
    usable : int
        Blocks that can hold tokens.
    block_size : int
        Tokens in a block.
    """

    __slots__ = ("block_size", "free", "growing", "peak", "phase", "usable")

    def __init__(self, usable: int, block_size: int) -> None:
        self.usable = usable
        self.block_size = block_size
        self.free = usable
        self.growing = 0
        self.peak = 0
        self.phase = [0] * block_size

    def blocks(self, tokens: int) -> int:
        """Blocks that hold `tokens` tokens."""
        return -(-tokens // self.block_size)

    def take(self, count: int) -> None:
        """Take `count` blocks out of the free ones."""
        self.free -= count
        used = self.usable - self.free
        self.peak = max(self.peak, used)

    def grow(self, tokens: int, clock: int) -> None:
        """Follow a sequence of `tokens` computed tokens that decodes from round `clock` on."""
        self.phase[(clock - tokens) % self.block_size] += 1
        self.growing += 1

    def settle(self, tokens: int, clock: int) -> None:
        """Stop following a sequence that has `tokens` computed tokens at round `clock`."""
        self.phase[(clock - tokens) % self.block_size] -= 1
        self.growing -= 1

    def demand(self, clock: int) -> int:
        """Blocks that decode round `clock` takes."""
        return self.phase[clock % self.block_size]

    def rounds_left(self, clock: int) -> int:
        """Rounds from `clock` on that the free blocks suffice for."""
        if not self.growing:
            return 1 << 62
        cycles, left = divmod(self.free, self.growing)
        rounds = 0
        # Ends within one cycle: the phases sum to `growing`, which is more than `left`.
        while (need := self.demand(clock + rounds)) <= left:
            left -= need
            rounds += 1
        return cycles * self.block_size + rounds

    def advance(self, clock: int, rounds: int) -> None:
        """Take the blocks of `rounds` decode rounds that begin at `clock`."""
        cycles, rest = divmod(rounds, self.block_size)
        demand = cycles * self.growing
        for i in range(clock, clock + rest):
            demand += self.phase[i % self.block_size]
        if demand:
            self.take(demand)
