"""What a word on the command line names: a scenario, a trace, a file before anything shipped.

A name that is too long for a file is none: `os.path` says so where `Path` raises an OSError.
"""

from __future__ import annotations

import os
from pathlib import Path

from llmsched.errors import InputError
from llmsched.files import shipped


def find_scenario(name: str) -> Path | None:
    """Return the file that a name or path of a scenario means; None if it means a trace.

    Raises
    ------
    InputError
        A bare word that names neither a file nor anything shipped.
    """
    if Path(name).suffix in (".yaml", ".yml"):
        return Path(name)
    if not _is_bare(name) or os.path.exists(name):
        return None
    inside = shipped("scenarios", f"{name}.yaml")
    if os.path.isfile(inside):
        return inside
    traces = shipped_traces()
    if name in traces:
        return None
    known = ", ".join(sorted(path.stem for path in shipped("scenarios").glob("*.yaml")))
    raise InputError(
        f"{name}: expected a trace file, a shipped scenario ({known}) "
        f"or a shipped trace ({', '.join(traces)}), got none of them"
    )


def find_trace(name: str) -> str:
    """Return the file that a trace's name or path means: a file goes before a shipped name.

    Raises
    ------
    InputError
        A bare word that names neither a file nor a shipped trace.
    """
    if not _is_bare(name) or os.path.exists(name):
        return name
    traces = shipped_traces()
    if name not in traces:
        known = ", ".join(traces)
        raise InputError(f"{name}: expected a trace file or a shipped trace ({known}), got neither")
    return str(traces[name])


def shipped_traces() -> dict[str, Path]:
    """Return the shipped traces, plain and compressed, by the name that every command takes."""
    files = sorted(shipped("traces").glob("*.jsonl*"))
    return {file.name.partition(".jsonl")[0]: file for file in files}


def _is_bare(name: str) -> bool:
    """Whether this is a word that may be a shipped name, neither a path nor stdin."""
    return not (Path(name).suffix or "/" in name or name == "-")
