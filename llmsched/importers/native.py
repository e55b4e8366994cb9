"""The native format, which is Mooncake's and AIPerf's: one JSON object a line, time in ms."""

from llmsched.importers._format import Format

FORMAT = Format(
    name="native",
    about="JSONL: timestamp (ms), input_length, output_length; also Mooncake's and AIPerf's",
    kind="json",
    signatures=(("timestamp", "input_length", "output_length"),),
    time="timestamp",
    unit="ms",
    input_tokens="input_length",
    output_tokens="output_length",
    id="id",
    job_class="class",
    hash_ids="hash_ids",
    timeout="timeout_ms",
    aliases=("mooncake", "aiperf"),
)
