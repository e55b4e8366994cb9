"""Classes and formats from a user's own file or an installed package; what they do wrong is a line.

A file is imported once a process, under a name of its own that follows from where it is, so that
files of the same name do not clash and dataclasses find their module. Its folder does not become
part of the import path: a policy called ``queue.py`` must not replace Python's own module.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import inspect
import os
import re
import sys
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from llmsched.errors import InputError, LlmschedError, PolicyError
from llmsched.files import input_path
from llmsched.foreign import stdout_kept, told
from llmsched.notes import warn

_T = TypeVar("_T")
_NAME = re.compile(r"\w[\w.-]{0,63}")


def load_class(path: Path, class_name: str, place: str) -> type:
    """Return a class of a Python file; `place` begins every message.

    Raises
    ------
    InputError
        There is no such file or class, or importing the file fails.
    """
    module = _module(path, place)
    part = getattr(module, class_name, None)
    if inspect.isclass(part):
        return part
    here = [
        name
        for name, value in vars(module).items()
        if inspect.isclass(value) and value.__module__ == module.__name__
    ]
    raise InputError(
        f"{place}: expected a class of {path} ({', '.join(here) or 'it has none'}), "
        f"got {class_name!r}"
    )


@contextmanager
def contained(place: str) -> Iterator[None]:
    """Run foreign code: what it raises becomes one line, what it prints goes to stderr.

    Parameters
    ----------
    place : str
        What the line begins with.

    Raises
    ------
    InputError
        Anything was raised but KeyboardInterrupt, SystemExit included.
    """
    try:
        with stdout_kept():
            yield
    except (InputError, PolicyError) as error:
        raise type(error)(f"{place}: {error}") from error
    except (LlmschedError, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise InputError(told(place, error)) from error


def installed(
    group: str, taken: Container[str], accept: Callable[[str, object], _T]
) -> Iterator[tuple[str, str, _T]]:
    """Yield what installed packages offer: name, place for messages, and the object.

    Left out with a warning: a name in `taken`, as what it means must not depend on what else is
    installed; and what cannot be imported or accepted, as it must not end a run without use for it.

    Parameters
    ----------
    accept : callable
        Returns what was offered under a name as what it must be, or raises an `InputError`.
    """
    for entry in importlib.metadata.entry_points(group=group):
        place = f"entry point {group}: {entry.name} = {entry.value}"
        if entry.name in taken:
            warn(f"{place}: the name is taken, so this one is left out")
            continue
        try:
            with contained(place):
                if not _NAME.fullmatch(entry.name):
                    raise InputError("expected a name of letters, digits, '_', '-' and '.'")
                found = accept(entry.name, entry.load())
        except InputError as error:
            warn(f"{error}; it is left out")
        else:
            yield entry.name, place, found


def _module(path: Path, place: str) -> ModuleType:
    """Import a file, or return its module if that has been done."""
    if path.suffix != ".py" or not os.path.isfile(path):
        wrong = "a Python file, FILE.py:CLASS" if os.path.exists(path) else "a file that is there"
        raise InputError(f"{place}: expected {wrong}, got {str(path)!r}")
    resolved = input_path(path).resolve()
    digest = hashlib.sha256(str(resolved).encode(errors="surrogateescape")).hexdigest()
    name = f"policy_file_{path.stem}_{digest[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    found = importlib.util.spec_from_file_location(name, resolved)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    sys.modules[name] = module  # before it runs: dataclasses look their annotations up there
    try:
        with contained(place):
            found.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return module
