"""Where requests begin with the same tokens: paths through a radix tree of their blocks.

A trace says so by block ids (Mooncake's `hash_ids`: equal ids name equal tokens with equal tokens
before them), or by sessions: a turn's prompt holds the conversation so far. A segment of the tree
is a stretch that nobody leaves between the places where somebody was seen to; a path says how many
blocks of which segments a request's tokens are, in order. The last one goes on as far as the
request does, for nobody else is known to have what it generates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from llmsched.config import EngineConfig

OPEN = 1 << 40
"""Blocks of a path's last segment: as many as the request comes to."""


class Requests(Protocol):
    """What is asked of a trace; see :class:`~llmsched.trace.Trace`."""

    def __len__(self) -> int: ...

    @property
    def input_tokens(self) -> NDArray[np.int64]: ...
    @property
    def output_tokens(self) -> NDArray[np.int64]: ...
    @property
    def session(self) -> NDArray[np.object_] | None: ...
    @property
    def previous(self) -> NDArray[np.int64]: ...
    @property
    def hash_ids(self) -> tuple[tuple[int, ...], ...] | None: ...
    @property
    def hash_block_size(self) -> int: ...
    @property
    def tree(self) -> Tree | None: ...


@dataclass(frozen=True, eq=False)
class Tree:
    """The paths of a trace's requests, in tokens.

    Attributes
    ----------
    start : int64, shape (n + 1,)
        Where the entries of each request begin.
    segment : int64, shape (entries,)
    ends : int64, shape (entries,)
        Tokens from the request's first one to where its path leaves the segment.
    segments : int
    """

    start: NDArray[np.int64]
    segment: NDArray[np.int64]
    ends: NDArray[np.int64]
    segments: int

    def take(self, rows: NDArray[np.int64]) -> Tree:
        """Return the paths of some requests, in that order."""
        counts = np.diff(self.start)[rows]
        start = np.concatenate(([0], np.cumsum(counts)))
        entries = np.repeat(self.start[:-1][rows] - start[:-1], counts) + np.arange(start[-1])
        return Tree(start, self.segment[entries], self.ends[entries], self.segments)

    def blocks(self, block_size: int) -> NDArray[np.int64]:
        """Return the blocks of each entry, shape (entries,): full ones, counted from the prompt's
        first token; the last of each request is `OPEN`."""
        ends = self.ends // block_size
        found = np.diff(ends, prepend=0)
        first = self.start[:-1]
        found[first] = ends[first]
        found[self.start[1:] - 1] = OPEN
        return found


class Reuse(NamedTuple):
    """What a cache may save, in tokens, shape (n,) each.

    Attributes
    ----------
    most : int64
        Tokens of its prompt that a request may find at most: those that any other has as well, and
        never the last one.
    later : int64
        Tokens of its prompt that a request before it in the trace has, or one after it generates:
        the others have to be computed by somebody who is not before it, and no two requests have
        the same of them.
    first : int64
        Tokens of its prompt before the first one that is none of those.
    common : int64
        Tokens of its prompt and output, from the first one on, that any other has as well.
    """

    most: NDArray[np.int64]
    later: NDArray[np.int64]
    first: NDArray[np.int64]
    common: NDArray[np.int64]


def cached_tree(trace: Requests, config: EngineConfig) -> Tree | None:
    """Return the paths of a trace's requests if an engine may find anything of them again."""
    return trace.tree if config.enable_prefix_caching else None


def reuse(trace: Requests, block_size: int) -> Reuse | None:
    """Return what a cache of blocks may save at most; None where the trace does not say."""
    tree = trace.tree
    if tree is None:
        return None
    return reuse_of(tree, trace.input_tokens, trace.output_tokens, block_size)


def reuse_of(
    tree: Tree,
    input_tokens: NDArray[np.int64],
    output_tokens: NDArray[np.int64],
    block_size: int,
) -> Reuse:
    """Return what a cache of blocks may save at most of requests with these paths."""
    blocks = tree.blocks(block_size)
    of = np.repeat(np.arange(len(input_tokens)), np.diff(tree.start))
    begins = np.cumsum(np.where(blocks == OPEN, 0, blocks))
    begins = np.concatenate(([0], begins[:-1]))
    begins -= begins[tree.start[:-1]][of]  # blocks before each entry
    whole = (input_tokens + output_tokens - 1)[of] // block_size - begins
    prompt = np.minimum(np.maximum(input_tokens[of] // block_size - begins, 0), blocks)
    whole = np.minimum(np.maximum(whole, 0), blocks)
    longest, second = _two_longest(tree, whole)
    alone = whole == longest[tree.segment]
    others = np.where(alone, second[tree.segment], longest[tree.segment])
    above = np.minimum(prompt, _longest_before(tree.segment, whole))
    # Who comes later may generate what is in this prompt, from the end of its own one on.
    beyond = int(prompt.max(initial=0)) + 1
    answered = np.where(whole > prompt, beyond - prompt, 0)
    generated = beyond - _longest_before(tree.segment[::-1], answered[::-1])[::-1]
    spared = above + np.maximum(prompt - np.maximum(above, generated), 0)
    before = np.where(spared == prompt, prompt, above)
    found = _leading(np.minimum(prompt, others), prompt, tree.start)
    # A prompt that ends with a block computes that one itself, whoever has it: at least its last
    # token is. On its account that block is not, for whoever is first may find it then.
    return Reuse(
        np.minimum(found, (input_tokens - 1) // block_size) * block_size,
        np.add.reduceat(spared, tree.start[:-1]) * block_size,
        _leading(before, prompt, tree.start) * block_size,
        _leading(np.minimum(whole, others), whole, tree.start) * block_size,
    )


def _two_longest(
    tree: Tree, whole: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the most and the second most blocks that requests have of each segment."""
    longest, second = np.zeros((2, tree.segments), np.int64)
    order = np.lexsort((whole, tree.segment))
    segment, length = tree.segment[order], whole[order]
    last = np.flatnonzero(np.append(segment[1:] != segment[:-1], True))
    longest[segment[last]] = length[last]
    before = last[last > 0] - 1
    same = segment[before] == segment[before + 1]
    second[segment[before[same]]] = length[before[same]]
    return longest, second


def _longest_before(segment: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the most blocks that entries before each one have of its segment."""
    order = np.argsort(segment, kind="stable")
    of, length = segment[order], whole[order]
    step = int(length.max(initial=0)) + 1
    above = np.maximum.accumulate(of * step + length) - of * step  # segments rise
    found = np.zeros_like(length)
    same = of[1:] == of[:-1]
    found[1:][same] = above[:-1][same]
    result = np.empty_like(found)
    result[order] = found
    return result


def _leading(
    shared: NDArray[np.int64], whole: NDArray[np.int64], start: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the blocks that are shared from the first one on without a gap; shape (n,)."""
    broken = shared < whole
    of = np.repeat(np.arange(len(start) - 1), np.diff(start))
    gaps: NDArray[np.int64] = np.cumsum(broken) - broken
    before: NDArray[np.int64] = gaps - gaps[start[:-1]][of]
    return np.add.reduceat(np.where(before == 0, shared, 0), start[:-1])


class Builder:
    """Grows a tree by the requests of one trace after another."""

    def __init__(self) -> None:
        self._start, self._segment, self._ends = [0], list[int](), list[int]()
        self._content: list[list[int]] = []
        self._child: dict[tuple[int, int, int], int] = {}
        self._known: dict[tuple[int, int, int], int] = {}

    def add(self, trace: Requests) -> Tree:
        """Return the paths of a trace's requests, whose segments may be those of others before."""
        self._start, self._segment, self._ends = [0], [], []
        if trace.hash_ids is not None and trace.hash_block_size:
            self._by_ids(trace)
        else:
            self._by_sessions(trace)
        start, segment, ends = (
            np.array(each, np.int64) for each in (self._start, self._segment, self._ends)
        )
        return Tree(start, segment, ends, len(self._content))

    def _by_ids(self, trace: Requests) -> None:
        """Follow block ids; one of a block that is not full is another for each length."""
        size, known = trace.hash_block_size, self._known
        for own, tokens, is_cut in _with_answers(trace):
            labels = [known.setdefault((size, 0, each), len(known)) for each in own]
            if is_cut and labels:
                labels[-1] = known.setdefault((size, tokens % size, own[-1]), len(known))
            self._follow(labels, size, tokens)

    def _by_sessions(self, trace: Requests) -> None:
        """Give each session a segment, and another one where its context gets shorter."""
        segment: list[int] = []
        total = (trace.input_tokens + trace.output_tokens).tolist()
        prompts = trace.input_tokens.tolist()
        for row, before in enumerate(trace.previous.tolist()):
            grows = before >= 0 and prompts[row] >= total[before]
            segment.append(segment[before] if grows else self._begin([]))
            self._enter(segment[row], OPEN)
            self._start.append(row + 1)

    def _follow(self, labels: list[int], size: int, tokens: int) -> None:
        """Let a request's first `tokens` tokens be in blocks of that size with these labels."""
        at, parent, place = 0, -1, 0
        while at < len(labels):
            found = self._child.get((parent, place, labels[at]), -1)
            if found < 0:
                break
            parent, place = found, _common(labels, at, self._content[found])
            at += place
            self._enter(found, min(at * size, tokens))
        new = self._begin(labels[at:])
        if at < len(labels):
            self._child[parent, place, labels[at]] = new
        self._enter(new, OPEN)
        self._start.append(len(self._segment))

    def _begin(self, content: list[int]) -> int:
        self._content.append(content)
        return len(self._content) - 1

    def _enter(self, segment: int, end: int) -> None:
        self._segment.append(segment)
        self._ends.append(end)


def _common(labels: list[int], at: int, content: list[int]) -> int:
    """Return how many labels from `at` on are those that a segment begins with."""
    most = min(len(labels) - at, len(content))
    if labels[at : at + most] == content[:most]:
        return most
    low, high = 0, most  # the first `low` are the same, the first `high` are not
    while high - low > 1:
        middle = (low + high) // 2
        if labels[at + low : at + middle] == content[low:middle]:
            low = middle
        else:
            high = middle
    return low


def _with_answers(trace: Requests) -> list[tuple[tuple[int, ...], int, bool]]:
    """Return each request's ids, the tokens that they name, and whether the last block is cut.

    As many ids as the prompt has blocks name the prompt; more of them name the answer as well, from
    its first token on. Where the next turn's prompt goes on from this one's answer, its ids name
    that too, a last block that is not full only where the next turn fills it.
    """
    assert trace.hash_ids is not None
    size = trace.hash_block_size
    prompt = trace.input_tokens.tolist()
    total = (trace.input_tokens + trace.output_tokens).tolist()
    found = []
    for own, input_tokens, both in zip(trace.hash_ids, prompt, total, strict=True):
        tokens = input_tokens if len(own) * size < input_tokens + size else both
        named = own[: -(-tokens // size)]
        found.append((named, tokens, len(named) * size > tokens))
    for row, before in enumerate(trace.previous.tolist() if trace.session is not None else ()):
        if before < 0 or total[before] > prompt[row]:
            continue
        own, later = trace.hash_ids[before], trace.hash_ids[row]
        full, most = prompt[before] // size, -(-total[before] // size)
        most = most if most * size <= prompt[row] else total[before] // size
        if own[:full] == later[:full] and most > full:
            found[before] = later[:most], total[before], False
    return found
