"""vLLM's `bench serve` result: one document a run, with arrays only under --save-detailed.

Start times are on an arbitrary clock and may be out of order; older versions have none.
"""

from llmsched.importers._format import Format, Moment
from llmsched.importers._runs import aligned, failed_if, one_run

FORMAT = Format(
    name="vllm-bench",
    about="vLLM bench JSON (--save-detailed): input_lens, output_lens, start_times (s)",
    source="vllm-project/vllm 009e6d4, benchmarks/serve.py",
    kind="json",
    signatures=(
        ("input_lens", "output_lens"),
        ("date", "backend", "model_id", "num_prompts", "completed"),
    ),
    time="start_times",
    unit="s",
    time_may_be_missing=True,
    input_tokens="input_lens",
    output_tokens="output_lens",
    model="model_id",
    first_token=Moment("ttfts"),
    last_token=Moment("latency"),
    failure=failed_if("errors"),
    runs=one_run,
    expand=aligned(
        "input_lens",
        "output_lens",
        optional=("start_times", "errors"),
        needs="--save-detailed",
        common="model_id",
    ),
)
