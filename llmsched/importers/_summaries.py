"""Results without requests, told by name: what they are, and what to save in their place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Summary:
    """A kind of file that holds totals, or texts without counts.

    Attributes
    ----------
    keys : tuple of str
        Names that are all there; a dot descends into a nested object.
    instead : str
        What holds the requests.
    """

    about: str
    keys: tuple[str, ...]
    instead: str

    def is_seen(self, record: Mapping[str, object]) -> bool:
        """Whether a record is of this kind."""
        return all(_has(record, key) for key in self.keys)


def _has(record: object, path: str) -> bool:
    for key in path.split("."):
        if not isinstance(record, dict) or key not in record:
            return False
        record = record[key]
    return True


SUMMARIES = (
    Summary(
        "a result of vllm bench throughput",
        ("elapsed_time", "num_requests", "total_num_tokens"),
        "vllm bench serve --save-result --save-detailed saves each request",
    ),
    Summary(
        "a result of vllm bench latency",
        ("avg_latency", "latencies", "percentiles"),
        "vllm bench serve --save-result --save-detailed saves each request",
    ),
    Summary(
        "a result of vllm bench serve",
        ("model_id", "num_prompts", "request_rate", "total_input_tokens", "total_output_tokens"),
        "run it with --save-detailed, which saves each request",
    ),
    Summary(
        "an aggregate of AIPerf or genai-perf",
        ("request_throughput.avg", "input_config"),
        "AIPerf's profile_export.jsonl beside it has each request (--export-level records)",
    ),
    Summary(
        "genai-perf's profile export",
        ("experiments", "service_kind"),
        "it has texts, no token counts; AIPerf's profile_export.jsonl has the counts",
    ),
    Summary(
        "llmperf's summary",
        ("results_num_completed_requests",),
        "the file *_individual_responses.json beside it has each request",
    ),
    Summary(
        "an InferenceMAX result",
        ("hw", "conc", "tput_per_gpu"),
        "the benchmark's own result, saved with --save-detailed, has each request",
    ),
    Summary(
        "an inference-perf summary",
        ("load_summary", "successes", "failures"),
        "per_request_lifecycle_metrics.json has each request",
    ),
    Summary(
        "a result of SGLang's offline benchmark",
        ("successful_requests", "total_latency", "last_gen_throughput"),
        "bench_serving --output-details saves each request",
    ),
    Summary(
        "a report of trtllm-bench",
        ("engine", "request_info", "performance"),
        "its --request_json has each request",
    ),
    Summary(
        "a table of statistics of AIPerf or genai-perf",
        ("Metric", "avg"),
        "AIPerf's profile_export.jsonl has each request",
    ),
    Summary(
        "AIPerf's conversations",
        ("session_id", "turns"),
        "they are texts without token counts; profile_export.jsonl of a run has the counts",
    ),
)
"""Only names that were seen in the projects; docs/traces.md has where."""
