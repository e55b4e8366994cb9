"""Prefix blocks: their size is worked out from the rows, and says whose file it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmsched.errors import InputError
from llmsched.importers import TraceOptions, load, read


def rows(path: Path, *lengths: int, size: int, more: str = "", start: float = 0) -> Path:
    """Write native rows with as many ids as blocks of that size need."""
    path.write_text(
        "".join(
            f'{{"timestamp": {start + i}, "input_length": {n}, "output_length": 5, '
            f'"hash_ids": {list(range(-(-n // size)))}{more}}}\n'
            for i, n in enumerate(lengths)
        )
    )
    return path


def test_ids_of_mooncakes_blocks_are_carried_with_their_size(tmp_path: Path) -> None:
    imported = read(rows(tmp_path / "t.jsonl", 513, 1025, 90, size=512))
    assert imported.trace.hash_block_size == 512
    (fact,) = (fact for fact in imported.facts if fact.what == "blocks")
    assert (fact.value, fact.sure) == ("512 tokens each", "ceil(tokens / size) ids, in all 3 rows")


@pytest.mark.parametrize("size", [16, 64])
def test_other_blocks_leave_the_clock_open_until_somebody_says_it(
    size: int, tmp_path: Path
) -> None:
    path = rows(tmp_path / "t.jsonl", 700, 1025, 90, size=size)
    with pytest.raises(InputError) as caught:
        load(path)
    assert str(caught.value) == (
        f"{path}:1: expected --time-unit s or --time-unit ms: its hash_ids name blocks of {size} "
        "tokens, so it is no native trace of 512-token blocks, whose times are ms; vLLM's timed "
        "traces count seconds"
    )
    trace = load(path, TraceOptions(time_unit="s"))
    assert (trace.arrival.tolist(), trace.hash_block_size) == ([0, 1, 2], size)
    assert load(path, TraceOptions(offline=True)).hash_block_size == size
    assert load(path, TraceOptions(format="native")).arrival[-1] == 0.002


def test_rows_that_say_their_size_leave_nothing_open(tmp_path: Path) -> None:
    path = rows(tmp_path / "t.jsonl", 700, 90, size=64, more=', "hash_block_size": 64')
    trace = load(path)
    assert (trace.hash_block_size, trace.arrival[-1]) == (64, 0.001)


def test_rows_that_contradict_each_other_lose_their_ids_with_a_word(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    row = '{"timestamp": 0, "input_length": 9, "output_length": 5, "hash_ids": [1], %s}\n'
    path.write_text(row % '"hash_block_size": 16' + row % '"hash_block_size": 64')
    imported = read(path)
    assert imported.trace.hash_ids is None
    assert imported.notes == ("hash_ids are left out: rows name blocks of 16, 64 tokens",)


def test_ids_that_no_size_explains_are_left_out_with_a_word(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    row = '{"timestamp": 0, "input_length": %d, "output_length": 5, "hash_ids": %s}\n'
    path.write_text(row % (9, "[1, 2, 3]") + row % (900, "[1]"))
    imported = read(path)
    assert imported.trace.hash_ids is None
    assert imported.notes == (
        "hash_ids are left out: no size of a block explains them: request '0' has 3 ids for 9 "
        "tokens",
    )


def test_one_row_in_hundreds_loses_its_own_ids_alone(tmp_path: Path) -> None:
    path = rows(tmp_path / "t.jsonl", *range(600, 800), size=512)
    odd = '{"timestamp": 999, "input_length": 9, "output_length": 5, "hash_ids": [1, 2]}\n'
    path.write_text(path.read_text() + odd)
    trace = load(path)
    assert trace.hash_ids is not None
    assert (trace.hash_ids[0], trace.hash_ids[-1]) == ((0, 1), ())


def test_ids_of_other_blocks_are_never_written_as_mooncakes(tmp_path: Path) -> None:
    from llmsched import exporters

    trace = load(rows(tmp_path / "t.jsonl", 700, 90, size=16), TraceOptions(time_unit="ms"))
    assert exporters.lost(trace, "mooncake") == ("hash_ids",)
    assert "hash_ids" not in exporters.text(trace, "mooncake")
    exporters.write(trace, tmp_path / "again.jsonl")
    assert load(tmp_path / "again.jsonl").hash_block_size == 16
