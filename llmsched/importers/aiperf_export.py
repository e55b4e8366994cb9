"""AIPerf's profile export: one record a request, Unix nanoseconds, failed rows with `error`."""

from llmsched.importers._format import Format
from llmsched.importers._runs import failed_if

FORMAT = Format(
    name="aiperf-export",
    about="AIPerf profile export JSONL: metadata.request_start_ns, metrics",
    kind="json",
    signatures=(("metadata", "metrics"),),
    time="metadata.request_start_ns",
    unit="ns",
    input_tokens="metrics.input_sequence_length.value",
    output_tokens="metrics.output_sequence_length.value",
    id="metadata.x_request_id",
    failure=failed_if("error"),
)
