"""Compression: told by the first bytes, noticed when cut short."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import pytest

from llmsched.errors import InputError
from llmsched.importers import load

TEXT = b'{"timestamp": 0, "input_length": 5, "output_length": 6}\n' * 3000


def test_gzip_is_told_by_its_first_bytes_and_not_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    path.write_bytes(gzip.compress(TEXT))
    assert len(load(path)) == 3000


def test_gzip_comes_through_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(gzip.compress(TEXT))))
    assert len(load("-")) == 3000


@pytest.mark.parametrize("left", [0.3, 0.9])
def test_gzip_cut_short_is_an_error_and_not_a_shorter_trace(tmp_path: Path, left: float) -> None:
    path = tmp_path / "trace.gz"
    data = gzip.compress(TEXT)
    path.write_bytes(data[: int(len(data) * left)])
    with pytest.raises(InputError, match=r"trace.gz:\d+: expected whole compressed data"):
        load(path)


def test_gzip_with_a_flipped_byte_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "trace.gz"
    data = bytearray(gzip.compress(TEXT))
    data[-6] ^= 1  # in the checksum
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"trace.gz:\d+: expected whole compressed data"):
        load(path)


def test_zstandard_frames_are_read_one_after_the_other(tmp_path: Path) -> None:
    zstandard = pytest.importorskip("zstandard", reason="needs the extra zst")
    path = tmp_path / "trace.jsonl"
    path.write_bytes(zstandard.compress(TEXT) + zstandard.compress(TEXT))
    assert len(load(path)) == 6000


@pytest.mark.parametrize("left", [0.3, 0.9, 0.99])
def test_zstandard_cut_short_is_an_error(tmp_path: Path, left: float) -> None:
    zstandard = pytest.importorskip("zstandard", reason="needs the extra zst")
    path = tmp_path / "trace.zst"
    data = zstandard.compress(b"".join(b"%d\n" % i for i in range(3000)))
    path.write_bytes(data[: int(len(data) * left)])
    with pytest.raises(InputError, match=r"trace.zst:\d+: "):
        load(path)


def test_zstandard_without_the_extra_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "zstandard", None)
    path = tmp_path / "trace.zst"
    path.write_bytes(b"\x28\xb5\x2f\xfd")
    with pytest.raises(InputError, match="needs Zstandard: pip install zstandard"):
        load(path)


def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    path.write_bytes(TEXT)
    path.chmod(0)
    try:
        path.open("rb").close()
    except PermissionError:
        with pytest.raises(InputError, match="cannot read: Permission denied"):
            load(path)
    else:
        pytest.skip("this user may read every file")


def test_progress_is_told_to_whoever_asks_and_printed_to_nobody(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "trace.jsonl"
    path.write_bytes(TEXT * 22)  # 66,000 rows
    size = path.stat().st_size
    told: list[tuple[int, int, int]] = []
    load(path, on_progress=lambda *how_far: told.append(how_far))
    assert told[0][0] == 1
    assert told[-1] == (66_000, size, size)
    assert told == sorted(told)  # a block at a time
    assert len(told) > 3
    assert capsys.readouterr() == ("", "")
