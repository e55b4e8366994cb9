"""OpenAI batch files in and out: same lines, nothing lost or doubled."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmsched.config import EngineConfig
from llmsched.documents.batch import CHAT, COMPLETION, EMBEDDING
from llmsched.errors import InputError
from llmsched.planning import batch, export

CHARS = batch.count_characters(4)
ENGINE = EngineConfig(max_num_seqs=4)


def request(name: str, text: str = "hello there", limit: object = 8, **body: object) -> Any:
    content: list[object] = [{"role": "user", "content": text}]
    return {
        "custom_id": name,
        "method": "POST",
        "url": CHAT,
        "body": {"model": "m", "messages": content, "max_tokens": limit, **body},
    }


def write(path: Path, *records: object) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def test_lengths_are_estimated_by_characters_and_by_the_limit(tmp_path: Path) -> None:
    read = batch.read_batch(
        write(tmp_path / "b.jsonl", request("a", "x" * 9), request("b", "x" * 8, 5)), CHARS
    )
    assert read.trace.input_tokens.tolist() == [3, 2]
    assert read.trace.output_tokens.tolist() == [8, 5]
    assert read.trace.id.tolist() == ["a", "b"]
    assert read.model == "m"


def test_all_kinds_of_prompts_are_read(tmp_path: Path) -> None:
    parts = [{"type": "text", "text": "x" * 8}, {"type": "image_url", "image_url": {"url": "u"}}]
    chat = request("a")
    chat["body"]["messages"] = [{"role": "user", "content": parts}, {"role": "assistant"}]
    completion = request("b")
    completion["url"], completion["body"]["prompt"] = COMPLETION, "x" * 12
    embedding = request("c", limit=None)
    embedding["url"], embedding["body"]["input"] = EMBEDDING, ["x" * 10, "x" * 10]
    read = batch.read_batch(write(tmp_path / "b.jsonl", chat, completion, embedding), CHARS)
    assert read.trace.input_tokens.tolist() == [2, 3, 6]
    assert read.trace.output_tokens.tolist() == [8, 8, 1]
    assert read.skipped_parts == 1


def test_outputs_are_predicted_by_a_path_in_the_request_or_by_a_table(tmp_path: Path) -> None:
    source = write(tmp_path / "b.jsonl", request("a", metadata={"expected": 77}))
    read = batch.read_batch(source, CHARS, "body.metadata.expected")
    assert read.trace.output_tokens.tolist() == [77]
    table = tmp_path / "p.csv"
    table.write_text("custom_id,output_tokens\nzz,1\na,31\n")
    assert batch.read_batch(source, CHARS, str(table)).trace.output_tokens.tolist() == [31]


@given(
    names=st.lists(st.text(min_size=1, max_size=5), min_size=1, max_size=12, unique=True),
    seed=st.randoms(use_true_random=False),
    ended=st.booleans(),
)
def test_every_line_leaves_as_it_came_exactly_once(
    names: list[str],
    seed: Any,
    ended: bool,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("batch")
    lines = [json.dumps(request(name), ensure_ascii=seed.random() < 0.5) for name in names]
    (folder / "b.jsonl").write_text("\n".join(lines) + "\n" * ended, encoding="utf-8", newline="")
    read = batch.read_batch(folder / "b.jsonl", CHARS)
    order = seed.sample(range(len(names)), len(names))
    cut = seed.randrange(len(names) + 1)
    export.export(read, [order[:cut], order[cut:]], folder / "out", {}, ENGINE)
    out = [(folder / "out" / f"replica-{k}.jsonl").read_bytes() for k in range(2)]
    written = [line for part in out for line in part.decode().split("\n") if line]
    assert written == [lines[i] for i in order]


def test_the_manifest_names_hashes_counts_and_commands(tmp_path: Path) -> None:
    source = write(tmp_path / "b.jsonl", *(request(name) for name in "abc"))
    read = batch.read_batch(source, CHARS)
    export.export(
        read, [[2, 0], [1]], tmp_path / "out", {"plan": {"unit": "ms"}}, EngineConfig(16, 2048)
    )
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["input"]["sha256"] == hashlib.sha256(source.read_bytes()).hexdigest()
    assert manifest["input"]["requests"] == 3
    assert manifest["plan"] == {"unit": "ms"}
    for entry, count in zip(manifest["replicas"], (2, 1), strict=True):
        content = (tmp_path / "out" / entry["file"]).read_bytes()
        assert entry["sha256"] == hashlib.sha256(content).hexdigest()
        assert (entry["requests"], entry["output_tokens"]) == (count, 8 * count)
    assert manifest["replicas"][0]["command"] == (
        "vllm run-batch -i replica-0.jsonl -o replica-0.results.jsonl --model m --max-num-seqs 16"
        " --max-num-batched-tokens 2048"
    )


def test_an_earlier_export_is_replaced_only_by_force(tmp_path: Path) -> None:
    read = batch.read_batch(write(tmp_path / "b.jsonl", request("a"), request("b")), CHARS)
    out = tmp_path / "out"
    export.export(read, [[0], [1]], out, {}, ENGINE)
    (out / "replica-0.results.jsonl").write_text("kept")
    before = sorted(path.name for path in out.iterdir())
    with pytest.raises(InputError, match=r"manifest\.json: is there already; --force replaces it"):
        export.export(read, [[0, 1]], out, {}, ENGINE)
    assert sorted(path.name for path in out.iterdir()) == before
    export.export(read, [[0, 1]], out, {}, ENGINE, force=True)
    names = sorted(path.name for path in out.iterdir())
    assert names == ["manifest.json", "replica-0.jsonl", "replica-0.results.jsonl"]
    assert len((out / "replica-0.jsonl").read_text().splitlines()) == 2


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
        (["text"], ":1: expected a mapping, got 'text'"),
        ([_without("body")], ":1: body: expected a mapping, got nothing"),
        ([_without("custom_id")], ":1: custom_id: expected a text, got nothing"),
        ([request("a"), request("a")], ":2: custom_id: expected another than on line 1, got 'a'"),
        ([_body(model=3)], ":1: body.model: expected a text, got 3"),
        ([request("b"), _body(model="n")], ":2: body.model: expected 'm' as before, got 'n'"),
        ([_without("url")], ":1: url: expected one of /v1/chat/completions"),
        ([_body(messages=[])], ":1: body.messages: expected a list of at least one, got \\[\\]"),
        (
            [_body(messages=[{"content": 3}])],
            ":1: body.messages\\[0\\].content: expected a text or a list",
        ),
        ([_body(messages=["hi", 3])], ":1: body.messages\\[0\\]: expected a mapping, got 'hi'"),
        ([request("a", limit=None)], ":1: body.max_tokens: expected an integer >= 1, got nothing"),
        ([{**request("a"), "url": []}], ":1: url: expected one of .*; got"),
        ([{**request("a"), "url": "/v1/completions"}], ":1: body.prompt: expected one for /v1/c"),
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


def test_files_that_cannot_be_read_or_written_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.jsonl: cannot read: No such file"):
        batch.read_batch(tmp_path / "none.jsonl", CHARS)
    source = write(tmp_path / "b.jsonl", request("a"))
    with pytest.raises(InputError, match=r"none\.csv: cannot read"):
        batch.read_batch(source, CHARS, str(tmp_path / "none.csv"))
    with pytest.raises(InputError, match=r"b\.jsonl: cannot write: Not a directory"):
        export.export(batch.read_batch(source, CHARS), [[0]], source, {}, ENGINE)
    (tmp_path / "bad.jsonl").write_text("{not json\n")
    with pytest.raises(InputError, match=r"bad\.jsonl:1: expected a JSON object"):
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
