"""inference-perf's per-request report: times of one monotonic clock, stages of a sweep in one list.

Versions since 0.2 differ in where the answer's counts stand; before that there were none.
"""

from collections.abc import Iterator

from llmsched.importers._format import Format, Moment, Record
from llmsched.importers._runs import failed_if, object_at

_PLACES = ("info.response_metrics", "info.response_info", "info")


def _request(record: Record) -> Iterator[Record]:
    answer = next((a for p in _PLACES if "output_tokens" in (a := object_at(record, p))), {})
    times = answer.get("output_token_times") or answer.get("chunk_times")
    came = times if isinstance(times, list) and times else [None]
    yield {
        **record,
        "input_tokens": object_at(record, "info").get("input_tokens"),
        "output_tokens": answer.get("output_tokens"),
        "first_token": came[0],
        "last_token": came[-1],
    }


FORMAT = Format(
    name="inference-perf",
    about="inference-perf per_request_lifecycle_metrics.json: start_time (s), info",
    source="kubernetes-sigs/inference-perf 7de5ef2, and v0.1 to v0.5",
    kind="json",
    signatures=(("start_time", "end_time", "request", "info", "error"),),
    time="start_time",
    unit="s",
    input_tokens="input_tokens",
    output_tokens="output_tokens",
    first_token=Moment("first_token", "s", "zero"),
    last_token=Moment("last_token", "s", "zero"),
    failure=failed_if("error"),
    expand=_request,
)
