"""What all bodies of a batch have: prompts, each of which is a sequence of the engine, or several.

The keys and their meanings are those of vLLM: vllm/entrypoints/openai/completion/protocol.py at
commit 002032ee2b18, vllm/entrypoints/pooling/scoring/protocol.py at 004706d84ceb, and those beside.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Annotated, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType

from llmsched.errors import InputError
from llmsched.schema import Named, shown
from llmsched.trace import MAX_TOKENS

Limit = Annotated[int, Meta(ge=1, le=MAX_TOKENS)]

_Id = Annotated[int, Meta(ge=0)]
_Ids = Annotated[list[_Id], Meta(min_length=1)]
Prompts = str | Annotated[list[str | _Id | _Ids], Meta(min_length=1)]
"""A text, texts, token ids, or lists of token ids."""

Prompt: TypeAlias = str | int
"""A text whose tokens are to be counted, or how many there are."""

_TEXTS = ("text", "input_text", "output_text")


class Body(Struct, kw_only=True):
    """What is asked of the model; of a body's own keys, which are many, those with lengths."""

    model: Named
    truncate_prompt_tokens: int | None = None

    @property
    def answers(self) -> int:
        """Sequences that run for each prompt, each with an answer of its own."""
        return 1

    @property
    def limit(self) -> int:
        """Most tokens of an answer that are declared; 0 if there is no such limit."""
        return 0

    def prompts(self) -> tuple[list[Prompt], int]:
        """Return each prompt, and how many parts of them are not text."""
        raise NotImplementedError


class Part(Struct):
    """A part of a message; one that is no text (image, audio) has none."""

    type: str = "text"
    text: str | UnsetType = UNSET
    refusal: str | None = None
    thinking: str | None = None

    def __post_init__(self) -> None:
        if self.type in _TEXTS and self.text is UNSET:
            raise InputError("text: expected a text, got nothing")

    @property
    def words(self) -> str | None:
        """The part's text; None if it is not text."""
        return self.refusal or self.thinking if self.text is UNSET else self.text


Content = str | list[str | Part]


def words(content: Content | None) -> list[str | None]:
    """Return the text of each part of a content, None for one that is not text."""
    if isinstance(content, str):
        return [content]
    return [one if isinstance(one, str) else one.words for one in content or []]


def joined(parts: Iterable[str | None]) -> tuple[str, int]:
    """Return the text of all parts, and how many of them are not text."""
    every = list(parts)
    texts = [part for part in every if part is not None]
    return "\n".join(texts), len(every) - len(texts)


def check_alike(prompts: Prompts, field: str) -> None:
    """Refuse a list of texts and ids.

    Raises
    ------
    InputError
        It is one; the message names the first that is unlike the others.
    """
    kind = type(prompts[0]) if prompts else str
    for i, one in enumerate(prompts):
        if type(one) is not kind:
            what = {str: "a text", int: "a token id"}.get(kind, "a list of token ids")
            raise InputError(f"{field}[{i}]: expected {what} as before, got {shown(one)}")


def each(prompts: Prompts) -> list[Prompt]:
    """Return each prompt of several; token ids side by side are one."""
    if isinstance(prompts, str):
        return [prompts]
    if isinstance(prompts[0], int):
        return [len(prompts)]
    return [
        one if isinstance(one, str) else len(one) for one in prompts if not isinstance(one, int)
    ]


def as_json(value: object, field: str) -> str:
    """Return `value` as JSON text with the blanks that chat templates put in (``tojson``).

    Raises
    ------
    InputError
        It is too deep to be written.
    """
    try:
        return json.dumps(value, ensure_ascii=False)
    except RecursionError as error:
        raise InputError(f"{field}: expected fewer lists in each other") from error
