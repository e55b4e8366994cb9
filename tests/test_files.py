"""Output that is written whole or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from llmsched.errors import InputError
from llmsched.files import shipped, write_together, write_whole


@pytest.mark.parametrize("content", ["höher\n", b"\x00\xff"])
def test_a_file_holds_exactly_what_was_written(tmp_path: Path, content: str | bytes) -> None:
    write_whole(tmp_path / "out", content)
    data = content.encode() if isinstance(content, str) else content
    assert (tmp_path / "out").read_bytes() == data
    assert os.listdir(tmp_path) == ["out"]


def test_an_old_file_is_replaced_and_a_reader_of_it_keeps_it(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_text("old")
    with path.open() as reader:
        write_whole(path, "new")
        assert reader.read() == "old"
    assert path.read_text() == "new"


def test_permissions_are_those_of_any_new_file(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_whole(tmp_path / "out", "text")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o640


def test_a_failure_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out"
    path.write_text("old")

    def full(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(InputError) as error:
        write_whole(path, "new")
    assert str(error.value) == f"{path}: cannot write: No space left on device"
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["out"]


def test_a_device_is_written_to_and_stays_a_device() -> None:
    write_whole("/dev/null", "text")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


@pytest.mark.parametrize(
    ("name", "reason"),
    [("missing/out", "No such file or directory"), ("", "Is a directory")],
)
def test_a_place_that_cannot_be_written_is_reported(tmp_path: Path, name: str, reason: str) -> None:
    with pytest.raises(InputError) as error:
        write_whole(tmp_path / name, "text")
    assert str(error.value) == f"{tmp_path / name}: cannot write: {reason}"


def test_shipped_files_are_found() -> None:
    assert shipped("traces", "gsm8k-llama65b.jsonl").is_file()
    assert shipped("scenarios", "paper-gsm8k.yaml").is_file()
    assert shipped("traces").is_dir()


def test_of_several_files_none_is_written_if_one_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="missing/b: cannot write: No such file"):
        write_together({tmp_path / "a": "text", tmp_path / "missing/b": "text"})
    assert os.listdir(tmp_path) == []
    write_together({tmp_path / "a": "one", tmp_path / "b": "two"})
    assert (tmp_path / "a").read_text() + (tmp_path / "b").read_text() == "onetwo"
