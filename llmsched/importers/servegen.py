"""ServeGen's requests for offline generation: lengths without arrivals."""

from llmsched.importers._format import Format

FORMAT = Format(
    name="servegen",
    about="ServeGen JSONL: request_id, type, input_length, output_length; no arrivals",
    source="rows of a sample; no writer was found",
    kind="json",
    signatures=(("request_id", "type", "input_length", "output_length"),),
    input_tokens="input_length",
    output_tokens="output_length",
    id="request_id",
    job_class="type",
)
