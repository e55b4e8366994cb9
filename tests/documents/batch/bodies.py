"""Lines of a batch as tests write them."""

from __future__ import annotations

from typing import Any

from llmsched.documents.batch import Request, request
from llmsched.documents.batch.body import Prompt

CHAT, COMPLETION, RESPONSE = "/v1/chat/completions", "/v1/completions", "/v1/responses"
EMBEDDING = "/v1/embeddings"


def line(url: str, **body: object) -> dict[str, Any]:
    return {"custom_id": "a", "method": "POST", "url": url, "body": {"model": "m", **body}}


def asked(url: str, **body: object) -> Request:
    return request(line(url, **body))


def prompts(url: str, **body: object) -> list[Prompt]:
    """The prompts of a line all of whose parts are text."""
    found, others = asked(url, **body).body.prompts()
    assert others == 0
    return found


def turn(content: object = "hi", **more: object) -> dict[str, object]:
    return {"role": "user", "content": content, **more}


LEAST: dict[str, dict[str, object]] = {
    CHAT: {"messages": [turn()]},
    COMPLETION: {"prompt": "x"},
    RESPONSE: {"input": "x"},
}
"""What an endpoint needs beside the model."""
