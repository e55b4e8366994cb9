"""Bodies of the endpoints that make no text: one step over each prompt, and no answer to decode."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from llmsched.documents.batch.body import (
    Body,
    Part,
    Prompt,
    Prompts,
    check_alike,
    each,
    joined,
    words,
)
from llmsched.documents.batch.generation import Messages, tools_and
from llmsched.errors import InputError


class Embedding(Body, kw_only=True):
    """Of /v1/embeddings: inputs, or a chat that is one."""

    input: Prompts | UnsetType = UNSET
    messages: Messages | UnsetType = UNSET

    def __post_init__(self) -> None:
        if self.input is UNSET and self.messages is UNSET:
            raise InputError("input: expected a text or a list, got nothing")
        if self.input is not UNSET:
            check_alike(self.input, "input")

    def prompts(self) -> tuple[list[Prompt], int]:
        """Return each input, and how many parts of them are not text."""
        if self.input is not UNSET:
            return each(self.input), 0
        turns = self.messages or []
        return tools_and(None, [part for turn in turns for part in turn.parts()])


class Mixed(Struct):
    """A text with images, as a document to score."""

    content: list[str | Part]


_One = str | Mixed
_Some = str | Mixed | Annotated[list[str | Mixed], Meta(min_length=1)]


def _listed(some: _Some) -> list[_One]:
    return some if isinstance(some, list) else [some]


def _pairs(first: list[_One], second: list[_One]) -> tuple[list[Prompt], int]:
    """Return a prompt for each pair, as a cross-encoder reads it: both texts; one goes with all."""
    prompts: list[Prompt] = []
    others = 0
    for one, other in zip(first * len(second) if len(first) == 1 else first, second, strict=True):
        sides = (side.content if isinstance(side, Mixed) else side for side in (one, other))
        text, skipped = joined([part for side in sides for part in words(side)])
        prompts.append(text)
        others += skipped
    return prompts, others


class Score(Body, kw_only=True):
    """Of /score: pairs of texts, under any of the names that vLLM has for the two sides."""

    text_1: _Some | UnsetType = UNSET
    text_2: _Some | UnsetType = UNSET
    queries: _Some | UnsetType = UNSET
    documents: _Some | UnsetType = UNSET
    items: _Some | UnsetType = UNSET
    data_1: _Some | UnsetType = UNSET
    data_2: _Some | UnsetType = UNSET

    def __post_init__(self) -> None:
        first, second = map(len, self._sides())
        if first not in (1, second):
            raise InputError(f"expected as many texts on both sides or 1 : N, got {first}:{second}")

    def _sides(self) -> tuple[list[_One], list[_One]]:
        named = (
            (self.queries, self.documents),
            (self.queries, self.items),
            (self.data_1, self.data_2),
            (self.text_1, self.text_2),
        )
        for first, second in named:
            if first is not UNSET and second is not UNSET:
                return _listed(first), _listed(second)
        missing = "text_1" if self.text_1 is UNSET else "text_2"
        raise InputError(f"{missing}: expected a text or a list, got nothing")

    def prompts(self) -> tuple[list[Prompt], int]:
        """Return a prompt for each pair, and how many parts of them are not text."""
        return _pairs(*self._sides())


class Rerank(Body, kw_only=True):
    """Of /rerank: a query beside each document."""

    query: _One
    documents: _Some

    def prompts(self) -> tuple[list[Prompt], int]:
        """Return a prompt for each document, and how many parts of them are not text."""
        return _pairs([self.query], _listed(self.documents))
