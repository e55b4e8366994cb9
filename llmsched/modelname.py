"""Whether a name of a model means the one that a hardware profile has the step times of."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from llmsched.schema import shown

if TYPE_CHECKING:
    from llmsched.hardware.profile import HardwareProfile
    from llmsched.trace import Trace

_SIZED = re.compile(
    r"(?P<family>[a-z]+)[-_ ]?(?:v?(?P<version>\d+)(?:\.\d+)?)?[-_ :](?P<size>\d+(?:[.x]\d+)*b)\b"
)
"""Family, version and size, as in llama-3.1-8b, Qwen2.5_72B, mixtral-8x7b, opt-6.7b."""

_LONGEST = 100
"""Characters looked at: a file may hold any text, and the search is quadratic."""

_HUB = re.compile(r"[\w.-]+/[\w.-]+")
"""A repository of a model hub, OWNER/NAME; neither an alias nor a path on some disk."""


def other_models(trace: Trace, profile: HardwareProfile) -> list[str]:
    """Return at most one line that names a model of the trace which is not the profile's.

    Only where both names say enough: an alias (``my-model``), or a service's name that no profile
    can have (``gpt-4o``), says nothing about step times.
    """
    priced = str(profile.model.get("name", ""))
    others = [model for model in trace.models if priced and not _may_be(model, priced)]
    if not others:
        return []
    more = f" and {len(others) - 1} more" if others[1:] else ""
    return [
        f"{trace.name}: names the model {shown(others[0])}{more}, but {profile.name} has the step "
        f"times of {priced}; see `llmsched hardware list`"
    ]


def _may_be(model: str, priced: str) -> bool:
    ours, theirs = _parsed(model), _parsed(priced)
    if theirs is None:
        return True
    if ours is not None:
        return ours == theirs
    return _HUB.fullmatch(model) is None or theirs[0] in model.lower()


def _parsed(name: str) -> tuple[str, str, str] | None:
    """Return family, major version and size; minor versions share their shape (Llama 3 and 3.1)."""
    found = _SIZED.search(name.rpartition("/")[2].lower()[:_LONGEST])
    return found and (found["family"], found["version"] or "1", found["size"])
