"""The package's own names: documented, complete, and free until they are used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import llmsched


@pytest.mark.parametrize("name", llmsched.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(llmsched, name) is not None


def test_an_unknown_name_is_an_ordinary_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'llmsched' has no attribute 'nonsense'"):
        _ = llmsched.nonsense  # type: ignore[attr-defined]  # that is the point


def test_every_file_that_the_docstring_names_is_there() -> None:
    folder = Path(llmsched.__file__).parent
    for name in ("policies.py", "kernel/engine.py", "bounds.py"):
        assert f"`{name}`" in str(llmsched.__doc__)
        assert (folder / name).is_file()


def test_importing_the_package_or_its_command_line_imports_no_numpy() -> None:
    code = "import llmsched, llmsched.cli, sys; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_public_name_is_listed() -> None:
    code = "import llmsched; assert set(llmsched.__all__) <= set(dir(llmsched))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_comparing_is_a_function_whatever_was_imported() -> None:
    import llmsched.comparison.study  # a room, not the function

    assert callable(llmsched.compare)
