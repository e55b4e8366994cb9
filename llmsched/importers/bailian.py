"""Alibaba's Bailian traces: Mooncake's names, but seconds, and prefix blocks of 16 tokens."""

from llmsched.importers._format import Format

FORMAT = Format(
    name="bailian",
    about="Bailian JSONL: chat_id, parent_chat_id, turn, timestamp (s), input_length, ...",
    source="alibaba-edu/qwen-bailian-usagetraces-anon 03a51e3, its description alone",
    kind="json",
    signatures=(("chat_id", "timestamp", "input_length", "output_length"),),
    time="timestamp",
    unit="s",
    input_tokens="input_length",
    output_tokens="output_length",
    id="chat_id",
    job_class="type",
    hash_ids="hash_ids",
    hash_block=16,
)
