"""A line of an OpenAI batch file, as ``vllm run-batch -i`` takes it: what a planner reads of it."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from llmsched.errors import InputError
from llmsched.schema import Named
from llmsched.trace import MAX_TOKENS

CHAT, COMPLETION, EMBEDDING = "/v1/chat/completions", "/v1/completions", "/v1/embeddings"

Texts = str | list[str]
Limit = Annotated[int, Meta(ge=1, le=MAX_TOKENS)]


class Part(Struct):
    """A part of a message; one that is no text (image, audio) has none."""

    type: str = "text"
    text: str | UnsetType = UNSET

    def __post_init__(self) -> None:
        if self.type == "text" and self.text is UNSET:
            raise InputError("text: expected a text, got nothing")


class Message(Struct):
    """A turn of a chat; one that calls tools has no content."""

    content: str | list[Part] | None = None

    @property
    def parts(self) -> list[Part]:
        if isinstance(self.content, str):
            return [Part(text=self.content)]
        return self.content or []


class Body(Struct):
    """What is asked of the model; of a batch's own keys, which are many, those with lengths."""

    model: Named
    messages: Annotated[list[Message], Meta(min_length=1)] | UnsetType = UNSET
    prompt: Texts | UnsetType = UNSET
    input: Texts | UnsetType = UNSET
    max_tokens: Limit | None = None
    max_completion_tokens: Limit | None = None

    @property
    def limit(self) -> int:
        """The output limit that is declared, by its newer name first; 0 if there is none."""
        return self.max_completion_tokens or self.max_tokens or 0


class Request(Struct):
    """One line."""

    custom_id: Named
    url: Literal["/v1/chat/completions", "/v1/completions", "/v1/embeddings"]
    body: Body

    def __post_init__(self) -> None:
        field = {CHAT: "messages", COMPLETION: "prompt", EMBEDDING: "input"}[self.url]
        if getattr(self.body, field) is UNSET:
            raise InputError(f"body.{field}: expected one for {self.url}, got nothing")

    @property
    def prompt(self) -> tuple[str, int]:
        """The prompt's text, and how many of its parts are not text."""
        if self.url == CHAT:
            messages = self.body.messages or []
            parts = [part.text for message in messages for part in message.parts]
        else:
            asked = self.body.prompt if self.url == COMPLETION else self.body.input
            parts = [asked] if isinstance(asked, str) else list(asked or [])
        texts = [text for text in parts if isinstance(text, str)]
        return "\n".join(texts), len(parts) - len(texts)
