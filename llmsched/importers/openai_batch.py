"""Batch results of OpenAI and of `vllm run-batch`: out of order, no arrivals, failures among them.

The usage has other names in the Responses API, and none for the answer of an embedding, which takes
one pass of the engine and so counts as one token.
"""

from collections.abc import Iterator

from llmsched.importers._format import Format, Record

_FAILED = ("failed", "cancelled", "incomplete")


def _body(record: Record) -> Record:
    response = record.get("response")
    body = response.get("body") if isinstance(response, dict) else None
    return body if isinstance(body, dict) else {}


def _failed(record: Record) -> str | None:
    response = record.get("response")
    status = response.get("status_code") if isinstance(response, dict) else None
    refused = isinstance(status, int) and not 200 <= status < 300
    if record.get("error") or response is None or refused:
        return "the request failed"
    body = _body(record)
    if body.get("status") in _FAILED[:2]:
        return f"its status is {body['status']}"
    return "it has no usage" if body.get("usage") is None else None


def _usage(record: Record) -> Iterator[Record]:
    body = _body(record)
    usage = body.get("usage")
    if not isinstance(usage, dict):
        yield record
        return
    tokens = {
        "prompt_tokens": usage.get("input_tokens"),
        "completion_tokens": usage.get("output_tokens"),
    }
    tokens |= {name: usage[name] for name in tokens if usage.get(name) is not None}
    if (
        tokens["completion_tokens"] is None
        and "completion_tokens" not in usage
        and "output_tokens" not in usage
    ):
        tokens["completion_tokens"] = 1
    yield {**record, "model": body.get("model"), **tokens}


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
