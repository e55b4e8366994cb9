"""OpenAI's batch output: out of order, no arrivals, `response` null where a request failed."""

from llmsched.importers._format import Format, Record


def _failed(record: Record) -> str | None:
    response = record.get("response", {})
    status = response.get("status_code") if isinstance(response, dict) else None
    refused = isinstance(status, int) and status >= 400
    return "the request failed" if record.get("error") or response is None or refused else None


FORMAT = Format(
    name="openai-batch",
    about="OpenAI batch output JSONL: custom_id, response.body.usage; no arrivals",
    kind="json",
    signatures=(("custom_id", "response"),),
    input_tokens="response.body.usage.prompt_tokens",
    output_tokens="response.body.usage.completion_tokens",
    id="custom_id",
    model="response.body.model",
    failure=_failed,
)
