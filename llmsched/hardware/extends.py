"""`extends:`, a profile that takes another one and overrides some of its fields."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from llmsched.documents.yaml import read_mapping
from llmsched.errors import InputError
from llmsched.hardware.document import Extension
from llmsched.schema import checked, within

_MAX_DEPTH = 8

_NOT_PRICES = {"kind", "unit", "mixed", "overhead"}


def read_extended(path: Path, locate: Callable[[str, Path], Path]) -> dict[str, object]:
    """Read a YAML file and everything that it extends, the nearest file winning.

    `locate` turns what `extends` says, and the folder of the file that says it, into a path.

    Raises
    ------
    InputError
        A file cannot be read or is no profile, or files extend each other in a circle.
    """
    chain = [path]
    documents = [read_mapping(path)]
    while "extends" in documents[-1]:
        base = checked(documents[-1], Extension, str(chain[-1])).extends
        with within(f"{chain[-1]}: extends", ": "):
            chain.append(locate(base, chain[-1].parent))
        if len(chain) > _MAX_DEPTH:
            raise InputError(
                f"{path}: extends: expected at most {_MAX_DEPTH} files, got a longer chain"
            )
        documents.append(read_mapping(chain[-1]))
    resolved = documents.pop()
    while documents:
        resolved = _override(resolved, documents.pop())
    return resolved


def _override(base: Mapping[str, object], own: Mapping[str, object]) -> dict[str, object]:
    """Return `base` with the fields of `own`, whose provenance says what it was built from."""
    inherited = dict(base)
    mine = {key: value for key, value in own.items() if key != "extends"}
    if _kind(own) not in (None, _kind(base)):
        inherited.pop("step_time", None)
    provenance = inherited.pop("provenance", {})
    origin = {"extends": own["extends"], "base": provenance}
    stated = mine.pop("provenance", {"status": "modified", "method": "fields overridden by hand"})
    if isinstance(stated, Mapping):
        stated = {**inherited_fit(provenance, own), **stated}
    whole = merged(inherited, mine)
    whole["provenance"] = {**stated, **origin} if isinstance(stated, Mapping) else stated
    return whole


def inherited_fit(provenance: object, changes: Mapping[str, object]) -> dict[str, object]:
    """Return what a profile with other fields keeps of its base's provenance: the fitted ranges.

    Where prices were changed there is nothing to keep.
    """
    step_time = changes.get("step_time", {})
    if not isinstance(provenance, Mapping) or "fitted" not in provenance:
        return {}
    kept = isinstance(step_time, Mapping) and step_time.keys() <= _NOT_PRICES
    return {"fitted": provenance["fitted"]} if kept else {}


def merged(base: Mapping[str, object], own: Mapping[str, object]) -> dict[str, object]:
    """Return `base` with the fields of `own`: mappings are merged, all else is replaced."""
    result = dict(base)
    for key, value in own.items():
        below = result.get(key)
        if isinstance(below, Mapping) and isinstance(value, Mapping):
            value = merged(below, value)
        result[key] = value
    return result


def _kind(document: Mapping[str, object]) -> object:
    step_time = document.get("step_time")
    return step_time.get("kind") if isinstance(step_time, Mapping) else None
