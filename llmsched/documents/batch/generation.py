"""Bodies of the endpoints that make text: chats, completions and responses."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from msgspec import Meta, Struct

from llmsched.documents.batch.body import (
    Body,
    Content,
    Limit,
    Prompt,
    Prompts,
    as_json,
    check_alike,
    each,
    joined,
    words,
)

MAX_ANSWERS = 16_384
"""Greatest `n` of a request: vLLM's own (``VLLM_MAX_N_SEQUENCES``)."""

COMPLETION_LIMIT = 16
"""Tokens of a completion that says no ``max_tokens``, as OpenAI and vLLM have it."""

Answers = Annotated[int, Meta(ge=1, le=MAX_ANSWERS)]
Tools = list[dict[str, Any]]


class Function(Struct):
    """A call of a function as a model wrote it; the arguments are JSON text."""

    name: str
    arguments: str | dict[str, Any] | None = None

    @property
    def text(self) -> str:
        """The call as chat templates write it into the prompt."""
        given = self.arguments
        arguments = given if isinstance(given, str) else as_json(given or {}, "arguments")
        return f'{{"name": "{self.name}", "arguments": {arguments}}}'


class ToolCall(Struct):
    """A call of a tool in a turn of the model."""

    function: Function


class Message(Struct, kw_only=True):
    """A turn of a chat; one that calls tools may have no content."""

    content: Content | None = None
    tool_calls: list[ToolCall] | None = None

    def parts(self) -> list[str | None]:
        """Return the texts of the turn, None for a part that is not text."""
        calls = (call.function.text for call in self.tool_calls or [])
        return [*words(self.content), *calls]


class Item(Message, kw_only=True):
    """What a response is asked on: a turn, a call of a function, or what came of one."""

    type: str = "message"
    name: str | None = None
    arguments: str | None = None
    output: Content | None = None

    def parts(self) -> list[str | None]:
        """Return the texts of the item; one of a kind without any is a part that is not text."""
        if self.type == "function_call":
            return [Function(self.name or "", self.arguments).text]
        return [*super().parts(), *words(self.output)] or [None]


Messages = Annotated[list[Message], Meta(min_length=1)]


def tools_and(tools: Tools | None, parts: list[str | None]) -> tuple[list[Prompt], int]:
    """Return the one prompt that tools and texts make, and how many parts are not text."""
    text, others = joined([as_json(tools, "tools"), *parts] if tools else parts)
    return [text], others


class Generation(Body, kw_only=True):
    """What makes `n` texts of each prompt."""

    LIMIT: ClassVar[str] = "max_tokens"

    max_tokens: Limit | None = None
    max_completion_tokens: Limit | None = None
    n: Answers | None = None

    @property
    def answers(self) -> int:
        """Sequences that run for each prompt, each with an answer of its own."""
        return self.n or 1

    @property
    def limit(self) -> int:
        """The output limit that is declared, by its newer name first; 0 if there is none."""
        return self.max_completion_tokens or self.max_tokens or 0


class Chat(Generation, kw_only=True):
    """Of /v1/chat/completions."""

    messages: Messages
    tools: Tools | None = None

    def prompts(self) -> tuple[list[Prompt], int]:
        """Return the prompt, and how many parts of it are not text."""
        return tools_and(self.tools, [part for turn in self.messages for part in turn.parts()])


class Completion(Generation, kw_only=True):
    """Of /v1/completions."""

    prompt: Prompts
    max_tokens: Limit | None = COMPLETION_LIMIT

    def __post_init__(self) -> None:
        check_alike(self.prompt, "prompt")

    def prompts(self) -> tuple[list[Prompt], int]:
        """Return each prompt; all are text."""
        return each(self.prompt), 0


class Response(Generation, kw_only=True):
    """Of /v1/responses, which has one answer and a limit of another name."""

    LIMIT: ClassVar[str] = "max_output_tokens"

    input: str | Annotated[list[Item], Meta(min_length=1)]
    instructions: str | None = None
    tools: Tools | None = None
    max_output_tokens: Limit | None = None

    @property
    def answers(self) -> int:
        """There is one."""
        return 1

    @property
    def limit(self) -> int:
        """The output limit that is declared; 0 if there is none."""
        return self.max_output_tokens or 0

    def prompts(self) -> tuple[list[Prompt], int]:
        """Return the prompt, and how many parts of it are not text."""
        parts: list[str | None] = [] if self.instructions is None else [self.instructions]
        if isinstance(self.input, str):
            parts.append(self.input)
        else:
            parts += [part for item in self.input for part in item.parts()]
        return tools_and(self.tools, parts)
