"""Prefix blocks: their size is worked out from the rows, and says whose file it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmsched import exporters
from llmsched.errors import InputError
from llmsched.importers import TraceOptions, load, read
from llmsched.prefixes import reuse
from llmsched.trace import Trace


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
    trace = load(rows(tmp_path / "t.jsonl", 700, 90, size=16), TraceOptions(time_unit="ms"))
    assert exporters.lost(trace, "mooncake") == ("hash_ids",)
    assert "hash_ids" not in exporters.text(trace, "mooncake")
    exporters.write(trace, tmp_path / "again.jsonl")
    assert load(tmp_path / "again.jsonl").hash_block_size == 16


ROW = '{"timestamp": 0, "input_length": %d, "output_length": %d, "hash_ids": %s%s}\n'
SAID = ', "hash_block_size": 16'


def test_rows_that_say_their_size_may_name_answers_or_nothing(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    rows = [(20, 30, [1, 2, 3, 4]), (20, 30, [1, 2, 5]), (20, 30, [1, 2]), (20, 30, [])]
    path.write_text("".join(ROW % (*row, SAID) for row in rows))
    imported = read(path)
    assert imported.trace.hash_ids == tuple(tuple(ids) for *_, ids in rows)
    (fact,) = (fact for fact in imported.facts if fact.what == "blocks")
    assert (fact.value, fact.sure) == ("16 tokens each", "said by the rows, in all 4 rows")


@pytest.mark.parametrize("ids", [[1], [1, 2, 3, 4, 5]])
def test_fewer_ids_than_the_prompt_has_blocks_or_more_than_all_are_left_out_with_a_word(
    ids: list[int], tmp_path: Path
) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(ROW % (20, 30, ids, SAID))
    imported = read(path)
    assert imported.trace.hash_ids is None
    (note,) = imported.notes
    assert f"request '0' has {len(ids)} ids for 20 tokens" in note


def test_a_format_that_says_its_size_may_name_answers_where_no_size_fits_prompts_alone(
    tmp_path: Path,
) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(ROW % (600, 500, [1, 2, 3], "") + ROW % (600, 9, [1, 2], ""))
    imported = read(path)
    assert imported.trace.hash_ids == ((1, 2, 3), (1, 2))
    (fact,) = (fact for fact in imported.facts if fact.what == "blocks")
    rule = "the rule of the format native, of answers as well, in all 2 rows"
    assert (fact.value, fact.sure) == ("512 tokens each", rule)
    table = TraceOptions(columns="input=input_length,output=output_length,hash_ids=hash_ids")
    assert read(path, table).trace.hash_ids is None  # whose blocks nobody says


@pytest.mark.parametrize("size", [16, 512])
def test_ids_of_answers_are_written_with_their_size_and_read_again(
    size: int, tmp_path: Path
) -> None:
    ids = ((1, 2, 3), (1, 2), ())
    trace = Trace.from_columns(
        [0, 0, 0], [size + 1] * 3, [size + 9] * 3, hash_ids=ids, hash_block_size=size
    )
    exporters.write(trace, tmp_path / "t.jsonl")
    again = load(tmp_path / "t.jsonl")
    assert (again.hash_ids, again.hash_block_size) == (ids, size)
    assert again.sha256 == trace.sha256
    assert exporters.lost(trace, "mooncake") == ("hash_ids",)


@pytest.mark.parametrize(("name", "size"), [("bailian", 16), ("mooncake", 512)])
def test_prompts_of_traces_with_ids_share_what_these_say(name: str, size: int) -> None:
    trace = load(Path(__file__).parents[1] / "fixtures" / f"{name}.jsonl")
    assert trace.hash_block_size == size
    told = reuse(trace, 16)
    assert told is not None
    assert told.later[0] == 0 < told.later[1]
