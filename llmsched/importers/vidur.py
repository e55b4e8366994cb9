"""Vidur's request traces."""

from llmsched.importers._format import Format

FORMAT = Format(
    name="vidur",
    about="Vidur CSV: arrived_at (s), num_prefill_tokens, num_decode_tokens",
    source="rows of the project's traces",
    kind="csv",
    signatures=(("arrived_at", "num_prefill_tokens", "num_decode_tokens"),),
    time="arrived_at",
    unit="s",
    input_tokens="num_prefill_tokens",
    output_tokens="num_decode_tokens",
)
