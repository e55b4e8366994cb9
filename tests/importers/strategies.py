"""Traces for property tests."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from llmsched.trace import MAX_TOKENS, MOST_PRIORITY, Trace, seconds

_TOKENS = st.one_of(st.integers(1, 5000), st.integers(1, MAX_TOKENS))
_TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)


@st.composite
def traces(draw: st.DrawFn, extras: bool = True) -> Trace:
    """Traces as a file gives them: the first request at 0, times on the grid of nanoseconds."""
    n = draw(st.integers(1, 8))
    latest = draw(st.sampled_from([10, 10**6, 10**10, 10**15, 10**18, 8 * 10**18]))
    gaps = draw(st.lists(st.integers(0, latest // n), min_size=n - 1, max_size=n - 1))

    def column(values: st.SearchStrategy[int]) -> list[int]:
        return draw(st.lists(values, min_size=n, max_size=n))

    maybe = st.booleans() if extras else st.just(False)
    ids = draw(st.lists(_TEXT, min_size=n, max_size=n, unique=True)) if draw(maybe) else None
    job_class = draw(st.lists(_TEXT, min_size=n, max_size=n)) if draw(maybe) else None
    block = draw(st.sampled_from([0, 16, 512])) if extras else 0
    short = st.integers(1, 5000)
    output = column(short if block else _TOKENS)
    limits = [draw(st.one_of(st.just(0), st.integers(tokens, MAX_TOKENS))) for tokens in output]
    patience = st.one_of(st.just(np.inf), st.integers(1, 10**9).map(lambda ms: ms / 1e3))
    urgency = st.one_of(st.just(0), st.integers(-MOST_PRIORITY, MOST_PRIORITY))
    timeout = draw(st.lists(patience, min_size=n, max_size=n)) if draw(maybe) else None
    prompt = column(short if block else _TOKENS)
    hashes = st.integers(0, 2**63 - 1).map(lambda first: range(first, first + 10**4))
    named = [p + draw(st.sampled_from([0, 0, o])) for p, o in zip(prompt, output, strict=True)]
    blocks = [tuple(draw(hashes)[: -(-t // block)]) for t in named] if block else None
    return Trace.from_columns(
        seconds(np.cumsum([0, *gaps], dtype=np.int64)),
        prompt,
        output,
        id=ids,
        job_class=job_class,
        predicted_output_tokens=column(_TOKENS) if draw(maybe) else None,
        max_output_tokens=limits if draw(maybe) else None,
        timeout=timeout,
        priority=column(urgency) if draw(maybe) else None,
        hash_ids=None if blocks is None else tuple(blocks),
        hash_block_size=block,
    )
