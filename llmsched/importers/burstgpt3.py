"""BurstGPT, release 3: the columns of `burstgpt` and two more; seconds that start far from 0."""

from llmsched.importers._format import Format

FORMAT = Format(
    name="burstgpt3",
    about="BurstGPT 3 CSV: as burstgpt, with Session ID and Elapsed time",
    source="HPMLL/BurstGPT e92f533",
    kind="csv",
    signatures=(("Timestamp", "Session ID", "Elapsed time", "Request tokens", "Response tokens"),),
    time="Timestamp",
    unit="s",
    input_tokens="Request tokens",
    output_tokens="Response tokens",
    job_class="Log Type",
)
