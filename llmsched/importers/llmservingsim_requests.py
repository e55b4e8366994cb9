"""LLMServingSim's record of a vLLM run.

Unlike the project's traces, which the format's description covers, the recorded sample has
`arrival_time` in Unix seconds and no `arrival_time_ns`; this importer follows the sample.
"""

from llmsched.importers._format import Format

FORMAT = Format(
    name="llmservingsim-requests",
    about="LLMServingSim's vLLM record JSONL: input_toks, output_toks, arrival_time (s)",
    kind="json",
    signatures=(("request_id", "input_toks", "output_toks", "arrival_time"),),
    time="arrival_time",
    unit="s",
    input_tokens="input_toks",
    output_tokens="output_toks",
    id="request_id",
)
