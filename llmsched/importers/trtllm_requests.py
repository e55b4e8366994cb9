"""The requests of a run of `trtllm-bench throughput`: nanoseconds of a monotonic clock."""

from llmsched.importers._format import Format, Moment
from llmsched.importers._runs import failed_if

FORMAT = Format(
    name="trtllm-requests",
    about="trtllm-bench request JSON: num_input_tokens, output_tokens, start_timestamp (ns)",
    source="NVIDIA/TensorRT-LLM 3856265 and 0249976; how the file is written was not read",
    kind="json",
    signatures=(("num_input_tokens", "output_tokens", "start_timestamp"),),
    time="start_timestamp",
    unit="ns",
    input_tokens="num_input_tokens",
    output_tokens="output_tokens",
    id="id",
    first_token=Moment("time_to_first_token", "ns"),
    last_token=Moment("end_to_end_latency", "ns"),
    failure=failed_if("error_tokens"),
)
