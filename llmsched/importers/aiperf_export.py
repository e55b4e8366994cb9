"""AIPerf's profile export: one record a request, Unix nanoseconds, failed rows with `error`."""

from llmsched.importers._format import Format, Moment, Record


def _left_out(record: Record) -> str | None:
    metadata = record.get("metadata")
    if not isinstance(metadata, dict):
        return None
    phase = metadata.get("benchmark_phase")
    if phase not in (None, "profiling"):
        return f"benchmark_phase is {phase}"
    if metadata.get("was_cancelled"):
        return "was_cancelled says that the request was cancelled"
    return "error says that the request failed" if record.get("error") else None


FORMAT = Format(
    name="aiperf-export",
    about="AIPerf profile export JSONL: metadata.request_start_ns, metrics",
    source="ai-dynamo/aiperf db4f639 of 2025, 745695d and its docs of 2026",
    kind="json",
    signatures=(("metadata", "metrics"),),
    time="metadata.request_start_ns",
    unit="ns",
    input_tokens="metrics.input_sequence_length.value",
    output_tokens="metrics.output_sequence_length.value",
    id="metadata.x_request_id",
    first_token=Moment("metrics.time_to_first_token.value", "ms"),
    last_token=Moment("metrics.request_latency.value", "ms"),
    failure=_left_out,
)
