"""A line of an OpenAI batch file: what a planner reads of it, endpoint by endpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from msgspec import Struct

from llmsched.documents.batch.body import Body
from llmsched.documents.batch.generation import Chat, Completion, Response
from llmsched.documents.batch.pooling import Embedding, Rerank, Score
from llmsched.schema import Named, checked, within

__all__ = ["ENDPOINTS", "UNCOUNTED", "Request", "Url", "request"]

Url = Literal[
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/responses",
    "/v1/embeddings",
    "/score",
    "/v1/score",
    "/rerank",
    "/v1/rerank",
    "/v2/rerank",
]

ENDPOINTS: Mapping[Url, type[Body]] = {
    "/v1/chat/completions": Chat,
    "/v1/completions": Completion,
    "/v1/responses": Response,
    "/v1/embeddings": Embedding,
    "/score": Score,
    "/v1/score": Score,
    "/rerank": Rerank,
    "/v1/rerank": Rerank,
    "/v2/rerank": Rerank,
}
"""The type of a request's body, by where it goes."""

_SCHEMA = "vLLM keeps it out of the prompt, and it counts no tokens"
_FORMATS = ("response_format", "text.format")
"""Where a schema may be, of chats and of responses."""

UNCOUNTED: Mapping[str, str] = {
    **dict.fromkeys((*_FORMATS, "guided_json", "structured_outputs"), _SCHEMA),
    # Only engines before V1 ran more than n: vllm-project/vllm, issue 13361 and pull 14356.
    "best_of": "vLLM runs n sequences, whatever it says",
    "previous_response_id": "the turns before are not in the file, and count no tokens",
}
"""What may stand in a body and be taken for a cost, and why it is none."""

_UNCOUNTED = {key.partition(".")[0] for key in UNCOUNTED}


class Line(Struct):
    """One line; its body is of a type of its own for each url."""

    custom_id: Named
    url: Url
    body: dict[str, Any]


@dataclass(frozen=True)
class Request:
    """A line as a planner sees it; `uncounted` are the keys of `UNCOUNTED` that it has."""

    custom_id: str
    url: Url
    body: Body
    uncounted: list[str]


def request(record: object) -> Request:
    """Return a line of parsed JSON as its type.

    Raises
    ------
    InputError
        It is no request for one of the `ENDPOINTS`; the message begins with the field.
    """
    line = checked(record, Line, parsed=True)
    with within("body"):
        body = checked(line.body, ENDPOINTS[line.url], parsed=True)
    some = not _UNCOUNTED.isdisjoint(line.body)  # of few lines
    keys = [key for key in UNCOUNTED if _has(line.body, key)] if some else []
    return Request(line.custom_id, line.url, body, keys)


def _has(body: Mapping[str, Any], key: str) -> bool:
    value: Any = body
    for step in key.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    if key in _FORMATS:  # which may ask for free text
        return isinstance(value, dict) and value.get("type") in ("json_schema", "structural_tag")
    return value is not None and (key != "best_of" or value != 1)
