"""Vidur's length traces, which have no arrivals."""

from llmsched.importers._format import Format

FORMAT = Format(
    name="vidur-lengths",
    about="Vidur lengths CSV: num_prefill_tokens, num_decode_tokens; no arrivals",
    source="rows of the project's traces",
    kind="csv",
    signatures=(("num_prefill_tokens", "num_decode_tokens", "num_total_tokens", "pd_ratio"),),
    input_tokens="num_prefill_tokens",
    output_tokens="num_decode_tokens",
)
