"""The native format, which is Mooncake's and AIPerf's: one JSON object a line, time in ms.

A table with the same names is read as well, and `first_token_s` and `last_token_s` of a measured
run, which count on the clock of `timestamp`.
"""

from llmsched.importers._format import Format, Moment

FORMAT = Format(
    name="native",
    about="JSONL or CSV: timestamp (ms), input_length, output_length; also Mooncake's and AIPerf's",
    source="this project; Mooncake's FAST25 traces, kvcache-ai/Mooncake 3b5a594",
    kind="any",
    signatures=(
        ("timestamp", "input_length", "output_length"),
        ("session", "input_length", "output_length"),
    ),
    time="timestamp",
    unit="ms",
    input_tokens="input_length",
    output_tokens="output_length",
    id="id",
    job_class="class",
    hash_ids="hash_ids",
    block_size="hash_block_size",
    hash_block=512,
    timeout="timeout_ms",
    priority="priority",
    session="session",
    turn="turn",
    delay=Moment("delay_ms", "ms"),
    first_token=Moment("first_token_s", "s", "zero"),
    last_token=Moment("last_token_s", "s", "zero"),
    aliases=("mooncake", "aiperf"),
    keys_are_shared=True,
)
