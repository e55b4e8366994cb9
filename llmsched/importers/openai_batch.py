"""Batch results of OpenAI and of `vllm run-batch`: out of order, no arrivals, failures among them.

The usage has other names in the Responses API, and none for the answer of an embedding, which takes
one pass of the engine and so counts as one token.
"""

from collections.abc import Iterator

from llmsched.importers._format import Format, Record
from llmsched.importers._runs import first_of, object_at

_FAILED = ("failed", "cancelled")
_INPUT = ("prompt_tokens", "input_tokens")
_OUTPUT = ("completion_tokens", "output_tokens")


def _failed(record: Record) -> str | None:
    status = object_at(record, "response").get("status_code")
    refused = isinstance(status, int) and not 200 <= status < 300
    if record.get("error") or record.get("response") is None or refused:
        return "the request failed"
    body = object_at(record, "response.body")
    if body.get("status") in _FAILED:
        return f"its status is {body['status']}"
    return "it has no usage" if body.get("usage") is None else None


def _usage(record: Record) -> Iterator[Record]:
    body = object_at(record, "response.body")
    usage = body.get("usage")
    if not isinstance(usage, dict):
        yield record
        return
    answers = bool(usage.keys() & set(_OUTPUT))
    yield {
        **record,
        "model": body.get("model"),
        "prompt_tokens": first_of(usage, _INPUT),
        "completion_tokens": first_of(usage, _OUTPUT) if answers else 1,
    }


FORMAT = Format(
    name="openai-batch",
    about="OpenAI batch output JSONL: custom_id, response.body.usage; no arrivals",
    source="openai/openai-python e43b422, its types; vllm-project/vllm 0056ae7, run_batch.py",
    kind="json",
    signatures=(("custom_id", "response"),),
    input_tokens="prompt_tokens",
    output_tokens="completion_tokens",
    id="custom_id",
    model="model",
    limits=(),
    failure=_failed,
    expand=_usage,
)
