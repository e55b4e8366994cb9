"""Prompts that begin with one of a few prefixes, and the ids of the blocks that say so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from llmsched.errors import InputError
from llmsched.schema import shown
from llmsched.synthesize.distributions import LengthDistribution, numbers_in

MAX_PREFIXES = 10**6
MAX_IDS = 5 * 10**7
"""Ids of a trace; each takes some forty bytes."""


class Begun(NamedTuple):
    """Which prefix each request begins with.

    Attributes
    ----------
    which : int64, shape (n,)
    tokens : int64, shape (n,)
        How long it is.
    conversation : int64, shape (n,)
        Whose own tokens follow it, rising: requests of a session hold those of the turns before.
    block_size : int
    """

    which: NDArray[np.int64]
    tokens: NDArray[np.int64]
    conversation: NDArray[np.int64]
    block_size: int

    def ids(self, prompt: NDArray[np.int64]) -> tuple[tuple[int, ...], ...]:
        """Return the ids of the blocks of each prompt, of which a prefix is a part.

        A prefix has ids of its own up to its last full block; each conversation has others from
        there on. A last block that is not full gets one that nobody else has.

        Raises
        ------
        InputError
            There are more than `MAX_IDS`.
        """
        size = self.block_size
        full, shared = prompt // size, self.tokens // size
        if (total := int((-(-prompt // size)).sum())) > MAX_IDS:
            fewer = "a larger hash_block_size or shorter prompts have fewer"
            raise InputError(
                f"prefixes: expected at most {MAX_IDS:,} blocks, got {total:,}; {fewer}"
            )
        of_prefix = np.zeros(int(self.which.max()) + 1, np.int64)
        of_prefix[self.which] = shared
        own = np.zeros(int(self.conversation[-1]) + 1, np.int64)
        np.maximum.at(own, self.conversation, full - shared)
        ends = np.cumsum(np.concatenate((of_prefix, own)))
        begins = np.concatenate(([0], ends[:-1]))
        first, then = begins[self.which], begins[len(of_prefix) + self.conversation]
        cut = np.where(prompt % size, ends[-1] + np.arange(len(prompt)), -1)
        rows = (column.tolist() for column in (first, shared, then, full - shared, cut))
        return tuple(
            (*range(a, a + common), *range(b, b + alone), *([last] if last >= 0 else ()))
            for a, common, b, alone, last in zip(*rows, strict=True)
        )


@dataclass(frozen=True)
class Prefixes:
    """Prefixes that requests share, as system prompts.

    Attributes
    ----------
    count : int
    exponent : float
        That of Zipf's law: the k-th prefix is drawn ``k ** -exponent`` times as often as the first.
    lengths : LengthDistribution
        Tokens of each.
    block_size : int
        Tokens of a block that an id names.
    """

    count: int
    exponent: float
    lengths: LengthDistribution
    block_size: int

    def __post_init__(self) -> None:
        if not 1 <= self.count <= MAX_PREFIXES:
            raise InputError(f"prefixes: expected a number in 1..{MAX_PREFIXES}, got {self.count}")
        if not 0 <= self.exponent <= 100:
            raise InputError(f"prefixes: expected an exponent in 0..100, got {self.exponent}")

    @classmethod
    def parse(cls, text: str, lengths: LengthDistribution, block_size: int) -> Prefixes:
        """Read ``N`` or ``N:EXPONENT``.

        Raises
        ------
        InputError
            It has another form, or a number is out of range.
        """
        count, *numbers = text.split(":")
        if not (count.isascii() and count.isdecimal() and len(count) < 10 and len(numbers) < 2):
            raise InputError(f"prefixes: expected N or N:EXPONENT, got {shown(text)}")
        (exponent,) = numbers_in("prefixes", text, numbers) or (0.0,)
        return cls(int(count), exponent, lengths, block_size)

    def draw(self, conversation: NDArray[np.int64], of: Generator, which: Generator) -> Begun:
        """Return the prefix of each request, which is that of its conversation.

        Parameters
        ----------
        conversation : int64, shape (n,)
            Of each request, rising from 0.
        of, which : Generator
            Where the lengths of prefixes, and the choices of conversations, are drawn from.
        """
        tokens = self.lengths.draw(self.count, of)
        weight = np.arange(1, self.count + 1, dtype=np.float64) ** -self.exponent
        share = np.cumsum(weight) / weight.sum()
        drawn = np.searchsorted(share, which.random(int(conversation[-1]) + 1), side="right")
        chosen = np.minimum(drawn, self.count - 1)[conversation]
        return Begun(chosen, tokens[chosen], conversation, self.block_size)
