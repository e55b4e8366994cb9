"""Prefix blocks: how many tokens the ids of a trace name, worked out from the trace itself.

A prompt of n tokens has ceil(n / size) blocks, the last one perhaps not full. Mooncake's own traces
have 512 tokens in a block (Qin et al., "Mooncake: Trading More Storage for Less Computation", FAST
2025), and the law holds in each of their 12,031 and 3,993 rows. Where it fails, the blocks are of
another size, and the file of another tool.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from llmsched.importers._format import Format
from llmsched.importers._table import Table

_SIZES = tuple(2**i for i in range(13))
_MOST_OTHERS = 0.01
"""Share of rows whose ids may be left out because their number is not that of the others."""


class Blocks(NamedTuple):
    """What the ids of a file name.

    Attributes
    ----------
    size : int
        Tokens of a block; 0 without ids that can be used.
    sure : str
        How that is known.
    kept : bool, shape (n,), or None
        The rows whose ids are that many; None where all are.
    is_other : bool
        Whether the size is another than the format's, and no row says so.
    """

    size: int
    sure: str
    kept: NDArray[np.bool_] | None = None
    is_other: bool = False


def blocks_of(table: Table, form: Format) -> Blocks:
    """Return the size of the blocks, by the rows' own word or else by their number."""
    ids = np.fromiter(map(len, table.hash_ids), np.int64, len(table.hash_ids))
    prompt = table.input_tokens.whole()

    def holds(size: int) -> NDArray[np.bool_]:
        return np.asarray(ids == -(-prompt // size))

    said = set(table.block_size.whole()) - {0}
    if len(said) > 1:
        return Blocks(0, f"rows name blocks of {', '.join(map(str, sorted(said)))} tokens")
    usual = form.hash_block or _SIZES[-1]
    sizes = [*said] or [usual, *(size for size in reversed(_SIZES) if size != usual)]
    shares = [(size, holds(size)) for size in sizes]
    size, kept = max(shares, key=lambda each: int(each[1].sum()))  # of equal ones the first
    others = int((~kept).sum())
    if others > _MOST_OTHERS * len(ids):
        row = int(np.flatnonzero(~shares[0][1])[0])
        fits = f"request {table.id.whole()[row]!r} has {ids[row]} ids for {prompt[row]} tokens"
        return Blocks(0, f"no size of a block explains them: {fits}")
    sure = "said by the rows" if said else "ceil(tokens / size) ids"
    how = f"{sure}, in {'all' if not others else f'{len(ids) - others:,} of'} {len(ids):,} rows"
    is_other = bool(form.hash_block) and size != form.hash_block and not said
    return Blocks(size, how, kept if others else None, is_other)
