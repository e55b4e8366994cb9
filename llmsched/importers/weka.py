"""Sessions of coding agents as kv-cache-tester and Weka write them: a document a session.

Sessions have no arrivals, so that all begin at 0. A call comes `think_time` after the answer before
it; where that is not said, after what its time leaves beside the recorded answer. Calls of
sub-agents run beside the others, on a clock that nobody says, and are left out and counted.
"""

from collections.abc import Iterator

from llmsched.importers._format import Format, Moment, Record
from llmsched.importers._runs import objects_in, reason_at
from llmsched.importers._values import Refusal, as_json


def _calls(session: Record) -> Iterator[Record]:
    before: Record | None = None
    for call in objects_in(session, "requests"):
        nested = call.get("requests")
        if isinstance(nested, list):
            for _ in nested:
                yield {"problem": "it is of a sub-agent"}
            continue
        delay = None if before is None else _pause(before, call)
        yield {**call, "session": session.get("id"), "delay": delay, "problem": None}
        before = call


def _pause(before: Record, call: Record) -> object:
    """Return the seconds from an answer to the next call."""
    if isinstance(call.get("think_time"), int | float):
        return call["think_time"]
    times = [call.get("t"), before.get("t"), before.get("api_time", 0)]
    if not all(isinstance(time, int | float) for time in times):
        raise Refusal("t", "seconds since the session began", as_json(call.get("t")))
    now, then, took = (float(time) for time in times)  # type: ignore[arg-type]  # all are numbers
    return max(0.0, now - then - took)


FORMAT = Format(
    name="weka",
    about="Weka or kv-cache-tester sessions: id, block_size, requests of t (s), in, out",
    source="callanjfox/kv-cache-tester 94f6046; ai-dynamo/aiperf 90f31d1, weka_trace_models.py",
    kind="json",
    signatures=(("id", "models", "block_size", "requests"),),
    time=None,
    input_tokens="in",
    output_tokens="out",
    session="session",
    delay=Moment("delay", "s"),
    model="model",
    failure=reason_at("problem"),
    expand=_calls,
    note="hash_ids are left out: they name blocks within one session, whose turns share anyway",
)
