"""One file a replica: the lines of a batch, nothing lost or doubled, and what is to run them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmsched.config import EngineConfig
from llmsched.errors import InputError
from llmsched.planning import batch, export
from tests.documents.batch.bodies import COMPLETION, EMBEDDING, RESPONSE
from tests.planning.batches import CHARS, request, write

ENGINE = EngineConfig(max_num_seqs=4)


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


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    source = write(tmp_path / "b.jsonl", request("a"))
    with pytest.raises(InputError, match=r"b\.jsonl: cannot write: Not a directory"):
        export.export(batch.read_batch(source, CHARS), [[0]], source, {}, ENGINE)


def test_a_line_of_several_sequences_is_written_once_and_counted_for_all(tmp_path: Path) -> None:
    source = write(tmp_path / "b.jsonl", request("a", n=4), request("b"), request("c", n=2))
    read = batch.read_batch(source, CHARS)
    export.export(read, [[5, 6], [0, 4, 1, 2, 3]], tmp_path / "out", {}, ENGINE)
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert (manifest["input"]["requests"], manifest["input"]["sequences"]) == (3, 7)
    first, second = manifest["replicas"]
    assert (first["requests"], first["sequences"], first["output_tokens"]) == (1, 2, 16)
    assert (second["requests"], second["sequences"], second["output_tokens"]) == (2, 5, 40)
    names = [
        [json.loads(line)["custom_id"] for line in (tmp_path / "out" / part["file"]).open()]
        for part in (first, second)
    ]
    assert names == [["c"], ["a", "b"]]


@pytest.mark.parametrize(
    ("urls", "left"),
    [
        ([], ""),
        (["/v1/chat/completions", EMBEDDING, "/score", "/v1/score", "/v2/rerank"], ""),
        ([COMPLETION, EMBEDDING], "/v1/completions (1 line)"),
        ([RESPONSE, COMPLETION, RESPONSE], "/v1/responses (2 lines), /v1/completions (1 line)"),
    ],
)
def test_what_run_batch_does_not_run_is_named_and_counted(urls: list[str], left: str) -> None:
    assert export.not_run(urls) == left


def test_a_file_that_run_batch_does_not_run_has_no_command(tmp_path: Path) -> None:
    completion = request("b")
    completion["url"], completion["body"]["prompt"] = COMPLETION, "x"
    read = batch.read_batch(write(tmp_path / "b.jsonl", request("a"), completion), CHARS)
    export.export(read, [[0], [1]], tmp_path / "out", {}, EngineConfig(16, 2048))
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    chat, other = manifest["replicas"]
    assert chat["command"].startswith("vllm run-batch -i replica-0.jsonl ")
    assert "instead" not in chat
    assert other["command"] is None
    assert other["instead"] == (
        "no command runs /v1/completions (1 line) from a file: send the body of each line, in this"
        " order, to its url on a server with a client"
        " (vllm serve m --max-num-seqs 16 --max-num-batched-tokens 2048)"
    )
    assert "collect" not in manifest


def test_places_are_written_as_priorities_and_all_other_values_stay(tmp_path: Path) -> None:
    odd = '{"custom_id": "b", "url": "/v1/chat/completions", "x": 1.50, "body": {"model": "m", '
    odd += '"seed": 123456789012345678901234567890, "top_p": 1.00, "messages": [{}], '
    odd += '"max_tokens": 3, "priority": 9}}'
    source = tmp_path / "b.jsonl"
    source.write_text(json.dumps(request("a")) + "\r\n" + odd)
    read = batch.read_batch(source, CHARS)
    engine = EngineConfig(16, 2048)
    export.export(read, [[1, 0], []], tmp_path / "out", {}, engine, priority=True)
    first, second = (tmp_path / "out" / "replica-0.jsonl").read_text().splitlines()
    assert first == (
        '{"custom_id":"b","url":"/v1/chat/completions","x":1.50,"body":{"model":"m","seed":'
        '123456789012345678901234567890,"top_p":1.00,"messages":[{}],"max_tokens":3,"priority":0}}'
    )
    wanted = request("a")
    wanted["body"]["priority"] = 1
    assert json.loads(second) == wanted
    again = batch.read_batch(tmp_path / "out" / "replica-0.jsonl", CHARS)
    assert again.trace.input_tokens.tolist() == read.trace.input_tokens[[1, 0]].tolist()
    entry = json.loads((tmp_path / "out" / "manifest.json").read_text())["replicas"][0]
    content = (tmp_path / "out" / "replica-0.jsonl").read_bytes()
    assert entry["sha256"] == hashlib.sha256(content).hexdigest()
    assert entry["command"].endswith(" --max-num-batched-tokens 2048 --scheduling-policy priority")


def test_a_line_of_several_sequences_has_one_priority(tmp_path: Path) -> None:
    source = write(tmp_path / "b.jsonl", request("a", n=3), request("b"))
    read = batch.read_batch(source, CHARS)
    export.export(read, [[3, 1, 0, 2]], tmp_path / "out", {}, ENGINE, priority=True)
    lines = [json.loads(line) for line in (tmp_path / "out" / "replica-0.jsonl").open()]
    assert [(one["custom_id"], one["body"]["priority"]) for one in lines] == [("b", 0), ("a", 1)]


VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.floats(allow_nan=False) | st.integers() | st.text(), st.lists
)


@given(value=VALUES)
def test_whatever_a_body_holds_is_kept_beside_its_priority(
    value: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("batch")
    one = request("\u00e9", extra=value)
    one["body"]['"\u2028'] = 1
    try:
        read = batch.read_batch(write(folder / "b.jsonl", one), CHARS)
    except InputError:  # as of half a surrogate pair
        return
    export.export(read, [[0]], folder / "out", {}, ENGINE, priority=True)
    one["body"]["priority"] = 0
    assert json.loads((folder / "out" / "replica-0.jsonl").read_text()) == one


def test_a_body_too_deep_for_a_priority_is_one_line(tmp_path: Path) -> None:
    line = json.dumps(request("a", extra="DEEP")).replace('"DEEP"', "[" * 1010 + "]" * 1010)
    (tmp_path / "b.jsonl").write_text(line)
    read = batch.read_batch(tmp_path / "b.jsonl", CHARS)
    with pytest.raises(InputError, match="line 1 of the plan: body: expected fewer lists in each"):
        export.export(read, [[0]], tmp_path / "out", {}, ENGINE, priority=True)
