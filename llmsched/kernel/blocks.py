# cython: cdivision=True
"""The KV cache: who has how many blocks, and in how many decode rounds they run out.

Four kinds share one interface: without a limit, in blocks that grow with a sequence, in blocks set
aside at admission for all that a sequence may become, and in blocks that grow but are admitted to
with an eye on what the others may become. Preempting is the engine's; counting is done here.
"""

from __future__ import annotations

import numpy as np

from llmsched.kernel.prefixes import Prefixes

UNBOUNDED = 1 << 62
"""More tokens or rounds than any replay has; never to be added to."""


class Cache:
    """A KV cache without a limit.

    `request` is told wherever one takes or gives back: a cache may know whose blocks are whose.
    `tokens` are those that it holds or needs now, `most` all that it may ever come to.

    Attributes
    ----------
    free, used, peak : int
        Blocks that nobody holds, whatever can still be found in them; those that somebody does,
        each once; and the most there were of the latter.
    spare : int
        Blocks that an admission leaves free while anything runs.
    prefixes : Prefixes or None
        What blocks hold, where prompts may find it.
    """

    def __init__(self) -> None:
        self.free = UNBOUNDED
        self.used = 0
        self.peak = 0
        self.spare = 0
        self.prefixes: Prefixes | None = None

    def admits(self, tokens: int, most: int, clock: int, owed: int, spare: int) -> bool:
        """Whether who was looked for last finds room beside what decode round `clock` takes."""
        return True

    def admit(self, request: int, tokens: int, most: int) -> None:
        """Give an admitted request what was found for it, and room up to `tokens` or `most`."""
        if self.prefixes is not None:
            self.prefixes.hold(request)

    def extend(self, request: int, held: int, tokens: int, clock: int) -> bool:
        """Give a begun prompt of `held` tokens room for more, if decode round `clock` leaves it."""
        return True

    def leave(self, request: int, held: int, most: int) -> None:
        """Take the room back."""
        if self.prefixes is not None:
            self.prefixes.release(request)

    def reserve(self, clock: int) -> None:
        """Forget what blocks hold that decode round `clock` takes: it comes before admissions."""

    def grow(self, tokens: int, clock: int) -> None:
        """Follow a sequence of `tokens` computed tokens that decodes from round `clock` on."""

    def settle(self, tokens: int, clock: int) -> None:
        """Stop following a sequence that has `tokens` computed tokens at round `clock`."""

    def grows(self, tokens: int) -> bool:
        """Whether the next round of a sequence of `tokens` computed tokens takes a block."""
        return False

    def demand(self, clock: int) -> int:
        """Blocks that decode round `clock` takes."""
        return 0

    def rounds_left(self, clock: int) -> int:
        """Rounds from `clock` on that the free blocks suffice for."""
        return UNBOUNDED

    def advance(self, clock: int, rounds: int) -> None:
        """Take the blocks of `rounds` decode rounds that begin at `clock`."""

    def held(self, tokens: int, most: int) -> int:
        """Blocks of a sequence of `tokens` tokens; 0 where nothing is counted."""
        return 0

    def owed(self, tokens: int, most: int) -> int:
        """Blocks that an admission leaves to a running sequence of `tokens` tokens; 0 if none."""
        return 0


class Blocks(Cache):
    """Blocks that are taken as a sequence grows (vLLM).

    A decoding sequence needs a new block once in `block_size` rounds, always at the same remainder
    of the decode clock. Counting sequences by that remainder (their phase) gives the blocks that
    any number of rounds will take without walking through them.

    Parameters
    ----------
    usable : int
        Blocks that can hold tokens.
    block_size : int
        Tokens in a block.
    spare : int
        Blocks that an admission must leave free while anything runs.
    """

    def __init__(self, usable: int, block_size: int, spare: int = 0) -> None:
        super().__init__()
        self.reserved = 0  # of the free ones, for the decode round of the step being made
        self.usable = usable
        self.block_size = block_size
        self.spare = spare
        self.free = usable
        self.growing = 0
        self.phase = np.zeros(block_size, np.int64).data

    def blocks(self, tokens: int) -> int:
        """Blocks that hold `tokens` tokens."""
        return (tokens + self.block_size - 1) // self.block_size

    def take(self, count: int) -> None:
        """Take `count` blocks out of the free ones."""
        self.free -= count
        self.used = self.usable - self.free
        self.peak = max(self.peak, self.used)
        if self.prefixes is not None:
            self.forget()

    def give(self, count: int) -> None:
        """Put `count` blocks back."""
        self.free += count
        self.used = self.usable - self.free

    def forget(self) -> None:
        """Let free blocks be found no more that are taken, or are about to be."""
        assert self.prefixes is not None
        lacking = self.prefixes.idle + self.reserved - self.free
        if lacking > 0:
            self.prefixes.evict(min(lacking, self.prefixes.idle))

    def shared(self) -> int:
        """Blocks that who was looked for last would hold with others: they cost nothing."""
        if self.prefixes is None:
            return 0
        return self.prefixes.hits - self.prefixes.idle_hits

    def enter(self, request: int, blocks: int) -> None:
        """Give an admitted request what was found for it, and as many more as make `blocks`."""
        if self.prefixes is None:
            self.take(blocks)
            return
        self.free -= self.prefixes.hold(request)
        self.take(blocks - self.prefixes.hits)

    def exit(self, request: int, blocks: int) -> None:
        """Take a request's `blocks` back, of which some stay known, and others have some."""
        if self.prefixes is None:
            self.give(blocks)
            return
        idle = self.prefixes.idle
        known = self.prefixes.release(request)
        self.give(blocks - known + self.prefixes.idle - idle)

    def reserve(self, clock: int) -> None:
        if self.prefixes is not None:
            self.reserved = self.demand(clock)
            self.forget()

    def admits(self, tokens: int, most: int, clock: int, owed: int, spare: int) -> bool:
        need = self.blocks(tokens) - self.shared() + spare
        return need <= self.free - self.demand(clock)

    def admit(self, request: int, tokens: int, most: int) -> None:
        self.enter(request, self.blocks(tokens))

    def extend(self, request: int, held: int, tokens: int, clock: int) -> bool:
        need = self.blocks(held + tokens) - self.blocks(held)
        if self.free - self.demand(clock) < need:
            return False
        self.take(need)
        return True

    def leave(self, request: int, held: int, most: int) -> None:
        self.exit(request, self.blocks(held))

    def grow(self, tokens: int, clock: int) -> None:
        # The phase is clock - tokens, which C would leave negative.
        self.phase[(clock + tokens * (self.block_size - 1)) % self.block_size] += 1
        self.growing += 1

    def settle(self, tokens: int, clock: int) -> None:
        self.phase[(clock + tokens * (self.block_size - 1)) % self.block_size] -= 1
        self.growing -= 1

    def grows(self, tokens: int) -> bool:
        return tokens % self.block_size == 0

    def demand(self, clock: int) -> int:
        return self.phase[clock % self.block_size]

    def rounds_left(self, clock: int) -> int:
        if not self.growing:
            return UNBOUNDED
        cycles = self.free // self.growing
        left = self.free - cycles * self.growing
        rounds = 0
        need = self.phase[clock % self.block_size]
        # Ends within one cycle: the phases sum to `growing`, which is more than `left`.
        while need <= left:
            left -= need
            rounds += 1
            need = self.phase[(clock + rounds) % self.block_size]
        return cycles * self.block_size + rounds

    def advance(self, clock: int, rounds: int) -> None:
        self.reserved = 0
        cycles = rounds // self.block_size
        demand = cycles * self.growing
        for i in range(clock, clock + rounds - cycles * self.block_size):
            demand += self.phase[i % self.block_size]
        if demand:
            self.take(demand)

    def held(self, tokens: int, most: int) -> int:
        return self.blocks(tokens)


class Reserved(Blocks):
    """Blocks set aside at admission for all that a request may become (Orca): none runs out."""

    def admits(self, tokens: int, most: int, clock: int, owed: int, spare: int) -> bool:
        return self.blocks(most) - self.shared() + spare <= self.free

    def admit(self, request: int, tokens: int, most: int) -> None:
        self.enter(request, self.blocks(most))

    def extend(self, request: int, held: int, tokens: int, clock: int) -> bool:
        return True

    def leave(self, request: int, held: int, most: int) -> None:
        self.exit(request, self.blocks(most))

    def grow(self, tokens: int, clock: int) -> None:
        """Nothing grows."""

    def settle(self, tokens: int, clock: int) -> None:
        """Nothing grew."""

    def grows(self, tokens: int) -> bool:
        return False

    def held(self, tokens: int, most: int) -> int:
        return self.blocks(most)


class Rationed(Blocks):
    """Blocks taken as a sequence grows, of which an admission leaves running ones their share.

    That is SGLang's estimate with a constant new_token_ratio: each running sequence is expected to
    need a share of what its output limit leaves it. At share 0 admissions are those of `Blocks`, at
    share 1 those of `Reserved`; in between blocks may run out.

    Parameters
    ----------
    share : float
        In [0, 1].
    """

    def __init__(self, usable: int, block_size: int, spare: int = 0, share: float = 0.0) -> None:
        super().__init__(usable, block_size, spare)
        self.share = share

    def owed(self, tokens: int, most: int) -> int:
        expected = tokens + int(self.share * (most - tokens))
        return self.blocks(expected) - self.blocks(tokens)

    def admits(self, tokens: int, most: int, clock: int, owed: int, spare: int) -> bool:
        need = self.blocks(tokens) - self.shared() + self.owed(tokens, most) + spare
        # A limit may be beyond all that there is: alone, a request is admitted.
        return min(need, self.usable) <= self.free - max(owed, self.demand(clock))
