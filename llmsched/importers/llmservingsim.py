"""LLMServingSim's request traces, in nanoseconds: requests, and sessions of calls with tools.

`tool_duration_ns` of a call passes after its answer, before the next call.
"""

from collections.abc import Iterator

from llmsched.importers._format import Format, Moment, Record
from llmsched.importers._runs import objects_in


def _calls(record: Record) -> Iterator[Record]:
    if record.get("sub_requests") is None:
        yield record
        return
    delay: object = None
    for turn, call in enumerate(objects_in(record, "sub_requests")):
        start = {} if turn else {"arrival_time_ns": record.get("arrival_time_ns")}
        session = {"session_id": record["session_id"]} if record.get("session_id") else {}
        yield {**call, **start, **session, "turn": turn, "delay_ns": delay}
        delay = call.get("tool_duration_ns", 0)


FORMAT = Format(
    name="llmservingsim",
    about="LLMServingSim JSONL: input_toks, output_toks, arrival_time_ns; or sub_requests",
    source="casys-kaist/LLMServingSim 5daddb2",
    kind="json",
    signatures=(
        ("input_toks", "output_toks", "arrival_time_ns"),
        ("arrival_time_ns", "sub_requests"),
    ),
    time="arrival_time_ns",
    unit="ns",
    input_tokens="input_toks",
    output_tokens="output_toks",
    id="request_id",
    session="session_id",
    turn="turn",
    delay=Moment("delay_ns", "ns"),
    expand=_calls,
)
