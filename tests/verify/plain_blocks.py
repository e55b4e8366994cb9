"""KV blocks with identities, for the plain loop: who holds which, which may be hit again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(eq=False)
class Block:
    """One block; `name` says what it holds while it may be hit."""

    holders: int = 0
    name: int | None = None


@dataclass
class Blocks:
    """All blocks; the nameless free ones first, then the named ones, least recently freed first."""

    count: int
    free: OrderedDict[Block, None] = field(default_factory=OrderedDict)
    named: dict[int, list[Block]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.free = OrderedDict((Block(), None) for _ in range(self.count))

    def hits(self, names: Sequence[int]) -> list[Block]:
        """Return the blocks that hold the beginning of `names`, the oldest of each name."""
        found: list[Block] = []
        for name in names:
            if not self.named.get(name):
                break
            found.append(self.named[name][0])
        return found

    def share(self, blocks: Sequence[Block]) -> None:
        for block in blocks:
            if not block.holders:
                del self.free[block]
            block.holders += 1

    def take(self, count: int) -> list[Block]:
        taken = [self.free.popitem(last=False)[0] for _ in range(count)]
        for block in taken:
            if block.name is not None:
                self.named[block.name].remove(block)
                block.name = None
            block.holders = 1
        return taken

    def call(self, block: Block, name: int) -> None:
        block.name = name
        self.named.setdefault(name, []).append(block)

    def give_back(self, blocks: Sequence[Block]) -> None:
        for block in reversed(blocks):
            block.holders -= 1
            if not block.holders:
                self.free[block] = None
                self.free.move_to_end(block, last=block.name is not None)
