"""No foreign file costs more memory than was said, however it is packed."""

from __future__ import annotations

import gzip
import io
import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from llmsched import reading
from llmsched.calibration.measured import read_steps
from llmsched.calibration.recorded import is_run, read_run
from llmsched.comparison.checkpoint import Checkpoint
from llmsched.errors import InputError
from llmsched.hardware import load_profile
from llmsched.importers import load
from llmsched.planning.batch import count_characters, read_batch
from llmsched.reading import MIB, Lines, opened, read_text, read_whole, text_lines
from llmsched.verify.tables import read_requests
from tests.comparison.studies import small_study

ROW = b'{"timestamp": 0, "input_length": 5, "output_length": 6}\n'
HEAD = b"arrived_at,num_prefill_tokens,num_decode_tokens\n"


def _zstd(data: bytes) -> bytes:
    zstandard = pytest.importorskip("zstandard", reason="needs the extra llmsched[zst]")
    packed: bytes = zstandard.compress(data)
    return packed


PACKERS: list[Callable[[bytes], bytes]] = [bytes, gzip.compress, _zstd]


def _fails(path: Path, message: str, read: Callable[[Path], object]) -> None:
    with pytest.raises(InputError) as error:
        read(path)
    assert str(error.value) == f"{path}{message}"


@pytest.mark.parametrize("pack", PACKERS)
@pytest.mark.parametrize(
    ("begin", "line"), [(b"", 1), (ROW, 2), (HEAD, 2), (ROW + b"\n\n" + ROW + b'{"a": "', 5)]
)
def test_a_line_without_an_end_is_refused_and_named(
    tmp_path: Path, pack: Callable[[bytes], bytes], begin: bytes, line: int
) -> None:
    path = tmp_path / "trace"
    path.write_bytes(pack(begin + b"a" * (17 * MIB)))
    _fails(path, f":{line}: expected a line of at most 16 MiB", load)


@pytest.mark.parametrize("begin", [b"", b" ", b"{", b'{"a": "', b"[", b"{\n", b"[\n"])
@pytest.mark.parametrize("pack", PACKERS[1:])
def test_what_is_refused_costs_its_limit_and_no_more(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    begin: bytes,
    pack: Callable[[bytes], bytes],
) -> None:
    monkeypatch.setattr(reading, "MAX_DOCUMENT", 24 * MIB)
    path = tmp_path / "bomb"
    path.write_bytes(pack(begin + b" " * (200 * MIB)))
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=r"at most (16|24) MiB"):
            load(path)
        assert tracemalloc.get_traced_memory()[1] < 80 * MIB
    finally:
        tracemalloc.stop()


def test_the_first_line_may_be_a_document_of_any_sane_size(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    run = {"input_lens": [1, 2], "output_lens": [3, 4], "itls": "x" * (17 * MIB)}
    path.write_text(json.dumps(run))
    assert load(path).output_tokens.tolist() == [3, 4]
    path.write_text(json.dumps(run, indent=1))
    assert load(path).output_tokens.tolist() == [3, 4]
    path.write_text("\n \ufeff"[:1] + json.dumps([json.loads(ROW)] * 2 + ["x" * (17 * MIB)]))
    _fails(path, ':2: item 3: row: expected a JSON object, got "' + "x" * 36 + "...", load)


def test_stdin_is_capped_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "sys.stdin", io.TextIOWrapper(io.BytesIO(gzip.compress(ROW + b"1" * (17 * MIB))))
    )
    with pytest.raises(InputError, match=r"<stdin>:2: expected a line of at most 16 MiB"):
        load("-")


READERS: list[tuple[Callable[[Path], object], bytes, str]] = [
    (lambda path: read_batch(path, count_characters(4)), b"", ":1: expected a line"),
    (lambda path: read_batch(path, count_characters(4), str(path)), b"", ":1: expected a line"),
    (read_steps, b"num_prefill_tokens,num_decode_seqs,kv_tokens,step_ms\n", ":2: expected a line"),
    (is_run, b"x", ":1: expected a line"),
    (read_requests, b"id\n", ":2: expected a line"),
    (lambda path: Checkpoint(path, small_study()), b"", ":1: expected a line"),
]


@pytest.mark.parametrize(("read", "begin", "message"), READERS)
def test_every_reader_of_lines_has_the_same_cap(
    tmp_path: Path, read: Callable[[Path], object], begin: bytes, message: str
) -> None:
    path = tmp_path / "long.csv"
    path.write_bytes(begin + b"a" * (17 * MIB))
    _fails(path, f"{message} of at most 16 MiB", read)


def test_a_batch_of_one_line_is_a_document_and_no_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An array may be longer than a line; what comes after the first line may not."""
    monkeypatch.setattr(reading, "MAX_LINE", MIB)
    body = {"model": "m", "messages": [{"content": "x" * 2 * MIB}], "max_tokens": 5}
    line = json.dumps({"custom_id": "a", "url": "/v1/chat/completions", "body": body})
    path = tmp_path / "batch.jsonl"
    path.write_text(f"\n[{line}]")
    assert read_batch(path, count_characters(4)).trace.input_tokens.tolist() == [MIB // 2]
    path.write_text(f"{line}\n{line}")
    _fails(path, ":2: expected a line of at most 1 MiB", lambda it: read_batch(it, len))


def test_documents_have_a_cap_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "profile.yaml"
    path.write_bytes(b"# \n" * MIB)
    _fails(path, ":1: expected a document of at most 1 MiB", load_profile)
    monkeypatch.setattr(reading, "MAX_DOCUMENT", 2 * MIB)
    path.write_bytes(gzip.compress(b"{ " * (2 * MIB)))
    _fails(path, ":1: expected a document of at most 2 MiB", read_run)


def test_a_checkpoint_is_not_unpacked_because_rows_are_added_to_it(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(gzip.compress(b"{}\n"))
    with pytest.raises(InputError, match=r"expected (the rows|a row) of a study"):
        Checkpoint(path, small_study())


def test_lines_come_as_they_stand(tmp_path: Path) -> None:
    text = b"\xef\xbb\xbfone\r\n\n" + b"x" * (3 * reading._PIECE) + b"\nlast \xc3\xa4"
    path = tmp_path / "text"
    path.write_bytes(gzip.compress(text))
    with opened(path) as lines:
        assert b"".join(lines.raw()) == text
    assert read_whole(path) == text
    assert read_text(path) == text.decode("utf-8-sig")
    assert "".join(text_lines(path)) == text.decode("utf-8-sig")
    assert [number for number, _ in Lines("t", io.BufferedReader(io.BytesIO(text)))] == [1, 3, 4]


def test_text_that_is_not_utf8_is_refused_by_line(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes(b"fine\n\xff\n")
    _fails(path, ":2: expected UTF-8 text, got invalid start byte", lambda p: list(text_lines(p)))
    _fails(path, ": expected UTF-8 text, got invalid start byte", read_text)


@pytest.mark.parametrize("columns", [4097, 1_000_000])
def test_a_header_with_absurdly_many_columns_is_refused(tmp_path: Path, columns: int) -> None:
    path = tmp_path / "wide.csv"
    path.write_text(",".join(f"c{i}" for i in range(columns)))
    message = f":1: header: expected at most 4,096 columns, got {columns:,}"
    _fails(path, message, load)


def test_a_wide_header_is_read_in_linear_time_and_named_shortly(tmp_path: Path) -> None:
    path = tmp_path / "wide.csv"
    names = HEAD.decode().strip() + "".join(f",c{i}" for i in range(4000))
    path.write_text(names + "\n0,5,6" + ",1" * 4000 + "\n0,5,6" + ",1" * 5_000_000)
    _fails(path, ":3: row: expected 4003 cells, got 5000003", load)
    path.write_text(names.replace("num", "nom"))
    with pytest.raises(InputError) as error:
        load(path)
    assert len(str(error.value)) < 600
    path.write_text(names + ",c7")
    _fails(path, ":1: header: column 'c7' stands there twice", load)
