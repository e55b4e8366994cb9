"""Names as every reader can take them, whatever a trace, a policy or a file is called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmsched import notes
from llmsched.files import encoded


def cleaned(value: Any, *, printable: bool) -> Any:
    """Return a document whose texts encode as UTF-8, and whose zeros have no sign.

    Parameters
    ----------
    printable : bool
        Also replace what `notes.printable` does. JSON has escapes of its own for that.
    """
    if isinstance(value, str):
        return notes.printable(value) if printable else encoded(value).decode()
    if isinstance(value, float):
        return value + 0.0
    if isinstance(value, Mapping):
        return {
            cleaned(key, printable=printable): cleaned(inner, printable=printable)
            for key, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [cleaned(inner, printable=printable) for inner in value]
    return value
