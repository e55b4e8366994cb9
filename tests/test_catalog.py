"""Policies by name, by composition, from a file, from an installed package."""

from __future__ import annotations

import hashlib
import importlib.metadata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import ClassVar

import pytest

from llmsched import catalog
from llmsched.batching.chunked import Chunked
from llmsched.batching.lagrangian import Lagrangian
from llmsched.batching.prefill_first import PrefillFirst
from llmsched.catalog import (
    _parts_in,
    find,
    needs,
    needs_lengths,
    parts,
    policy_files,
    summary,
)
from llmsched.contract import PREFILL, Decide, View
from llmsched.errors import InputError
from llmsched.orders.fcfs import Fcfs
from llmsched.orders.ljf import Ljf
from llmsched.orders.plan import Plan
from llmsched.orders.random import Random
from llmsched.policies import NAMED
from tests.hand import outputs, replay

KNOWN = (
    f"Policies: {', '.join(NAMED)}. Or ORDER+RULE: orders fcfs, ljf, lwf, plan, priority, random, "
    "sif, sjf; rules chunked, interleave, lagrangian, prefill_first, shortest_remaining, static, "
    "whole_stage."
)


@pytest.mark.parametrize("name", NAMED)
def test_a_named_policy_is_found_as_it_is(name: str) -> None:
    assert find(name) is NAMED[name]


@pytest.mark.parametrize(
    ("spec", "order", "rule"),
    [
        ("ljf+chunked", Ljf(), Chunked()),
        ("chunked+ljf", Ljf(), Chunked()),
        (" ljf + chunked ", Ljf(), Chunked()),
        ("plan", Plan(), PrefillFirst()),
        ("lagrangian", Fcfs(), Lagrangian()),
        ("prefill-first", Fcfs(), PrefillFirst()),
        ("ljf+lagrangian:multiplier=0.3:adapt=true", Ljf(), Lagrangian(0.3, 0, True)),
        ("lagrangian:multiplier=1e-1:adapt=False", Fcfs(), Lagrangian(0.1)),
        ("plan:steal=false:align=-1:tolerance=0.5", Plan(False, -1, 0.5), PrefillFirst()),
        ("random:seed=7+chunked:token_budget=64", Random(7), Chunked(64)),
    ],
)
def test_parts_and_their_parameters_compose(spec: str, order: object, rule: object) -> None:
    policy = find(spec)
    assert (policy.name, policy.order, policy.rule) == (spec, order, rule)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("nope", f"policy 'nope': unknown 'nope'. {KNOWN}"),
        ("", f"policy '': unknown ''. {KNOWN}"),
        ("fcf", f"policy 'fcf': unknown 'fcf'; did you mean fcfs? {KNOWN}"),
        ("ljf+nope", f"policy 'ljf+nope': unknown 'nope'. {KNOWN}"),
        (
            "./mine.py",
            "policy './mine.py': expected a class in a Python file, FILE.py:CLASS; got ./mine.py",
        ),
        (
            "mine.py",
            "policy 'mine.py': expected a class in a Python file, FILE.py:CLASS; got mine.py",
        ),
        (
            "ljf+rules/mine.txt:Rule",
            "policy 'ljf+rules/mine.txt:Rule': expected a class in a Python file, FILE.py:CLASS; "
            "got rules/mine.txt",
        ),
        ("ljf+", f"policy 'ljf+': unknown ''. {KNOWN}"),
        ("ljf+sjf", "policy 'ljf+sjf': expected one order and one batching rule"),
        (
            "ljf+static+static",
            "policy 'ljf+static+static': expected one order and one batching rule",
        ),
        (
            "hybrid+static",
            "policy 'hybrid+static': hybrid is a whole policy, it takes no parameters and no other "
            "part",
        ),
        ("ljf:x=1", "policy 'ljf:x=1': unknown parameter 'x' (parameters: none)"),
        (
            "plan:x=1",
            "policy 'plan:x=1': unknown parameter 'x' (parameters: steal, align, tolerance)",
        ),
        ("random:seed=a", "policy 'random:seed=a': seed: expected an integer, got 'a'"),
        (
            "random:seed",
            "policy 'random:seed': expected NAME=VALUE after the colon, got 'seed'",
        ),
        ("random:seed=", "policy 'random:seed=': seed: expected an integer, got ''"),
        ("random:seed=1:30", "policy 'random:seed=1:30': seed: expected an integer, got '1:30'"),
        ("random:seed=-1", "policy 'random:seed=-1': seed: expected an integer >= 0, got -1"),
        (
            "random:seed=1:seed=2",
            "policy 'random:seed=1:seed=2': parameter 'seed' is given twice",
        ),
        (
            "lagrangian:multiplier=-1e+3",
            "policy 'lagrangian:multiplier=-1e+3': multiplier: expected a number in 0..1e6, "
            "got -1000.0",
        ),
        (
            "plan:tolerance=x",
            "policy 'plan:tolerance=x': tolerance: expected a number, got 'x'",
        ),
        (
            "plan:steal=1",
            "policy 'plan:steal=1': steal: expected true or false, got '1'",
        ),
        ("./no.py:X", "policy './no.py:X': expected a file that is there, got 'no.py'"),
    ],
)
def test_what_cannot_be_found_is_refused_in_one_line(spec: str, message: str) -> None:
    with pytest.raises(InputError) as error:
        find(spec)
    assert str(error.value) == message


MINE = '''
from dataclasses import dataclass
from llmsched.engine import DECODE, PREFILL
from llmsched.orders import RankQueue

NUMBER = 3

@dataclass(frozen=True)
class LastFirst:
    """Last come, first served."""
    weight: float = 1.0
    def queue(self, jobs, view):
        return RankQueue(-jobs.arrival * self.weight)

@dataclass(frozen=True)
class Eager:
    mixed = False
    def start(self, view):
        return lambda: PREFILL if view.can_prefill else DECODE

class Neither:
    pass

class Bare:
    mixed = False
    def __init__(self, share):
        self.share = share
    def start(self, view):
        return lambda: DECODE

class Both(LastFirst, Eager):
    pass

@dataclass(frozen=True)
class Named(LastFirst):
    name: str = ""
'''


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(MINE)
    return path


def test_a_class_in_a_file_is_a_part(mine: Path) -> None:
    order = find(f"{mine}:LastFirst:weight=2")
    assert str(order.order) == "LastFirst(weight=2.0)"
    assert order.rule == PrefillFirst()
    both = find(f"{mine}:LastFirst+{mine}:Eager")
    rows = [(0.0, 1, 2), (0.5, 1, 2), (1.0, 1, 2)]
    assert replay(both, rows, 1).admitted.tolist() == [0.0, 3.5, 1.75]


def test_a_value_may_name_another_python_file_and_its_class(mine: Path) -> None:
    spec = f"{mine}:Named:name=other.py:Rule"
    assert find(spec).order.name == "other.py:Rule"  # type: ignore[attr-defined]  # Named has it
    assert list(policy_files([spec], None)) == [str(mine)]


@pytest.mark.parametrize("mixed", ["", "mixed = 1", "mixed = None"])
def test_a_rule_in_a_file_must_say_true_or_false_of_mixed_steps(tmp_path: Path, mixed: str) -> None:
    path = tmp_path / "mine.py"
    path.write_text(f"class Rule:\n    {mixed}\n    def start(self, view):\n        return view\n")
    with pytest.raises(InputError) as error:
        find(f"{path}:Rule")
    assert str(error.value) == (
        f"policy '{path}:Rule': Rule must say whether it needs mixed steps: mixed = False"
    )


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "Missing",
            "policy '{path}:Missing': expected a class of {path} (LastFirst, Eager, Neither, Bare, "
            "Both, Named), got 'Missing'",
        ),
        (
            "NUMBER",
            "policy '{path}:NUMBER': expected a class of {path} (LastFirst, Eager, Neither, Bare, "
            "Both, Named), got 'NUMBER'",
        ),
        (
            "Neither",
            "policy '{path}:Neither': Neither must have a method queue (an order) or start "
            "(a rule)",
        ),
        (
            "Both",
            "policy '{path}:Both': Both must have a method queue (an order) or start (a rule)",
        ),
        (
            "Bare",
            "policy '{path}:Bare': parameter 'share' must be given: share=VALUE",
        ),
        (
            "LastFirst:x=1",
            "policy '{path}:LastFirst:x=1': unknown parameter 'x' (parameters: weight)",
        ),
    ],
)
def test_a_class_that_is_no_part_is_refused(mine: Path, name: str, message: str) -> None:
    with pytest.raises(InputError) as error:
        find(f"{mine}:{name}")
    assert str(error.value) == message.format(path=mine)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\ndef (", "2: SyntaxError: invalid syntax"),
        ("import no_such_module", "1: ModuleNotFoundError: No module named 'no_such_module'"),
        ("\n\n1 / 0", "3: ZeroDivisionError: division by zero"),
        ("raise SystemExit", "1: SystemExit"),
        ("raise BrokenPipeError('a\\nb')", "1: BrokenPipeError: a b"),
        ("def f():\n    return len(3)\nf()", "2: TypeError: object of type 'int' has no len()"),
    ],
)
def test_a_file_that_cannot_be_imported_is_reported(
    tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "broken.py"
    path.write_text(text)
    with pytest.raises(InputError) as error:
        find(f"{path}:X")
    assert str(error.value) == f"policy '{path}:X': broken.py:{message}"


@dataclass(frozen=True)
class Drain:
    """Prefill only."""

    mixed: ClassVar[bool] = False

    def start(self, view: View) -> Decide:
        return lambda: PREFILL


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A package with a batching rule, as if pip had installed it."""
    entry = importlib.metadata.EntryPoint("drain", "tests.test_catalog:Drain", "llmsched.batching")

    def entry_points(group: str) -> list[importlib.metadata.EntryPoint]:
        return [entry] if group == entry.group else []

    monkeypatch.setattr(importlib.metadata, "entry_points", entry_points)
    catalog.parts.cache_clear()
    yield
    catalog.parts.cache_clear()


def test_an_entry_point_is_a_part_like_any_other(installed: None) -> None:
    policy = find("ljf+drain")
    assert (policy.order, policy.rule) == (Ljf(), Drain())
    assert list(parts("batching")) == [
        "chunked",
        "interleave",
        "lagrangian",
        "prefill_first",
        "shortest_remaining",
        "static",
        "whole_stage",
        "drain",
    ]
    assert replay(policy, outputs(1, 1), 1).makespan == 1.5
    with pytest.raises(InputError, match="static, whole_stage, drain"):
        find("nope")


@pytest.mark.parametrize("name", ["drain-all", "drain_all"])
def test_an_installed_part_keeps_its_hyphens_and_underscores(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    entry = importlib.metadata.EntryPoint(name, "tests.test_catalog:Drain", "llmsched.batching")
    monkeypatch.setattr(
        importlib.metadata, "entry_points", lambda group: [entry] if group == entry.group else []
    )
    catalog.parts.cache_clear()
    try:
        assert find(f"ljf+{name}").rule == Drain()
    finally:
        catalog.parts.cache_clear()


def test_an_installed_part_does_not_replace_one_of_the_same_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    entry = importlib.metadata.EntryPoint(
        "chunked", "tests.test_catalog:Drain", "llmsched.batching"
    )
    monkeypatch.setattr(
        importlib.metadata, "entry_points", lambda group: [entry] if group == entry.group else []
    )
    catalog.parts.cache_clear()
    try:
        assert find("chunked").rule == Chunked()
    finally:
        catalog.parts.cache_clear()
    assert capsys.readouterr().err == (
        "warning: entry point llmsched.batching: chunked = tests.test_catalog:Drain: the name is "
        "taken, so this one is left out\n"
    )


DRAIN = Drain()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            "llmsched.orders.fcfs:Fcfs",  # a class, but no rule
            "expected a class with a method start, got <class 'llmsched.orders.fcfs.Fcfs'>",
        ),
        (
            "tests.test_catalog:DRAIN",  # a rule, but no class
            "expected a class with a method start, got Drain()",
        ),
        ("no_such_module:X", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("tests.test_catalog:MINE", "expected a class with a method start, got '"),
    ],
)
def test_an_entry_point_that_is_no_part_is_left_out_with_a_warning(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], value: str, message: str
) -> None:
    entry = importlib.metadata.EntryPoint("drain", value, "llmsched.batching")
    monkeypatch.setattr(
        importlib.metadata, "entry_points", lambda group: [entry] if group == entry.group else []
    )
    catalog.parts.cache_clear()
    try:
        assert find("ljf+chunked").rule == Chunked()
        with pytest.raises(InputError, match="unknown 'drain'"):
            find("ljf+drain")
    finally:
        catalog.parts.cache_clear()
    said = capsys.readouterr().err
    assert said.startswith(f"warning: entry point llmsched.batching: drain = {value}: {message}")
    assert said.endswith("; it is left out\n")
    assert said.count("\n") == 1


def test_parts_are_found_by_looking() -> None:
    assert list(parts("orders")) == [
        "fcfs",
        "ljf",
        "lwf",
        "plan",
        "priority",
        "random",
        "sif",
        "sjf",
    ]
    assert list(parts("batching")) == [
        "chunked",
        "interleave",
        "lagrangian",
        "prefill_first",
        "shortest_remaining",
        "static",
        "whole_stage",
    ]


def test_of_a_module_only_its_own_dataclasses_with_the_method_are_parts() -> None:
    module = ModuleType("theirs")

    def own(name: str, **body: object) -> type:
        return type(name, (), {"__module__": "theirs", **body})

    def method(self: object) -> None: ...

    wanted: type = dataclass(own("Wanted", queue=method))
    values = {
        "Wanted": wanted,
        "Imported": Ljf,
        "Shapeless": dataclass(own("Shapeless")),
        "NotCallable": dataclass(own("NotCallable", queue=3)),
        "Bare": own("Bare", queue=method),
        "instance": wanted(),
        "number": 3,
        "Rule": dataclass(own("Rule", start=method)),
    }
    vars(module).update(values)
    assert list(_parts_in(module, "orders")) == [wanted]
    assert list(_parts_in(module, "batching")) == [values["Rule"]]


def test_a_part_describes_itself() -> None:
    assert summary(Fcfs) == "In order of arrival"
    assert summary(Ljf).startswith("Most predicted output tokens first")


class _Silent:
    pass


class _Talkative:
    """Whatever comes first. And then X.

    A second paragraph.
    """


def test_a_summary_is_one_line_and_empty_where_nothing_is_said() -> None:
    assert summary(_Silent) == ""
    assert summary(_Talkative) == "Whatever comes first. And then X"


def test_a_policy_says_what_it_needs() -> None:
    assert needs(find("fcfs")) == ""
    assert needs(find("vllm")) == "mixed steps"
    assert needs(find("ljf+chunked")) == "predicted lengths, mixed steps"


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        ("fcfs", ""),
        ("ljf", "predicted lengths"),
        ("vllm", "mixed steps"),
        ("ljf+chunked", "predicted lengths, mixed steps"),
    ],
)
def test_what_a_policy_needs_is_said_of_its_order_and_its_rule(spec: str, wanted: str) -> None:
    assert needs(find(spec)) == wanted
    assert needs_lengths(find(spec)) == ("predicted lengths" in wanted)


def test_policy_files_are_hashed_by_the_name_given_and_looked_for_beside_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, beside = tmp_path / "here", tmp_path / "beside"
    for folder in (here, beside):
        folder.mkdir()
        (folder / "a.py").write_text(f"# {folder.name}")
    (here / "b.py").write_text("# b")
    monkeypatch.chdir(here)
    specs = ["fcfs", " ./a.py:X +chunked", "ljf+b.py:Y:share=0.5", "./a.py:Z"]
    digests = {text: hashlib.sha256(text.encode()).hexdigest() for text in ("# beside", "# b")}
    found = policy_files(specs, beside)
    assert found == {"./a.py": digests["# beside"], "b.py": digests["# b"]}
    assert list(found) == ["./a.py", "b.py"]
    assert policy_files(["./a.py:X"], None)["./a.py"] != digests["# beside"]
    with pytest.raises(InputError, match=r"^none\.py: cannot read"):
        policy_files(["none.py:X"], None)


@pytest.mark.parametrize("number", ["1e+3", "1E+3", "10.0e+2"])
def test_a_plus_sign_of_an_exponent_separates_no_parts(number: str) -> None:
    policy = find(f"lagrangian:multiplier={number}+ljf")
    assert policy.rule == Lagrangian(multiplier=1000.0)
    assert policy.order == Ljf()
    assert policy.summary == "composed"


def test_a_policy_file_is_looked_for_in_the_folder_given(tmp_path: Path) -> None:
    (tmp_path / "beside_only.py").write_text(
        "class O:\n    def queue(self, jobs, view):\n        raise NotImplementedError\n"
    )
    assert type(find("./beside_only.py:O", tmp_path).order).__name__ == "O"
    with pytest.raises(InputError, match="expected a file that is there"):
        find("./beside_only.py:O")
