"""Writers: what is written is read again as it was."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmsched import exporters
from llmsched.errors import InputError
from llmsched.importers import load, read
from llmsched.trace import Trace
from tests.importers.strategies import traces

READ_AS = {"native": "native", "mooncake": "native", "vidur": "vidur", "azure": "azure"}


def again(trace: Trace, to: str, suffix: str = "") -> Trace:
    """Write and read `trace`, in the format of the importer that should recognise it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"trace{suffix}"
        exporters.write(trace, path, to)
        imported = read(path)
    assert imported.format == READ_AS[to]
    assert not imported.notes
    return imported.trace


def assert_same_numbers(one: Trace, other: Trace) -> None:
    np.testing.assert_array_equal(one.arrival, other.arrival)
    np.testing.assert_array_equal(one.input_tokens, other.input_tokens)
    np.testing.assert_array_equal(one.output_tokens, other.output_tokens)


@given(traces())
def test_the_native_format_keeps_everything(trace: Trace) -> None:
    back = again(trace, "native")
    assert_same_numbers(trace, back)
    assert back.sha256 == trace.sha256
    assert (back.hash_ids, back.hash_block_size) == (trace.hash_ids, trace.hash_block_size)
    assert (back.job_class is None) is (trace.job_class is None)
    if trace.job_class is not None and back.job_class is not None:
        assert back.job_class.tolist() == trace.job_class.tolist()


@given(traces())
@settings(max_examples=60)
@pytest.mark.parametrize("to", ["mooncake", "vidur", "azure"])
def test_a_foreign_format_keeps_every_number(to: str, trace: Trace) -> None:
    assert_same_numbers(trace, again(trace, to))


@given(traces())
@settings(max_examples=60)
def test_mooncake_keeps_ids_of_its_own_blocks_and_never_takes_others_for_them(trace: Trace) -> None:
    blocks = [-(-tokens // 512) for tokens in trace.input_tokens.tolist()]
    alone = trace.hash_ids is not None and [*map(len, trace.hash_ids)] == blocks
    kept = trace.hash_ids if trace.hash_block_size == 512 and alone else None
    assert again(trace, "mooncake").hash_ids == kept
    assert ("hash_ids" in exporters.lost(trace, "mooncake")) is (kept is not trace.hash_ids)


@given(traces(extras=False))
@settings(max_examples=30)
def test_a_chain_through_every_format_changes_nothing(trace: Trace) -> None:
    there = trace
    for to in exporters.NAMES:
        there = again(there, to)
    assert there.sha256 == trace.sha256


@pytest.fixture
def trace() -> Trace:
    return Trace.from_columns([0, 0.0000005, 1.25], [5, 6, 7], [8, 9, 10], id=["x", "y", "z"])


def test_the_text_of_each_format(trace: Trace) -> None:
    assert exporters.text(trace, "native").splitlines()[1] == (
        '{"id":"y","timestamp":0.0005,"input_length":6,"output_length":9}'
    )
    assert exporters.text(trace, "mooncake").splitlines()[2] == (
        '{"timestamp":1250,"input_length":7,"output_length":10}'
    )
    assert exporters.text(trace, "vidur").splitlines()[::3] == [
        "arrived_at,num_prefill_tokens,num_decode_tokens",
        "1.25,7,10",
    ]
    assert exporters.text(trace, "azure").splitlines()[1:3] == [
        "1970-01-01 00:00:00.0000000,5,8",
        "1970-01-01 00:00:00.0000005,6,9",
    ]


def test_compressed_files_are_read_again_and_are_the_same_bytes(
    trace: Trace, tmp_path: Path
) -> None:
    first, second = tmp_path / "a.jsonl.gz", tmp_path / "b.jsonl.gz"
    exporters.write(trace, first)
    exporters.write(trace, second)
    assert first.read_bytes() == second.read_bytes()
    assert first.read_bytes()[:2] == b"\x1f\x8b"
    assert load(first).sha256 == trace.sha256


def test_zstandard_files_are_read_again(trace: Trace) -> None:
    pytest.importorskip("zstandard", reason="needs the extra zst")
    assert again(trace, "native", ".zst").sha256 == trace.sha256


def test_what_a_format_has_no_place_for_is_told(trace: Trace) -> None:
    assert exporters.lost(trace, "native") == ()
    assert exporters.lost(trace, "vidur") == ("id",)
    plain = Trace.from_columns(
        *([0], [1], [2]), job_class=["a"], predicted_output_tokens=[3], max_output_tokens=[4]
    )
    lost = ("class", "predicted_output_length", "max_output_tokens")
    assert exporters.lost(plain, "azure") == lost


def test_a_timeout_is_written_as_it_was_read_and_lost_elsewhere() -> None:
    trace = Trace.from_columns([0, 0], [1, 1], [2, 2], timeout=[float("inf"), 1.495])
    bare, impatient = exporters.text(trace, "native").splitlines()
    assert bare.endswith('"output_length":2}')
    assert impatient.endswith('"output_length":2,"timeout_ms":1495.0}')
    assert exporters.lost(trace, "vidur") == ("timeout_ms",)


def test_a_priority_is_written_only_where_it_is_one_and_lost_elsewhere() -> None:
    trace = Trace.from_columns([0, 0], [1, 1], [2, 2], priority=[0, -4])
    bare, urgent = exporters.text(trace, "native").splitlines()
    assert bare.endswith('"output_length":2}')
    assert urgent.endswith('"output_length":2,"priority":-4}')
    assert exporters.lost(trace, "azure") == ("priority",)


def test_a_limit_is_written_only_where_one_is_declared() -> None:
    trace = Trace.from_columns([0, 0], [1, 1], [2, 2], max_output_tokens=[0, 4])
    bare, limited = exporters.text(trace, "native").splitlines()
    assert bare == '{"id":"0","timestamp":0,"input_length":1,"output_length":2}'
    assert limited.endswith('"output_length":2,"max_output_tokens":4}')


def test_an_unknown_format_and_an_unwritable_file_are_refused(trace: Trace, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="to: expected one of native, mooncake, vidur, azure"):
        exporters.write(trace, tmp_path / "x", "splitwise")
    with pytest.raises(InputError, match="cannot write"):
        exporters.write(trace, tmp_path / "none" / "x")
    assert list(tmp_path.iterdir()) == []


CHAT = Trace.from_columns(
    [0.5, np.nan, 1.0, np.nan],
    [1, 2, 3, 4],
    [5, 5, 5, 5],
    session=["a", "a", "", "a"],
    delay=[0, 0.25, 0, 1.000000001],
)


def test_a_later_turn_has_a_delay_in_place_of_a_time() -> None:
    assert exporters.text(CHAT, "native").splitlines() == [
        '{"id":"0","timestamp":500,"input_length":1,"output_length":5,"session":"a","turn":0}',
        '{"id":"1","input_length":2,"output_length":5,"session":"a","turn":1,"delay_ms":250}',
        '{"id":"2","timestamp":1000,"input_length":3,"output_length":5}',
        '{"id":"3","input_length":4,"output_length":5,"session":"a","turn":2,'
        '"delay_ms":1000.000001}',
    ]


@st.composite
def sessions(draw: st.DrawFn) -> Trace:
    """Traces in which some requests are turns of sessions, as a file gives them."""
    n = draw(st.integers(1, 9))
    names = draw(st.lists(st.sampled_from(["", "a", "b", "c"]), min_size=n, max_size=n))
    times = draw(st.lists(st.integers(0, 10**10), min_size=n, max_size=n))
    waits = draw(st.lists(st.integers(0, 10**10), min_size=n, max_size=n))
    first = [not name or name not in names[:row] for row, name in enumerate(names)]
    trace = Trace.from_columns(
        [time / 1e9 if is_first else np.nan for time, is_first in zip(times, first, strict=True)],
        range(1, n + 1),
        range(2, n + 2),
        session=names,
        delay=[0 if is_first else wait / 1e9 for wait, is_first in zip(waits, first, strict=True)],
    )
    return trace.retimed()


@given(sessions())
def test_sessions_are_read_again_to_the_last_bit(trace: Trace) -> None:
    back = again(trace, "native")
    assert back.sha256 == trace.sha256
    assert (back.session is None) is (trace.session is None)
    if trace.session is not None and back.session is not None:
        assert back.session.tolist() == trace.session.tolist()


def test_other_formats_have_no_place_for_sessions() -> None:
    assert exporters.lost(CHAT, "native") == ()
    assert exporters.lost(CHAT, "azure") == ("session", "delay_ms")
    assert '"timestamp":750,' in exporters.text(CHAT, "mooncake")  # as if answers took no time
