"""The summary of multi-round-qa, of vLLM's production stack and LMCache: an answer a row."""

from llmsched.importers._format import Format, Moment

FORMAT = Format(
    name="multi-round-qa",
    about="multi-round-qa CSV: launch_time (s), prompt_tokens, generation_tokens, ttft",
    source="vllm-project/production-stack a6c01db",
    kind="csv",
    signatures=(("prompt_tokens", "generation_tokens", "user_id", "question_id", "launch_time"),),
    time="launch_time",
    unit="s",
    input_tokens="prompt_tokens",
    output_tokens="generation_tokens",
    first_token=Moment("ttft"),
    last_token=Moment("finish_time", "s", "zero"),
)
