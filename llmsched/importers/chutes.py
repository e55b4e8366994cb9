"""Chutes' public invocations, a table of dates; its columns are known from samples alone."""

from llmsched.importers._format import Format, Moment

FORMAT = Format(
    name="chutes",
    about="Chutes Parquet or CSV: invocation_id, started_at (date), it, ot",
    source="the header of a sample; no writer was found",
    kind="any",
    signatures=(("invocation_id", "started_at", "it", "ot"),),
    time="started_at",
    unit="date",
    input_tokens="it",
    output_tokens="ot",
    id="invocation_id",
    first_token=Moment("ttft"),
    last_token=Moment("completed_at", "date", "zero"),
)
