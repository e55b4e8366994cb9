"""Who shares which tokens, as the kernel takes it: by one tree for all that is submitted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from llmsched.kernel.prefixes import Prefixes
from llmsched.prefixes import Builder
from llmsched.trace import Trace


class Sharing:
    """The prefixes of one engine, and the tree that its requests' paths go through."""

    def __init__(self, block_size: int) -> None:
        self.prefixes = Prefixes(block_size)
        self._builder: Builder | None = None

    def add(self, traces: Sequence[Trace]) -> None:
        """Add the requests of the last of several traces; those of the others are in it."""
        tree = traces[0].tree
        if traces[1:]:
            if self._builder is None:
                self._builder = Builder()
                for trace in traces[:-1]:
                    self._builder.add(trace)
            tree = self._builder.add(traces[-1])
        assert tree is not None
        shared = np.bincount(tree.segment, minlength=tree.segments) > 1
        self.prefixes.add(
            tree.start,
            tree.segment,
            tree.blocks(self.prefixes.block_size),
            shared[tree.segment].astype(np.int64),
        )
