"""LLMServingSim's request traces, in nanoseconds."""

from llmsched.importers._format import Format

FORMAT = Format(
    name="llmservingsim",
    about="LLMServingSim JSONL: input_toks, output_toks, arrival_time_ns",
    kind="json",
    signatures=(("input_toks", "output_toks", "arrival_time_ns"),),
    time="arrival_time_ns",
    unit="ns",
    input_tokens="input_toks",
    output_tokens="output_toks",
    id="request_id",
)
