"""llmsched trace info, convert, generate and sample."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from llmsched.files import shipped
from llmsched.importers import load
from tests.cli.conftest import Outcome

FIXTURES = Path(__file__).parents[1] / "fixtures"
Run = Callable[..., Outcome]
GENERATE = ("--requests", 20, "--input-length", "fixed:5", "--output-length", "gamma:9:3")


def test_info_without_a_trace_describes_the_papers(llmsched: Run) -> None:
    outcome = llmsched("trace", "info")
    assert outcome.code == 0
    assert "requests  1,319 of 1,319 rows" in outcome.out
    assert "input    68.4   25.0  24.0" in outcome.out
    assert max(map(len, outcome.out.splitlines())) <= 80
    assert outcome.err == ""


def test_info_is_the_same_bytes_twice_and_notes_go_to_stderr(llmsched: Run) -> None:
    one, two = (llmsched("trace", "info", FIXTURES / "burstgpt.csv") for _ in range(2))
    assert one == two
    assert "dropped 1 of 3 rows" in one.err


def test_info_prints_json(llmsched: Run) -> None:
    facts = json.loads(llmsched("trace", "info", FIXTURES / "vidur.csv", "--format", "json").out)
    assert (facts["format"], facts["requests"], facts["span_s"]) == ("vidur", 3, 1.25)


def test_every_trace_option_reaches_the_importer(llmsched: Run) -> None:
    options = ["--trace-format", "mooncake", "--time-unit", "s", "--class", "chat", "--limit", 2]
    more = ["--speed", 2, "--on-error", "skip", "--format", "json"]
    path = FIXTURES / "native.jsonl"
    facts = json.loads(llmsched("trace", "info", path, *options, *more).out)
    assert (facts["requests"], facts["span_s"]) == (2, 500)
    facts = json.loads(llmsched("trace", "info", path, "--offline", "--format", "json").out)
    assert facts["span_s"] == 0


def test_info_reads_stdin(llmsched: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    data = (FIXTURES / "vidur.csv").read_bytes()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))
    assert "format      vidur" in llmsched("trace", "info", "-").out


@pytest.mark.parametrize("to", ["native", "mooncake", "vidur", "azure"])
def test_convert_writes_a_file_that_is_read_the_same(
    llmsched: Run, tmp_path: Path, to: str
) -> None:
    target = tmp_path / "out"
    outcome = llmsched("trace", "convert", FIXTURES / "vidur.csv", target, "--to", to)
    assert (outcome.code, outcome.out) == (0, "")
    before, after = load(FIXTURES / "vidur.csv"), load(target)
    assert before.arrival.tolist() == after.arrival.tolist()
    assert before.output_tokens.tolist() == after.output_tokens.tolist()


def test_convert_to_stdout_tells_what_is_left_out_on_stderr(llmsched: Run) -> None:
    outcome = llmsched("trace", "convert", FIXTURES / "native.jsonl", "-", "--to", "vidur")
    assert outcome.out.splitlines()[:2] == [
        "arrived_at,num_prefill_tokens,num_decode_tokens",
        "0,11,3",
    ]
    left = "id, class, predicted_output_length, hash_ids"
    assert outcome.err == f"<stdout>: vidur has no place for {left}\n"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["info", "nope.jsonl"], "nope.jsonl: cannot read: No such file"),
        (["info", "--format", "xml"], "--format: expected one of table, json; got 'xml'"),
        (["info", "--trace-format", "xml"], "--trace-format: expected one of aiperf-export,"),
        (["info", "--speed", "-1"], "--speed: expected a number >= 1e-09, got -1.0"),
        (["convert", FIXTURES / "vidur.csv", "out.csv"], "--to: expected azure or vidur"),
        (["convert", FIXTURES / "vidur.csv", "out", "--to", "x"], "--to: expected one of native,"),
        (["convert", "nope", "out"], "nope: expected a trace file or a shipped trace ("),
        (["generate", "out", "--requests", "3"], "--input-length: expected a distribution"),
        (["generate", "out", *GENERATE, "--seed", "-3"], "seed: expected an integer"),
        (["sample", FIXTURES / "vidur.csv", "out", "-n", "9"], "expected an integer in 1..3"),
    ],
)
def test_bad_input_is_one_line_exit_2_and_nothing_written(
    llmsched: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[object],
    problem: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = llmsched("trace", *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert problem in outcome.err.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []


def test_a_bad_row_is_one_line_and_nothing_is_written(llmsched: Run, tmp_path: Path) -> None:
    source = tmp_path / "trace.jsonl"
    source.write_text('{"timestamp": 0, "input_length": 5, "output_length": "abc"}\n')
    outcome = llmsched("trace", "convert", source, tmp_path / "out.jsonl")
    problem = 'trace.jsonl:1: output_length: expected an integer >= 1, got "abc"'
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == f"llmsched: {tmp_path}/{problem}\n"
    assert [path.name for path in tmp_path.iterdir()] == ["trace.jsonl"]


def test_generate_is_seeded(llmsched: Run, tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert llmsched("trace", "generate", tmp_path / name, *GENERATE, "--seed", seed).code == 0
    a, b, c = ((tmp_path / name).read_bytes() for name in "abc")
    assert a == b != c
    assert len(load(tmp_path / "a")) == 20


def test_generate_follows_a_shipped_trace(llmsched: Run) -> None:
    outcome = llmsched("trace", "generate", "-", "--like", "gsm8k-llama65b", "-n", 5)
    assert len(outcome.out.splitlines()) == 5


def test_sample_keeps_rows_as_they_are(llmsched: Run) -> None:
    outcome = llmsched("trace", "sample", "gsm8k-llama65b", "-", "-n", 3, "--seed", 1)
    lines = shipped("traces", "gsm8k-llama65b.jsonl").read_text().splitlines()
    assert len(outcome.out.splitlines()) == 3
    assert set(outcome.out.splitlines()) <= set(lines)


CHATS = ("--requests", 3, "--input-length", "fixed:7", "--output-length", "fixed:3")


def test_generate_makes_sessions_whose_prompts_grow(llmsched: Run) -> None:
    outcome = llmsched(
        "trace", "generate", "-", *CHATS, "--turns", "fixed:2", "--delay-ms", "fixed:9"
    )
    assert outcome.code == 0
    rows = [json.loads(line) for line in outcome.out.splitlines()]
    assert [(row["session"], row["turn"], row["input_length"]) for row in rows] == [
        ("0", 0, 7),
        ("1", 0, 7),
        ("0", 1, 17),
    ]
    assert [row.get("delay_ms") for row in rows] == [None, None, 9]


def test_generate_makes_prompts_that_begin_alike(llmsched: Run) -> None:
    options = ("--prefixes", 1, "--prefix-length", "fixed:5", "--hash-block-size", 4)
    outcome = llmsched("trace", "generate", "-", *CHATS, *options)
    assert outcome.code == 0
    rows = [json.loads(line) for line in outcome.out.splitlines()]
    assert [(row["input_length"], row["hash_block_size"]) for row in rows] == [(12, 4)] * 3
    assert [row["hash_ids"] for row in rows] == [[0, 1, 2], [0, 3, 4], [0, 5, 6]]


def test_a_format_without_sessions_says_so(llmsched: Run, tmp_path: Path) -> None:
    target = tmp_path / "t.csv"
    outcome = llmsched("trace", "generate", target, *CHATS, "--turns", "fixed:2", "--to", "vidur")
    assert outcome.code == 0
    assert "vidur has no place for session, delay_ms" in outcome.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--turns", "x"), "--turns: expected fixed:N, uniform:LOW:HIGH, lognormal:MEAN:STD[:CAP]"),
        (("--delay-ms", "fixed:9"), "--delay-ms: expected beside turns, between which"),
        (("--prefixes", "2"), "--prefix-length: expected a distribution, beside prefixes"),
        (("--prefix-length", "fixed:9"), "--prefix-length: expected beside prefixes, of which"),
        (
            ("--prefixes", "a", "--prefix-length", "fixed:9"),
            "--prefixes: expected N or N:EXPONENT, got 'a'",
        ),
        (
            ("--prefixes", "2", "--prefix-length", "fixed:9", "--hash-block-size", 0),
            "--hash-block-size: expected an integer in 1..65536, got 0",
        ),
    ],
)
def test_bad_sessions_are_refused_in_one_line(
    llmsched: Run, options: tuple[str, ...], message: str
) -> None:
    outcome = llmsched("trace", "generate", "-", *CHATS, *options)
    assert outcome.code == 2
    assert outcome.out == ""
    assert outcome.err.startswith(f"llmsched: {message}")
    assert outcome.err.count("\n") == 1


LOG = "created;prompt_tok;gen_tok;model\n1500;7;3;a\n0;9;4;b\n"
COLUMNS = "arrival=created:ms,input=prompt_tok,output=gen_tok,class=model"


def test_an_unknown_table_is_read_by_the_option_that_its_refusal_prints(
    llmsched: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("log.csv").write_text(LOG)
    refused = llmsched("trace", "info", "log.csv")
    assert (refused.code, refused.out) == (2, "")
    said, _, proposed = refused.err.rstrip().partition("--columns ")
    assert said.startswith("llmsched: log.csv:1: header: expected those of a known format, got ")
    assert proposed == "arrival=created,input=prompt_tok,output=gen_tok"
    read = llmsched("trace", "info", "log.csv", "--columns", proposed, "--format", "json")
    facts = json.loads(read.out)
    assert (facts["span_s"], facts["total_input_tokens"]) == (1500, 16)
    assert facts["read_as"][0]["sure"] == "assumed"
    assert "created is read as seconds" in read.err


def test_columns_work_wherever_a_trace_is_taken(
    llmsched: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("log.csv").write_text(LOG)
    Path("mine.yaml").write_text(
        "schema_version: 1\nname: mine\ntrace: {file: log.csv, options: {columns: {arrival: "
        "'created:ms', input: prompt_tok, output: gen_tok}}}\nhardware: llama3-8b-a100\n"
        "policies: [vllm]\n"
    )
    option = ("--columns", COLUMNS)
    one = llmsched("compare", "mine.yaml", "--format", "json")
    two = llmsched("compare", "log.csv", "--policies", "vllm", *option, "--format", "json")
    three = llmsched("simulate", "log.csv", *option, "--policy", "vllm", "--format", "json")
    assert (one.code, two.code, three.code) == (0, 0, 0)
    hashes = {json.loads(each.out)["trace"]["sha256"] for each in (one, two, three)}
    assert len(hashes) == 1


def test_a_format_and_columns_exclude_each_other(llmsched: Run, tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text(LOG)
    outcome = llmsched("trace", "info", path, "--columns", COLUMNS, "--trace-format", "azure")
    assert outcome == Outcome(
        2, "", "llmsched: --columns: expected without a format, which names them itself\n"
    )


def test_info_says_what_prefix_caching_may_find_and_how_urgent_requests_are(
    llmsched: Run, tmp_path: Path
) -> None:
    def rows(*arguments: object) -> dict[str, str]:
        lines = llmsched("trace", "info", *arguments).out.splitlines()
        assert max(map(len, lines)) <= 80
        return {
            head: rest for head, _, rest in (" ".join(one.split()).partition(" ") for one in lines)
        }

    nothing = "no block ids or sessions: prefix caching finds nothing"
    assert rows()["prefixes"] == nothing
    path = tmp_path / "t.jsonl"
    row = '{"timestamp": 0, "input_length": 40, "output_length": 5, "hash_ids": %s, %s}\n'
    size = '"hash_block_size": 16'
    path.write_text(row % ([1, 2, 3], size) + row % ([1, 2, 4], size + ', "priority": 2'))
    page = rows(path)
    shares = "saves at most 40.0 % of prompt tokens (blocks of 16, room for all)"
    assert page["prefixes"] == "4 ids name blocks of 16 tokens"
    assert page["cache"] == shares
    assert page["priorities"] == "2 levels, 0 to 2: lower is sooner"
    chats = tmp_path / "chats.jsonl"
    llmsched("trace", "generate", chats, *CHATS, "--turns", "fixed:3", "--seed", 1)
    assert rows(chats)["prefixes"] == "sessions: a prompt begins with what was said before it"
