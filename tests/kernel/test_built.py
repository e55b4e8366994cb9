"""Which kernel runs beside which files, and what is said of it; nothing is compiled here."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from llmsched.kernel import SLOWER, built
from tests.kernels import FOLDER, THIS

ASK = "from llmsched import kernel; print(kernel.which()); import llmsched.kernel.blocks"


class Copy:
    """A copy of the package, as far as its kernel needs it, with files that are no real modules."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / "llmsched" / "kernel"
        ignored = shutil.ignore_patterns("__pycache__", f"*{built.SUFFIX}", built.STAMP)
        shutil.copytree(FOLDER, self.folder, ignore=ignored)
        for name in ("__init__", "version", "notes", "columns"):
            shutil.copy(FOLDER.parent / f"{name}.py", root / "llmsched")

    def stamp(self, text: str) -> None:
        (self.folder / built.STAMP).write_text(text)

    def compile(self) -> None:
        for name in (*built.modules(self.folder), built.SHARED):
            (self.folder / f"{name}{built.SUFFIX}").write_text("not an extension module")
        self.stamp(built.checksums(self.folder))

    def edit(self, name: str) -> None:
        with (self.folder / name).open("a") as file:
            file.write("# edited\n")

    def run(self, code: str = ASK, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a program on the copy, whose extension modules cannot be imported."""
        environment = {name: os.environ[name] for name in os.environ if name != "LLMSCHED_KERNEL"}
        environment |= {"PYTHONPATH": str(self.root), **variables}
        words = [sys.executable, "-c", code]
        return subprocess.run(words, cwd=self.root, env=environment, capture_output=True, text=True)

    def says(self, **variables: str) -> tuple[str, str]:
        """Return which kernel runs, and the warnings."""
        done = self.run(**variables)
        assert done.returncode == 0, done.stderr
        return done.stdout.rstrip("\n"), done.stderr


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    return Copy(tmp_path)


def python(why: str) -> str:
    return f"engine: Python, {SLOWER} slower: {why}"


def damaged(copy: Copy, names: str) -> tuple[str, str]:
    """Return what is said where the extension modules of these names are damaged."""
    why = f"extension module damaged: {names}"
    warning = f"{copy.folder}: {why}; the sources run, {SLOWER} slower: `make kernel` compiles them"
    return python(why), f"warning: {warning}\n"


def test_where_all_is_compiled_from_these_sources_the_extension_modules_run(copy: Copy) -> None:
    copy.compile()
    done = copy.run()
    assert done.stdout == "engine: compiled\n"
    assert "ImportError" in done.stderr  # they are none, and nothing else was tried


def test_where_nothing_was_compiled_for_this_python_the_sources_run(copy: Copy) -> None:
    assert copy.says() == (python("no extension for this Python"), "")


def test_where_no_compiler_worked_the_sources_run_and_that_is_the_reason(copy: Copy) -> None:
    copy.stamp("no working compiler at install")
    assert copy.says() == (python("no working compiler at install"), "")


def test_the_sources_run_where_the_environment_asks_for_them(copy: Copy) -> None:
    copy.compile()
    copy.edit("blocks.py")  # of which there is nothing to warn then
    assert copy.says(LLMSCHED_KERNEL="python") == (python("LLMSCHED_KERNEL=python"), "")


@pytest.mark.parametrize("name", ["blocks.py", "blocks.pxd"])
def test_an_edited_source_runs_instead_of_its_stale_extension_module(copy: Copy, name: str) -> None:
    copy.compile()
    copy.edit(name)
    why = f"edited source beside a stale extension module: {name}"
    warning = f"{copy.folder}: {why}; the sources run, {SLOWER} slower: `make kernel` compiles them"
    assert copy.says() == (python(why), f"warning: {warning}\n")


@pytest.mark.parametrize("name", ["blocks", built.SHARED])
def test_one_missing_extension_module_lets_all_sources_run(copy: Copy, name: str) -> None:
    copy.compile()
    (copy.folder / f"{name}{built.SUFFIX}").unlink()
    said, warned = copy.says()
    assert said == python(f"extension module missing: {name}")
    assert warned.startswith("warning: ")


def _fold(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGES: dict[str, Callable[[Path], object]] = {
    "truncated": lambda path: os.truncate(path, path.stat().st_size // 2),
    "of no bytes": lambda path: os.truncate(path, 0),
    "one byte changed": lambda path: path.write_bytes(bytes([1]) + path.read_bytes()[1:]),
    "another of the same size": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "a folder, which cannot be read": _fold,
}


@pytest.mark.parametrize("name", ["blocks", built.SHARED])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_extension_module_is_not_imported(copy: Copy, name: str, damage: str) -> None:
    copy.compile()
    DAMAGES[damage](copy.folder / f"{name}{built.SUFFIX}")
    assert copy.says() == damaged(copy, name)


def test_extension_modules_that_have_changed_places_are_damaged(copy: Copy) -> None:
    copy.compile()
    one, two = (copy.folder / f"{name}{built.SUFFIX}" for name in ("blocks", "engine"))
    one.write_text("another")
    copy.stamp(built.checksums(copy.folder))
    one.rename(between := copy.folder / "between")
    two.rename(one)
    between.rename(two)
    assert copy.says() == damaged(copy, "blocks, engine")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads everything")
def test_an_extension_module_that_cannot_be_read_is_damaged(copy: Copy) -> None:
    copy.compile()
    (copy.folder / f"blocks{built.SUFFIX}").chmod(0)
    assert copy.says() == damaged(copy, "blocks")


def test_a_missing_one_is_named_before_a_damaged_one(copy: Copy) -> None:
    copy.compile()
    (copy.folder / f"engine{built.SUFFIX}").unlink()
    os.truncate(copy.folder / f"blocks{built.SUFFIX}", 0)
    assert copy.says()[0] == python("extension module missing: engine")


@pytest.mark.parametrize("text", ["", "\n", "blocks.py\n"])
def test_a_damaged_stamp_lets_the_sources_run(copy: Copy, text: str) -> None:
    copy.compile()
    copy.stamp(text)
    assert copy.says()[0].startswith(python("edited source beside a stale extension module: "))


@pytest.mark.skipif(THIS != "compiled", reason="nothing is compiled")
def test_the_extension_modules_of_this_checkout_are_whole() -> None:
    said = (FOLDER / built.STAMP).read_text().splitlines()
    assert [line.split()[1] for line in said] == [
        str((FOLDER / line.split()[0]).stat().st_size) for line in said
    ]
    assert sum(built.SUFFIX in line for line in said) == len(built.modules(FOLDER)) + 1


def test_a_new_module_is_an_edited_source_too(copy: Copy) -> None:
    copy.compile()
    for suffix in (".py", ".pxd"):
        (copy.folder / f"added{suffix}").touch()
    assert copy.says()[0].endswith("stale extension module: added.pxd, added.py")


def test_times_of_files_say_nothing(copy: Copy) -> None:
    copy.compile()
    for path in copy.folder.glob("blocks.p*"):
        os.utime(path, (2e9, 2e9))
    assert copy.run().stdout == "engine: compiled\n"


def test_child_processes_run_the_same_kernel_and_do_not_warn_again(copy: Copy) -> None:
    copy.compile()
    copy.edit("blocks.py")
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {ASK!r}], check=True)"
    done = copy.run(f"{ASK}; {child}")
    assert done.returncode == 0
    assert done.stdout.count("Python") == 2
    assert done.stderr.count("warning") == 1


def test_choosing_a_kernel_imports_nothing_heavy(copy: Copy) -> None:
    before = "import sys; before = {*sys.modules}"  # coverage of child processes imports some
    done = copy.run(f"{before}; import llmsched.kernel; print(*{{*sys.modules}} - before)")
    assert not {"numpy", "multiprocessing", "hashlib"} & set(done.stdout.split())
