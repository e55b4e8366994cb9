"""Baseten's public completions, a Parquet table: Unix milliseconds, cancelled requests marked."""

from llmsched.importers._format import Format, Moment, Record
from llmsched.importers._values import truth


def _left_out(record: Record) -> str | None:
    left = truth(record.get("request_canceled"))
    return "request_canceled says that the client left" if left else None


FORMAT = Format(
    name="baseten",
    about="Baseten Parquet: timestamp_start_unix_ms, input_tokens, output_tokens",
    source="ai-dynamo/aiperf 264464a, its reader",
    kind="any",
    signatures=(("timestamp_start_unix_ms", "input_tokens", "output_tokens"),),
    time="timestamp_start_unix_ms",
    unit="ms",
    input_tokens="input_tokens",
    output_tokens="output_tokens",
    model="model_name",
    first_token=Moment("duration_ttft_ms", "ms"),
    last_token=Moment("duration_e2e_ms", "ms"),
    failure=_left_out,
)
