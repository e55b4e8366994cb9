"""From a name or a file to a profile: shipped ones, files, and files that extend others."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

from llmsched.errors import InputError
from llmsched.hardware.extends import inherited_fit, merged, read_extended
from llmsched.hardware.plausibility import implausible
from llmsched.hardware.profile import HardwareProfile, parse_profile
from llmsched.notes import warn
from llmsched.schema import within

_SHIPPED = Path(__file__).resolve().parent.parent / "data" / "hardware"


def shipped_profiles() -> list[str]:
    """Return the names of the profiles that come with llmsched, sorted."""
    return sorted(path.stem for path in _SHIPPED.glob("*.yaml"))


def load_profile(name_or_path: str | Path) -> HardwareProfile:
    """Load a shipped profile by name, or a YAML file by path.

    Numbers that look like a mistake of units are warned of, one line each.

    Raises
    ------
    InputError
        No such name or file, or a document that is not a valid profile: file, key and value.

    Examples
    --------
    >>> load_profile("llama65b-8gpu-paper").engine.max_num_seqs
    200
    """
    with within("hardware"):
        path = _find(str(name_or_path))
    profile = parse_profile(read_extended(path, _find), str(path))
    for line in implausible(profile):
        warn(line)
    return profile


def overridden(
    profile: HardwareProfile, override: Mapping[str, object], name: str | None, source: str
) -> HardwareProfile:
    """Return a profile with other fields, which its provenance then names.

    Raises
    ------
    InputError
        A field is unknown, or a value is not what it takes; `source` is the file to blame.
    """
    document = merged(profile.document, override)
    document["name"] = name or f"{profile.name} (overridden)"
    kept = {key: value for key, value in profile.provenance.items() if key != "fitted"}
    kept |= inherited_fit(profile.provenance, override)
    document["provenance"] = {**kept, "overridden": dict(override)}
    return replace(parse_profile(document, source), chosen=profile.chosen)


def _find(name: str, folder: Path = Path()) -> Path:
    shipped = _SHIPPED / f"{name}.yaml"
    if name in shipped_profiles():
        return shipped
    path = folder / name
    if path.suffix in (".yaml", ".yml") or "/" in name or os.path.isfile(path):
        return path
    holding = [one for one in shipped_profiles() if name.lower() in one]
    near = holding or get_close_matches(name, shipped_profiles(), n=3, cutoff=0.4)
    hint = f"; the closest are {', '.join(near)}" if near else ""
    raise InputError(
        f"expected a shipped profile or a YAML file, got {name!r}{hint} "
        "(llmsched hardware list shows all)"
    )
