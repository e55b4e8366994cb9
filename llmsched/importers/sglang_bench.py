"""SGLang's `bench_serving` result: one object a run, with arrays only under --output-details."""

from llmsched.importers._format import Format, Moment
from llmsched.importers._runs import aligned, failed_if, one_run

FORMAT = Format(
    name="sglang-bench",
    about="SGLang bench_serving JSONL (--output-details): input_lens, output_lens; no arrivals",
    source="sgl-project/sglang 00f9ec4, benchmark/serving.py",
    kind="json",
    signatures=(("backend", "dataset_name", "completed", "duration"),),
    input_tokens="input_lens",
    output_tokens="output_lens",
    first_token=Moment("ttfts"),
    last_token=Moment("latency"),
    failure=failed_if("errors"),
    runs=one_run,
    expand=aligned("input_lens", "output_lens", optional=("errors",), needs="--output-details"),
)
