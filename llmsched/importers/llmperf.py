"""llmperf's individual responses: durations without start times, as of a closed loop."""

from llmsched.importers._format import Format, Moment, Record


def _failed(record: Record) -> str | None:
    code = record.get("error_code")
    return None if code is None else "error_code says that the request failed"


FORMAT = Format(
    name="llmperf",
    about="llmperf individual responses JSON: number_input_tokens, end_to_end_latency_s",
    source="ray-project/llmperf f1d6bed",
    kind="json",
    signatures=(("number_input_tokens", "number_output_tokens", "end_to_end_latency_s"),),
    input_tokens="number_input_tokens",
    output_tokens="number_output_tokens",
    first_token=Moment("ttft_s"),
    last_token=Moment("end_to_end_latency_s"),
    failure=_failed,
)
