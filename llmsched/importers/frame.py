"""A data frame that was saved: the columns that the Python door takes."""

from llmsched.importers._format import Format

FORMAT = Format(
    name="frame",
    about="columns of a data frame: arrival (s), input_tokens, output_tokens",
    source="this project",
    kind="any",
    signatures=(("arrival", "input_tokens", "output_tokens"),),
    time="arrival",
    unit="s",
    input_tokens="input_tokens",
    output_tokens="output_tokens",
    id="id",
    job_class="class",
    predicted="predicted_output_tokens",
    timeout="timeout_ms",
    priority="priority",
)
