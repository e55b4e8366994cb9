"""LLMServingSim's record of a vLLM run.

`arrival_time` is the client's, in Unix seconds; the times of the engine are on a clock of its own,
which `queued_ts` begins.
"""

from llmsched.importers._format import Format, Moment

FORMAT = Format(
    name="llmservingsim-requests",
    about="LLMServingSim's vLLM record JSONL: input_toks, output_toks, arrival_time (s)",
    source="casys-kaist/LLMServingSim 5daddb2",
    kind="json",
    signatures=(("request_id", "input_toks", "output_toks", "arrival_time"),),
    time="arrival_time",
    unit="s",
    input_tokens="input_toks",
    output_tokens="output_toks",
    id="request_id",
    measured_from="queued_ts",
    first_token=Moment("first_token_ts", "s", "zero"),
    last_token=Moment("last_token_ts", "s", "zero"),
)
