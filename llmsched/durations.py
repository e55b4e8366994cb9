"""Spans of time as people write them: 90, 500ms, 30s, 10m, 2h."""

from __future__ import annotations

import re

from llmsched.errors import InputError

_SECONDS = {"": 1.0, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SPAN = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ms|s|m|h|d|)")
_FORMS = "seconds or a span like 500ms, 30s, 10m, 2h"


def seconds_of(span: float | str) -> float:
    """Return a span in seconds; a number without a unit counts them.

    Raises
    ------
    InputError
        It is none.

    Examples
    --------
    >>> seconds_of("10m"), seconds_of("1.5"), seconds_of(2)
    (600.0, 1.5, 2.0)
    """
    found = _SPAN.fullmatch(str(span))
    if found is None or len(found[1]) > 15:
        raise InputError(f"expected {_FORMS}; got {span!r}")
    return float(found[1]) * _SECONDS[found[2]]
