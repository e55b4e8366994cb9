"""Prefix blocks: how many tokens the ids of a trace name, worked out from the trace itself.

A prompt of n tokens has ceil(n / size) blocks, the last one perhaps not full. Mooncake's own traces
have 512 tokens in a block (Qin et al., "Mooncake: Trading More Storage for Less Computation", FAST
2025), and the law holds in each of their 12,031 and 3,993 rows. Where it fails, the blocks are of
another size, and the file of another tool.

Where the rows or the format say the size, a row may name the blocks of its answer as well, or of a
part of it, and a row without any ids says nothing of its tokens.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from llmsched.importers._format import Format
from llmsched.importers._table import Table

_Rows = NDArray[np.bool_]
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
    kept: _Rows | None = None
    is_other: bool = False


def blocks_of(table: Table, form: Format) -> Blocks:
    """Return the size of the blocks, by the rows' own word or else by their number."""
    ids = np.fromiter(map(len, table.hash_ids), np.int64, len(table.hash_ids))
    prompt = table.input_tokens.whole()
    both = prompt + table.output_tokens.whole()

    def of_prompts(size: int) -> _Rows:
        return np.asarray(ids == -(-prompt // size))

    def of_answers_too(size: int) -> _Rows:
        return np.asarray((ids == 0) | (ids >= -(-prompt // size)) & (ids <= -(-both // size)))

    said = set(table.block_size.whole()) - {0}
    if len(said) > 1:
        return Blocks(0, f"rows name blocks of {', '.join(map(str, sorted(said)))} tokens")
    if said:
        (size,) = said
        laws = [(size, of_answers_too(size), "said by the rows")]
    else:
        usual = form.hash_block or _SIZES[-1]
        sizes = [usual, *(size for size in reversed(_SIZES) if size != usual)]
        laws = [(size, of_prompts(size), "ceil(tokens / size) ids") for size in sizes]
    found = _best(laws)
    if found is None and not said and form.hash_block:  # only now: nearly any ids may be of answers
        rule = f"the rule of the format {form.name}, of answers as well"
        found = _best([(form.hash_block, of_answers_too(form.hash_block), rule)])
    if found is None:
        row = int(np.flatnonzero(~laws[0][1])[0])
        fits = f"request {table.id.whole()[row]!r} has {ids[row]} ids for {prompt[row]} tokens"
        return Blocks(0, f"no size of a block explains them: {fits}")
    is_other = bool(form.hash_block) and found.size != form.hash_block and not said
    return found._replace(is_other=is_other)


def _best(laws: list[tuple[int, _Rows, str]]) -> Blocks | None:
    """Return the size that holds for the most rows, of equal ones the first; None if for few."""
    size, kept, sure = max(laws, key=lambda each: int(each[1].sum()))
    rows, others = len(kept), int((~kept).sum())
    if others > _MOST_OTHERS * rows:
        return None
    how = f"{sure}, in {'all' if not others else f'{rows - others:,} of'} {rows:,} rows"
    return Blocks(size, how, kept if others else None)
