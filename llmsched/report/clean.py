"""Names as every reader can take them, whatever a trace, a policy or a file is called."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_LONE = r"\ud800-\udfff"
_UNENCODABLE = re.compile(f"[{_LONE}]")
_UNPRINTABLE = re.compile(rf"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffe\uffff{_LONE}]")


def cleaned(value: Any, *, printable: bool) -> Any:
    """Return a document whose texts encode as UTF-8, and whose zeros have no sign.

    Parameters
    ----------
    printable : bool
        Also replace control characters, which XML does not allow and a terminal would obey. JSON
        has escapes of its own for them.
    """
    if isinstance(value, str):
        unwanted = _UNPRINTABLE if printable else _UNENCODABLE
        return unwanted.sub(lambda found: ascii(found[0])[1:-1], value)
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
