"""Datasets of TensorRT-LLM's benchmarks: lengths without arrivals.

`trtllm-bench` has a request a line, whose token ids count its prompt; `gptManagerBenchmark` has a
document of samples.
"""

from collections.abc import Iterator

from llmsched.importers._format import Format, Record
from llmsched.importers._runs import first_of, objects_in
from llmsched.importers._values import Refusal

_IDS = ("input_ids", "logits")


def _requests(record: Record) -> Iterator[Record]:
    if "samples" in record:
        for sample in objects_in(record, "samples"):
            yield {**sample, "output_tokens": sample.get("output_len"), "task_id": None}
        return
    ids = first_of(record, _IDS)
    if not isinstance(ids, list):
        raise Refusal("input_ids", "a list of token ids", "a prompt whose tokens nobody counted")
    yield {**record, "input_len": len(ids)}


FORMAT = Format(
    name="trtllm-dataset",
    about="TensorRT-LLM dataset: task_id, input_ids, output_tokens, or samples; no arrivals",
    source="NVIDIA/TensorRT-LLM 04276b4 and 04b5d97",
    kind="json",
    signatures=(("task_id", "output_tokens"), ("metadata", "samples")),
    input_tokens="input_len",
    output_tokens="output_tokens",
    expand=_requests,
)
