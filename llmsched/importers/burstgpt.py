"""BurstGPT, releases 1 and 2: whole seconds; a failed request is a row of zeros."""

from llmsched.importers._format import Format

FORMAT = Format(
    name="burstgpt",
    about="BurstGPT 1/2 CSV: Timestamp (s), Model, Request tokens, Response tokens, Log Type",
    source="HPMLL/BurstGPT e92f533",
    kind="csv",
    signatures=(("Timestamp", "Request tokens", "Response tokens"),),
    time="Timestamp",
    unit="s",
    input_tokens="Request tokens",
    output_tokens="Response tokens",
    job_class="Log Type",
)
