"""OpenAI batch files as a planner reads them: the sequences of each line, and their lengths."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmsched.errors import InputError
from llmsched.planning import batch
from tests.documents.batch.bodies import COMPLETION, EMBEDDING, RESPONSE
from tests.planning.batches import CHARS, request, write


def test_lengths_are_estimated_by_characters_and_by_the_limit(tmp_path: Path) -> None:
    read = batch.read_batch(
        write(tmp_path / "b.jsonl", request("a", "x" * 9), request("b", "x" * 8, 5)), CHARS
    )
    assert read.trace.input_tokens.tolist() == [3, 2]
    assert read.trace.output_tokens.tolist() == [8, 5]
    assert read.trace.id.tolist() == ["a", "b"]
    assert read.model == "m"


def asking(url: str, name: str = "a", **body: object) -> dict[str, object]:
    return {"custom_id": name, "url": url, "body": {"model": "m", **body}}


X8, X12 = "x" * 8, "x" * 12
IMAGE = {"type": "image_url", "image_url": {"url": "u"}}


@pytest.mark.parametrize(
    ("record", "prompts", "outputs"),
    [
        # four answers to one prompt, and to each of two
        (request("a", X8, 9, n=4), [2] * 4, [9] * 4),
        (request("a", X8, 9, n=None), [2], [9]),
        (asking(COMPLETION, prompt=X8, max_tokens=5), [2], [5]),
        (asking(COMPLETION, prompt=X8), [2], [16]),
        (asking(COMPLETION, prompt=[X8, X12], max_tokens=5), [2, 3], [5, 5]),
        (asking(COMPLETION, prompt=[X8, X12], max_tokens=5, n=2), [2, 2, 3, 3], [5] * 4),
        # token ids are counted as they are
        (asking(COMPLETION, prompt=[9] * 7, max_tokens=5), [7], [5]),
        (asking(COMPLETION, prompt=[[9] * 7, [8]], max_tokens=5, n=2), [7, 7, 1, 1], [5] * 4),
        (asking(COMPLETION, prompt=[9] * 7, max_tokens=5, truncate_prompt_tokens=4), [4], [5]),
        (asking(COMPLETION, prompt=[9] * 7, max_tokens=5, truncate_prompt_tokens=-1), [7], [5]),
        # 2 tools of JSON, a line end and 8 letters: 25 characters
        (request("a", X8, 9, tools=[{"a": 1}, {}]), [6], [9]),
        (asking(RESPONSE, input=X8, max_output_tokens=5), [2], [5]),
        (asking(RESPONSE, input=X8, instructions="x" * 3, max_output_tokens=5), [3], [5]),
        (
            asking(RESPONSE, input=[{"role": "user", "content": X8}], max_output_tokens=5),
            [2],
            [5],
        ),
        # what makes no text has one output an input, or a pair
        (asking(EMBEDDING, input=X8), [2], [1]),
        (asking(EMBEDDING, input=[X8, X12]), [2, 3], [1, 1]),
        (asking(EMBEDDING, input=[9] * 7), [7], [1]),
        (asking(EMBEDDING, input=[[9] * 7, [8]]), [7, 1], [1, 1]),
        (asking("/v1/score", text_1="x" * 3, text_2=[X8, X12]), [3, 4], [1, 1]),
        (asking("/v2/rerank", query="x" * 3, documents=[X8, X12]), [3, 4], [1, 1]),
    ],
)
def test_a_line_costs_what_it_runs(
    record: object, prompts: list[int], outputs: list[int], tmp_path: Path
) -> None:
    read = batch.read_batch(write(tmp_path / "b.jsonl", record), CHARS)
    assert read.trace.input_tokens.tolist() == prompts
    assert read.trace.output_tokens.tolist() == outputs
    assert read.line_of.tolist() == [0] * len(prompts)
    assert len(read.lines) == len(read.urls) == 1


def test_parts_that_are_not_text_and_what_costs_nothing_are_counted(tmp_path: Path) -> None:
    image = request("a")
    image["body"]["messages"][0]["content"] = [{"type": "text", "text": X8}, IMAGE, IMAGE]
    schema = {"type": "json_schema", "json_schema": {"name": "s"}}
    more = [request(name, response_format=schema, best_of=2) for name in "bc"]
    read = batch.read_batch(write(tmp_path / "b.jsonl", image, *more), CHARS)
    assert read.skipped_parts == 2
    assert read.trace.input_tokens.tolist() == [2, 3, 3]
    assert read.uncounted == {"response_format": 2, "best_of": 2}


def test_every_sequence_has_a_name_of_its_own(tmp_path: Path) -> None:
    lines = [request("a", n=3), request("a#2"), request("b"), request("a#2#2", n=2)]
    read = batch.read_batch(write(tmp_path / "b.jsonl", *lines), CHARS)
    assert read.trace.id.tolist() == ["a", "a#2#", "a#3", "a#2", "b", "a#2#2", "a#2#2#2"]
    assert read.line_of.tolist() == [0, 0, 0, 1, 2, 3, 3]


@given(
    names=st.lists(st.sampled_from(["a", "a#2", "a#2#", "a#3", "b"]), min_size=1, unique=True),
    answers=st.lists(st.integers(1, 4), min_size=5, max_size=5),
)
def test_names_of_sequences_are_unique_whatever_the_lines_are_called(
    names: list[str], answers: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("batch") / "b.jsonl"
    lines = [request(name, n=n) for name, n in zip(names, answers, strict=False)]
    read = batch.read_batch(write(path, *lines), CHARS)
    ids = read.trace.id.tolist()
    assert len(set(ids)) == len(ids) == sum(answers[: len(names)])
    firsts = [ids[read.line_of.tolist().index(i)] for i in range(len(names))]
    assert firsts == names


BOM = b"\xef\xbb\xbf"
ONE, TWO = json.dumps(request("a")).encode(), json.dumps(request("b", n=2)).encode()


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (ONE + b"\n" + TWO, [ONE + b"\n", TWO]),
        (BOM + ONE + b"\n" + TWO + b"\n", [ONE + b"\n", TWO + b"\n"]),
        (b"\n \r\n" + ONE + b"\r\n\n" + TWO + b"\r\n\n", [ONE + b"\r\n", TWO + b"\r\n"]),
        # of an array each item becomes a line
        (b"[" + ONE + b", " + TWO + b"]", [ONE + b"\n", TWO + b"\n"]),
        (BOM + b"\n[\n" + ONE + b",\n" + TWO + b"\n]\n", [ONE + b"\n", TWO + b"\n"]),
        (json.dumps([request("a")], indent=2).encode(), [ONE + b"\n"]),
        # and an object over several lines one
        (json.dumps(request("a"), indent=2).encode(), [ONE + b"\n"]),
    ],
)
def test_lines_stay_as_they_are_and_an_array_becomes_lines(
    text: bytes, lines: list[bytes], pack: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    path = tmp_path / "b.jsonl"
    path.write_bytes(pack(text))
    read = batch.read_batch(path, CHARS)
    assert read.lines == lines
    assert read.sha256 == hashlib.sha256(text).hexdigest()
    assert read.line_of.tolist() == [0, 1, 1][: 2 * len(lines) - 1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"[" + ONE + b", 3]", ":1: item 2: row: expected a JSON object, got 3"),
        (
            b"[" + ONE + b",\n" + ONE + b"]",
            ":1: item 2: custom_id: expected another than on line 1",
        ),
        (b"[" + ONE + b",\n3", ":2: expected JSON, got malformed JSON"),
        (b"[]", ": expected a request a line, got an empty file"),
        (ONE + b"\n[" + TWO + b"]", ":2: row: expected a JSON object, got "),
    ],
)
def test_an_array_that_is_none_of_requests_is_refused_by_item(
    text: bytes, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "b.jsonl"
    path.write_bytes(text)
    with pytest.raises(InputError) as error:
        batch.read_batch(path, CHARS)
    assert str(error.value).startswith(f"{path}{message}")


def test_outputs_are_predicted_by_a_path_in_the_request_or_by_a_table(tmp_path: Path) -> None:
    source = write(tmp_path / "b.jsonl", request("a", metadata={"expected": 77}))
    read = batch.read_batch(source, CHARS, "body.metadata.expected")
    assert read.trace.output_tokens.tolist() == [77]
    table = tmp_path / "p.csv"
    table.write_text("custom_id,output_tokens\nzz,1\na,31\n")
    assert batch.read_batch(source, CHARS, str(table)).trace.output_tokens.tolist() == [31]


def test_a_prediction_is_of_every_answer_of_its_line(tmp_path: Path) -> None:
    source = write(tmp_path / "b.jsonl", request("a", n=3, expected=77))
    read = batch.read_batch(source, CHARS, "body.expected")
    assert read.trace.output_tokens.tolist() == [77] * 3


def _without(field: str) -> Any:
    record = request("a")
    del record[field]
    return record


def _body(**changes: object) -> Any:
    record = request("a")
    record["body"].update(changes)
    return record


def _text(part: dict[str, object]) -> Any:
    return _body(messages=[{"role": "user", "content": [{"type": "text", **part}]}])


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([], "expected a request a line, got an empty file"),
        (["text"], ":1: row: expected a JSON object, got .text"),
        ([_without("body")], ":1: body: expected a mapping, got nothing"),
        ([_without("custom_id")], ":1: custom_id: expected a text, got nothing"),
        ([request("a"), request("a")], ":2: custom_id: expected another than on line 1, got 'a'"),
        ([_body(model=3)], ":1: body.model: expected a text, got 3"),
        (
            [request("b"), _body(model="n")],
            ":2: body.model: expected 'm' as before .one model a file",
        ),
        ([_without("url")], ":1: url: expected one of /rerank, /score, /v1/chat/completions, "),
        ([_body(messages=[])], ":1: body.messages: expected a list of at least one, got \\[\\]"),
        (
            [_body(messages=[{"content": 3}])],
            ":1: body.messages\\[0\\].content: expected a text or a list",
        ),
        ([_body(messages=["hi", 3])], ":1: body.messages\\[0\\]: expected a mapping, got 'hi'"),
        (
            [request("a", limit=None)],
            ":1: body.max_tokens: expected an integer >= 1, or leng",
        ),
        ([{**request("a"), "url": []}], ":1: url: expected one of .*; got"),
        (
            [{**request("a"), "url": COMPLETION}],
            ":1: body.prompt: expected a text or a list, got n",
        ),
        ([asking(RESPONSE, input="x")], ":1: body.max_output_tokens: expected an integer >= 1"),
        (
            [asking(COMPLETION, prompt=["x"] * 65, n=16_384)],
            ":1: body: expected at most 1,048,576 sequences, got 1,064,960",
        ),
        ([request("a", n=0)], ":1: body.n: expected an integer in 1..16384, got 0"),
        ([{**request("a"), "url": "/v1/audio/speech"}], "; got ./v1/audio/speech."),
        ([{**request("a"), "custom_id": ""}], ":1: custom_id: expected a text that is not empty"),
        ([_text({})], r":1: body.messages\[0\].content\[0\].text: expected a text, got nothing"),
        ([_text({"text": 3})], r":1: body.messages\[0\].content\[0\].text: expected a text, got 3"),
        ([request("a", limit=2**60)], ":1: body.max_tokens: expected an integer .*, got 115"),
        ([request("a", limit=0)], ":1: body.max_tokens: .*, got 0"),
        ([request("a", limit=True)], ":1: body.max_tokens: .*, got True"),
    ],
)
def test_a_line_that_is_no_request_is_refused(
    records: list[Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        batch.read_batch(write(tmp_path / "b.jsonl", *records), CHARS)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("custom_id,tokens\na,1\n", "p.csv:1: expected a column output_tokens"),
        ("custom_id,output_tokens\na,x\n", "p.csv:2: output_tokens: .* got 'x'"),
        ("custom_id,output_tokens\na,0\n", "p.csv:2: output_tokens: .* got '0'"),
        ("custom_id,output_tokens\na\n", "p.csv:2: output_tokens: .* got None"),
        (
            "custom_id,output_tokens\na,1\na,2\n",
            "p.csv:3: custom_id: expected each once",
        ),
        ("custom_id,output_tokens\nb,4\n", "b.jsonl:1: custom_id: .* predicts nothing for it"),
    ],
)
def test_a_table_of_predictions_is_checked(table: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text(table)
    source = write(tmp_path / "b.jsonl", request("a"))
    with pytest.raises(InputError, match=message):
        batch.read_batch(source, CHARS, str(tmp_path / "p.csv"))


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.jsonl: cannot read: No such file"):
        batch.read_batch(tmp_path / "none.jsonl", CHARS)
    source = write(tmp_path / "b.jsonl", request("a"))
    with pytest.raises(InputError, match=r"none\.csv: cannot read"):
        batch.read_batch(source, CHARS, str(tmp_path / "none.csv"))
    (tmp_path / "bad.jsonl").write_text("{not json\n")
    with pytest.raises(InputError, match=r"bad\.jsonl:1: row: expected a JSON object"):
        batch.read_batch(tmp_path / "bad.jsonl", CHARS)


@pytest.mark.parametrize("ratio", [0.0, -1.0, float("nan"), float("inf")])
def test_a_ratio_of_characters_that_is_no_positive_number_is_refused(ratio: float) -> None:
    with pytest.raises(InputError, match=r"chars_per_token: expected a number in \[0\.1"):
        batch.count_characters(ratio)


def test_a_tokenizer_file_counts_tokens_where_the_library_is_installed(tmp_path: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers", reason="needs the tokenizers extra")
    words = tokenizers.models.WordLevel({"hello": 0, "there": 1, "?": 2}, unk_token="?")
    tokenizer = tokenizers.Tokenizer(words)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    count = batch.count_with(tmp_path / "tokenizer.json")
    assert [count(text) for text in ("hello there you", "hello", "")] == [3, 1, 1]
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(InputError, match="expected a tokenizer"):
        batch.count_with(tmp_path / "tokenizer.json")


def test_the_limit_that_a_request_declares_is_kept_and_a_null_is_none(tmp_path: Path) -> None:
    newer, null, none = request("a"), request("b", limit=20), request("c", limit=None)
    newer["body"]["max_completion_tokens"] = 30
    null["body"]["max_completion_tokens"] = None
    source = write(tmp_path / "b.jsonl", newer, null)
    read = batch.read_batch(source, CHARS).trace
    assert read.max_output_tokens is not None
    assert read.output_tokens.tolist() == read.max_output_tokens.tolist() == [30, 20]
    for each in (newer, null, none):
        each["body"]["expected"] = 25
    source = write(tmp_path / "b.jsonl", newer, null, none)
    read = batch.read_batch(source, CHARS, "body.expected").trace
    assert read.max_output_tokens is not None
    assert read.output_tokens.tolist() == [25, 25, 25]
    assert read.max_output_tokens.tolist() == [30, 20, 0]  # the engine ends the second at 20
