"""GuideLLM's report, as JSON or YAML: a benchmark for each rate or concurrency of a sweep.

Versions 0.1 to 0.3 keep the times of a request beside its counts, later ones in `info.timings`.
Requests of its warm-up are among the others, and nothing marks them.
"""

from collections.abc import Iterator

from llmsched.importers._format import Format, Moment, Record, Run
from llmsched.importers._runs import object_at, objects_in, reason_at

_NOT_DONE = {"errored": "the request failed", "incomplete": "the run ended before the request"}


def _runs(report: Record) -> Iterator[Run]:
    for benchmark in objects_in(report, "benchmarks"):
        strategy = object_at(benchmark, "config.strategy") or object_at(benchmark, "args.strategy")
        most = strategy.get("streams") or strategy.get("max_concurrency")
        if strategy.get("type_") == "synchronous":
            most = 1
        rate = strategy.get("rate")
        yield Run(
            benchmark,
            float(rate) if isinstance(rate, int | float) else None,
            most if isinstance(most, int) else None,
            _sampled(benchmark),
        )


def _sampled(benchmark: Record) -> str:
    """Say that the report keeps only some of the requests, as versions 0.4 and 0.5 do."""
    total = object_at(benchmark, "metrics.request_totals").get("successful")
    kept = object_at(benchmark, "requests").get("successful")
    if isinstance(total, int) and isinstance(kept, list) and total > len(kept):
        return f"the report keeps {len(kept):,} of {total:,} requests"
    return ""


def _requests(benchmark: Record) -> Iterator[Record]:
    lists = object_at(benchmark, "requests")
    for status in ("successful", "errored", "incomplete"):
        for request in objects_in(lists, status):
            yield {**_times(request), **request, "problem": _NOT_DONE.get(status)}


def _times(request: Record) -> Record:
    timings = object_at(request, "info.timings")
    return {
        "start_time": timings.get("request_start") or timings.get("resolve_start"),
        "first_token_time": timings.get("first_token_iteration"),
        "last_token_time": timings.get("last_token_iteration"),
    }


FORMAT = Format(
    name="guidellm",
    about="GuideLLM report JSON or YAML: benchmarks[].requests.successful[]; --run K picks one",
    source="vllm-project/guidellm ee7a774, and v0.3.0 to v0.7.3",
    kind="json",
    signatures=(("benchmarks",),),
    time="start_time",
    unit="s",
    input_tokens="prompt_tokens",
    output_tokens="output_tokens",
    id="request_id",
    first_token=Moment("first_token_time", "s", "zero"),
    last_token=Moment("last_token_time", "s", "zero"),
    failure=reason_at("problem"),
    runs=_runs,
    expand=_requests,
)
