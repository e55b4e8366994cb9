"""What a prefix cache spares requests at most: the one place where bounds ask for it.

No schedule is granted less than any could get, whoever is computed first, and however much the
cache keeps. Where nothing is cached, or the trace does not say who shares what, nothing is spared.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from llmsched.config import EngineConfig
from llmsched.prefixes import Tree, cached_tree, reuse_of
from llmsched.trace import Trace

Counts = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Spared:
    """What a cache may do for requests, in tokens; arrays of shape (n,).

    Attributes
    ----------
    most : int64
        Tokens of its prompt that a request may find: what it computes at least comes after them.
    first, own : int64
        Of each prompt, the tokens `first` to ``first + own`` (where the tokens that others share
        are left out, so many from there on) are on its account: somebody computes them, not before
        it has come, and none of them is on two accounts. So sums over requests hold.
    common : int64
        Tokens of prompt and output that another request may hold at the same time: counted once.
    block_size : int
        Tokens of a block of the cache; 0 where nothing is cached.
    """

    most: Counts
    first: Counts
    own: Counts
    common: Counts
    block_size: int

    def take(self, rows: Counts | slice) -> Spared:
        """Return what is spared some of the requests, by these accounts."""
        return Spared(
            self.most[rows], self.first[rows], self.own[rows], self.common[rows], self.block_size
        )

    def apart(self, input_tokens: Counts) -> Spared:
        """Return accounts on which there is only what nobody else has: they hold of any part.

        Those who are left out may have computed the rest.
        """
        return replace(self, first=self.most, own=input_tokens - self.most)


def spared_of(trace: Trace, config: EngineConfig) -> Spared:
    """Return what is spared the requests of a trace, in its order."""
    prompt, tree = trace.input_tokens, cached_tree(trace, config)
    if tree is None or not len(trace):
        nothing = np.broadcast_to(np.int64(0), len(trace))
        return Spared(nothing, nothing, prompt, nothing, 0)
    return _cached(trace, tree, np.arange(len(trace)), config.block_size)


def spared_in(trace: Trace, config: EngineConfig, order: Counts) -> Spared:
    """Return what is spared the requests of a trace, in another order, by accounts of its own."""
    tree = cached_tree(trace, config)
    if tree is None or not len(trace):
        return spared_of(trace, config).take(order)
    return _cached(trace, tree.take(order), order, config.block_size)


def _cached(trace: Trace, tree: Tree, rows: Counts, block_size: int) -> Spared:
    prompt, output = trace.input_tokens[rows], trace.output_tokens[rows]
    found = reuse_of(tree, prompt, output, block_size)
    most, common = found.most, found.common
    if trace.hash_ids is None or not trace.hash_block_size:
        # Turns of one session come one after another: what only they share, a turn finds of those
        # before it alone, and nobody holds it beside another.
        most, common = np.minimum(most, found.first), np.zeros_like(common)
    return Spared(most, found.first, prompt - found.later, common, block_size)
