"""OpenTelemetry spans of calls to a model, as the collector writes OTLP in JSON.

Attributes are those of the semantic conventions for generative AI, also by their older names. A
span around others repeats their tokens: of spans with usage only those are taken that are not
inside another one.
"""

from collections.abc import Iterator

from llmsched.importers._format import Format, Moment, Record
from llmsched.importers._runs import first_of, object_at, objects_in, reason_at

_INPUT = ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens")
_OUTPUT = ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens")
_CALLS = (None, "chat", "text_completion", "generate_content")
_FAILED = (2, "2", "STATUS_CODE_ERROR")


def _spans(record: Record) -> Iterator[Record]:
    for resource in objects_in(record, "resourceSpans"):
        for name in ("scopeSpans", "instrumentationLibrarySpans"):  # the newer name, the older one
            for scope in objects_in(resource, name):
                yield from objects_in(scope, "spans")


def _attributes(span: Record) -> Record:
    """Return a span's attributes as plain values; whole numbers may be texts."""
    found: Record = {}
    for attribute in objects_in(span, "attributes"):
        value = attribute.get("value")
        if isinstance(value, dict) and len(value) == 1:
            found[str(attribute.get("key"))] = next(iter(value.values()))
    return found


def _calls(record: Record) -> Iterator[Record]:
    calls = []
    for span in _spans(record):
        said = _attributes(span)
        names = any(name.startswith("gen_ai.") for name in said)
        if names and said.get("gen_ai.operation.name") in _CALLS:
            calls.append((span, said))
    known = {_key(span, "spanId") for span, _ in calls} - {None}
    for span, said in calls:
        yield {
            **span,
            "input": first_of(said, _INPUT),
            "output": first_of(said, _OUTPUT),
            "model": first_of(said, ("gen_ai.response.model", "gen_ai.request.model")),
            "first": said.get("gen_ai.response.time_to_first_chunk"),
            "id": ":".join(_key(span, "spanId") or ()),
            "problem": _problem(span, said, inside=_key(span, "parentSpanId") in known),
        }


def _key(span: Record, name: str) -> tuple[str, str] | None:
    """Return the trace and an id of a span there; None where it has none."""
    return (str(span.get("traceId")), str(span[name])) if span.get(name) else None


def _problem(span: Record, said: Record, *, inside: bool) -> str | None:
    if object_at(span, "status").get("code") in _FAILED or "error.type" in said:
        return "the span's status is an error"
    return "another span around it has its tokens" if inside else None


FORMAT = Format(
    name="otlp",
    about="OpenTelemetry OTLP JSON: spans with gen_ai.usage.input_tokens and output_tokens",
    source="open-telemetry/semantic-conventions 7b0c0fe, opentelemetry-proto ac2c4b5",
    kind="json",
    signatures=(("resourceSpans",),),
    time="startTimeUnixNano",
    unit="ns",
    input_tokens="input",
    output_tokens="output",
    id="id",
    model="model",
    first_token=Moment("first"),
    last_token=Moment("endTimeUnixNano", "ns", "zero"),
    failure=reason_at("problem"),
    joined="resourceSpans",
    expand=_calls,
)
