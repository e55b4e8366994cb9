"""splitwise-sim's request traces."""

from llmsched.importers._format import Format

FORMAT = Format(
    name="splitwise",
    about="splitwise-sim CSV: request_id, arrival_timestamp (s), prompt_size, token_size",
    source="rows of the project's test trace",
    kind="csv",
    signatures=(("request_id", "request_type", "arrival_timestamp", "prompt_size", "token_size"),),
    time="arrival_timestamp",
    unit="s",
    input_tokens="prompt_size",
    output_tokens="token_size",
    id="request_id",
    job_class="request_type",
)
