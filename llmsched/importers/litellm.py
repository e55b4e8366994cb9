"""LiteLLM's spend logs, from its API or its database: dates, failures, answers from its cache."""

from llmsched.importers._format import Format, Moment, Record
from llmsched.importers._values import truth


def _left_out(record: Record) -> str | None:
    if str(record.get("status")).casefold() == "failure":
        return "status says that the request failed"
    hit = truth(record.get("cache_hit"))
    return "cache_hit says that no model was asked" if hit else None


FORMAT = Format(
    name="litellm",
    about="LiteLLM spend logs JSON or CSV: startTime (date), prompt_tokens, completion_tokens",
    source="BerriAI/litellm 029f645, schema.prisma; the dates of a CSV file are inferred",
    kind="any",
    signatures=(("request_id", "startTime", "prompt_tokens", "completion_tokens"),),
    time="startTime",
    unit="any",
    input_tokens="prompt_tokens",
    output_tokens="completion_tokens",
    id="request_id",
    job_class="model_group",
    model="model",
    first_token=Moment("completionStartTime", "any", "zero"),
    last_token=Moment("endTime", "any", "zero"),
    failure=_left_out,
)
