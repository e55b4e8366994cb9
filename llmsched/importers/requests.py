"""The table that ``simulate --requests`` writes, and a frame of the same columns."""

from llmsched.importers._format import Format, Moment

FORMAT = Format(
    name="requests",
    about="what --requests writes: id, arrival_s, input_tokens, output_tokens",
    source="this project",
    kind="any",
    signatures=(("arrival_s", "input_tokens", "output_tokens"),),
    time="arrival_s",
    unit="s",
    input_tokens="input_tokens",
    output_tokens="output_tokens",
    id="id",
    job_class="class",
    priority="priority",
    first_token=Moment("first_token_s", "s", "zero"),
    last_token=Moment("finish_s", "s", "zero"),
)
