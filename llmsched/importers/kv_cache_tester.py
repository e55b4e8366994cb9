"""kv-cache-tester's detailed results: a row a request that it sent."""

from llmsched.importers._format import Format, Moment, Record
from llmsched.importers._values import truth


def _failed(record: Record) -> str | None:
    done = truth(record.get("success"))
    return "success says that the request failed" if done is False else None


FORMAT = Format(
    name="kv-cache-tester",
    about="kv-cache-tester CSV: request_start_time (s), input_tokens, output_tokens_actual",
    source="callanjfox/kv-cache-tester 94f6046",
    kind="csv",
    signatures=(("request_start_time", "input_tokens", "output_tokens_actual", "ttft", "ttlt"),),
    time="request_start_time",
    unit="s",
    input_tokens="input_tokens",
    output_tokens="output_tokens_actual",
    first_token=Moment("ttft"),
    last_token=Moment("ttlt"),
    failure=_failed,
)
