"""SGLang's `bench_serving` result: one object a run, with arrays only under --output-details."""

from llmsched.importers._format import Format
from llmsched.importers._runs import aligned, failed_if

FORMAT = Format(
    name="sglang-bench",
    about="SGLang bench_serving JSONL (--output-details): input_lens, output_lens; no arrivals",
    kind="json",
    signatures=(("backend", "dataset_name", "completed", "duration"),),
    input_tokens="input_lens",
    output_tokens="output_lens",
    failure=failed_if("errors"),
    expand=aligned("input_lens", "output_lens", optional=("errors",), needs="--output-details"),
)
