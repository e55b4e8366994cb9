"""A user's own file, written in any style, and whatever it does wrong."""

from __future__ import annotations

import importlib
import importlib.metadata
import shutil
import sys
from pathlib import Path

import pytest

from llmsched import catalog
from llmsched.catalog import find
from llmsched.cli import main
from llmsched.comparison.executors import on_processes
from llmsched.comparison.run import run_study
from llmsched.comparison.study import prepare
from llmsched.errors import InputError, LlmschedError
from llmsched.scenario import load_scenario

RULE = """
from __future__ import annotations
from dataclasses import dataclass
from llmsched.engine import DECODE, PREFILL

@dataclass(frozen=True)
class Rule:
    n: int = 1
    mixed = False
    def start(self, view):
        return lambda: PREFILL if view.can_prefill else DECODE
"""


def _refusal(spec: str, folder: Path | None = None) -> str:
    with pytest.raises(InputError) as error:
        find(spec, folder)
    return str(error.value)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        *(("orders", name) for name in ("fcfs", "ljf", "plan", "random", "sjf")),
        *(
            ("batching", name)
            for name in ("chunked", "lagrangian", "prefill_first", "static", "whole_stage")
        ),
    ],
)
def test_a_copy_of_a_shipped_part_loads(tmp_path: Path, module: str, name: str) -> None:
    theirs = importlib.import_module(f"llmsched.{module}.{name}")
    path = tmp_path / "mine.py"
    shutil.copy(str(theirs.__file__), path)
    part = catalog.parts(module)[name]
    policy = find(f"{path}:{part.__name__}")
    mine = policy.order if module == "orders" else policy.rule
    assert type(mine).__name__ == part.__name__
    assert type(mine) is not part
    assert repr(mine) == repr(part())


def test_files_of_one_name_do_not_clash_and_one_file_is_loaded_once(tmp_path: Path) -> None:
    paths = [tmp_path / folder / "mine.py" for folder in "ab"]
    for i, path in enumerate(paths):
        path.parent.mkdir()
        path.write_text(RULE.replace("n: int = 1", f"n: int = {i}"))
    rules = [
        find(f"{path}:Rule").rule for path in (*paths, tmp_path / "b" / ".." / "a" / "mine.py")
    ]
    assert [getattr(rule, "n", None) for rule in rules] == [0, 1, 0]
    assert type(rules[0]) is type(rules[2])


def test_what_fails_to_load_is_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("1 / 0")
    assert _refusal(f"{path}:Rule").endswith("mine.py:1: ZeroDivisionError: division by zero")
    path.write_text(RULE)
    assert find(f"{path}:Rule:n=2").rule.mixed is False


def test_the_folder_of_a_file_is_not_on_the_import_path(tmp_path: Path) -> None:
    (tmp_path / "helper_of_mine.py").write_text("")
    (tmp_path / "queue.py").write_text(RULE + "import helper_of_mine\n")
    before = list(sys.path)
    message = _refusal(f"{tmp_path / 'queue.py'}:Rule")
    assert message.endswith("ModuleNotFoundError: No module named 'helper_of_mine'")
    assert sys.path == before


def test_what_a_file_prints_goes_to_stderr(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mine.py"
    path.write_text(RULE + "    def __post_init__(self): print('made')\nprint('at import')")
    find(f"{path}:Rule")
    assert capsys.readouterr() == ("", "at import\nmade\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("raise ValueError('n: too small')", "ValueError: n: too small"),
        ("raise BrokenPipeError", "BrokenPipeError"),
        ("raise SystemExit(0)", "SystemExit: 0"),
        ("raise GeneratorExit", "GeneratorExit"),
        ("len(3)", "TypeError: object of type 'int' has no len()"),
    ],
)
def test_a_class_that_cannot_be_made_is_named_with_its_line(
    tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "mine.py"
    path.write_text(f"{RULE}    def __post_init__(self):\n        {text}\n")
    line = path.read_text().count("\n")
    spec = f"{path}:Rule:n=2"
    assert _refusal(spec) == f"policy {spec!r}: mine.py:{line}: {message}"


def test_ctrl_c_stays_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        find(f"{path}:Rule")


def test_what_is_no_readable_python_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.py").mkdir()
    (tmp_path / "binary.py").write_bytes(b"\0\xff")
    (tmp_path / "link.py").symlink_to("nowhere.py")
    (tmp_path / "empty.py").write_text("")
    start = f"policy '{tmp_path}"
    assert _refusal(f"{tmp_path}/folder.py:X") == (
        f"{start}/folder.py:X': expected a Python file, FILE.py:CLASS, got '{tmp_path}/folder.py'"
    )
    assert "Error: source code string cannot" in _refusal(f"{tmp_path}/binary.py:X")
    assert "expected a file that is there" in _refusal(f"{tmp_path}/link.py:X")
    assert "(it has none), got 'X'" in _refusal(f"{tmp_path}/empty.py:X")
    assert "(it has none), got ''" in _refusal(f"{tmp_path}/empty.py:")


@pytest.mark.parametrize("mixed", ["", "mixed = 'no'", "mixed = property(lambda self: 1 / 0)"])
def test_a_rule_must_say_whether_it_mixes(
    tmp_path: Path, mixed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "unsaid_rule.py"
    path.write_text(RULE.replace("mixed = False", mixed))
    wanted = "Rule must say whether it needs mixed steps: mixed = False"
    if "1 / 0" in mixed:
        wanted = "unsaid_rule.py:9: ZeroDivisionError: division by zero"
    assert _refusal(f"{path}:Rule") == f"policy '{path}:Rule': {wanted}"
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "unsaid_rule", raising=False)
    entry = importlib.metadata.EntryPoint("unsaid", "unsaid_rule:Rule", "llmsched.batching")
    monkeypatch.setattr(
        importlib.metadata, "entry_points", lambda group: [entry] if group == entry.group else []
    )
    catalog.parts.cache_clear()
    try:
        assert _refusal("ljf+unsaid") == f"policy 'ljf+unsaid': {wanted}"
    finally:
        catalog.parts.cache_clear()


SCENARIO = """
schema_version: 1
name: mine
trace:
  generate: {requests: 20, arrivals: offline, input_length: "fixed:8", output_length: "fixed:4"}
hardware: llama65b-8gpu-paper
policies: [fcfs, "./rule.py:Rule:n=2", "ljf+./rule.py:Rule:n=2"]
"""


def test_a_scenario_finds_policies_beside_itself_here_and_in_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "study").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "study" / "rule.py").write_text(RULE)
    (tmp_path / "study" / "mine.yaml").write_text(SCENARIO)
    monkeypatch.chdir(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "rule.py").write_text("raise ValueError('the wrong one')")
    study = prepare(load_scenario("../study/mine.yaml"))
    names = ["fcfs", "./rule.py:Rule:n=2", "ljf+./rule.py:Rule:n=2"]
    rows = run_study(study)
    assert [row["policy"] for row in rows.values()] == names
    assert run_study(study, on_processes(2)) == rows


def test_a_file_beside_no_scenario_is_found_from_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rule.py").write_text(RULE + "raise BrokenPipeError\n")
    options = ["--limit", "5", "--policies", "fcfs,./rule.py:Rule"]
    assert main(["compare", "gsm8k-llama65b", *options]) == 2
    wanted = "llmsched: --policies: policy './rule.py:Rule': rule.py:12: BrokenPipeError\n"
    assert capsys.readouterr() == ("", wanted)


def test_an_error_of_our_own_kind_is_placed_and_a_defect_is_not_relabelled(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    for kind, message in (
        ("InputError", "policy '{}:Rule': n: bad"),
        ("NotComparableError", "n: bad"),
    ):
        path.write_text(
            f"from llmsched.errors import {kind}\n"
            + RULE.replace("from __future__", "# ")
            + f"    def __post_init__(self):\n        raise {kind}('n: bad')\n"
        )
        with pytest.raises(LlmschedError) as error:
            find(f"{path}:Rule")
        assert type(error.value).__name__ == kind
        assert str(error.value) == message.format(path)
        path = tmp_path / "other.py"


ORDER = """
from llmsched.orders.rank import RankQueue

class Meta(type):
    def __getattr__(cls, name):
        raise ValueError(name)

class Order:
    def queue(self, jobs, view):
        return RankQueue(jobs.arrival)

class NumberedNeeds(Order):
    needs = 5

class FailingNeeds(Order):
    needs = property(lambda self: 1 / 0)

class Nameless(Order):
    def __repr__(self):
        return 1 / 0

class Unlike(metaclass=Meta):
    pass

class Unsorted(Order):
    def queue(self, jobs, view):
        return RankQueue([float("nan")] * len(jobs))
"""


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("NumberedNeeds", "NumberedNeeds.needs: expected a text, got 5"),
        ("FailingNeeds", "mine.py:16: ZeroDivisionError: division by zero"),
        ("Nameless", "mine.py:20: ZeroDivisionError: division by zero"),
        ("Unlike", "mine.py:6: ValueError: queue"),
        ("Unsorted", "mine.py:27: ValueError: keys: expected numbers, got NaN"),
    ],
)
def test_whatever_a_class_does_when_it_is_looked_at_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, message: str
) -> None:
    path = tmp_path / "mine.py"
    path.write_text(ORDER)
    assert main(["simulate", "--limit", "3", "--policy", f"{path}:{name}"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("llmsched: policy ")
    assert err.endswith(f": {message}\n")
    assert err.count("\n") == 1


@pytest.mark.parametrize("name", ["a+b", "a:b", "a,b", "", "x" * 65, "a\x1b[31m"])
def test_an_installed_part_that_no_policy_could_name_is_left_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    entry = importlib.metadata.EntryPoint(name, "llmsched.orders.ljf:Ljf", "llmsched.orders")
    monkeypatch.setattr(
        importlib.metadata, "entry_points", lambda group: [entry] if group == entry.group else []
    )
    catalog.parts.cache_clear()
    try:
        assert name not in catalog.parts("orders")
    finally:
        catalog.parts.cache_clear()
    assert "expected a name of letters, digits" in capsys.readouterr().err
