"""What LLMServingSim says of each request that it simulated: a table in nanoseconds."""

from llmsched.importers._format import Format, Moment

FORMAT = Format(
    name="llmservingsim-output",
    about="LLMServingSim output CSV: arrival (ns), input, output, TTFT, latency",
    source="casys-kaist/LLMServingSim 5daddb2",
    kind="csv",
    signatures=(("instance id", "request id", "input", "output", "arrival", "queuing_delay"),),
    time="arrival",
    unit="ns",
    input_tokens="input",
    output_tokens="output",
    id="request id",
    model="model",
    first_token=Moment("TTFT", "ns"),
    last_token=Moment("latency", "ns"),
)
