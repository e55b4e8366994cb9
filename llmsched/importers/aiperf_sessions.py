"""AIPerf's and Dynamo's traces of several turns: a line a turn, `delay` ms after the answer before.

The first turn of a session may have a time; where none has, all sessions begin at 0.
"""

from llmsched.importers._format import Format, Moment

FORMAT = Format(
    name="aiperf-sessions",
    about="AIPerf sessions JSONL: session_id, input_length, output_length, timestamp or delay (ms)",
    source="ai-dynamo/aiperf 0109a64, dataset/loader/models.py",
    kind="json",
    signatures=(
        ("session_id", "input_length", "output_length"),
        ("session_id", "timestamp", "input_length", "output_length"),
        ("session_id", "delay", "input_length", "output_length"),
    ),
    time="timestamp",
    unit="ms",
    input_tokens="input_length",
    output_tokens="output_length",
    hash_ids="hash_ids",
    hash_block=512,
    session="session_id",
    delay=Moment("delay", "ms"),
    note="input_length is taken as the whole prompt of a turn, where AIPerf adds what came before",
)
