"""A YAML file as one plain mapping, without YAML's traps, and back."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from llmsched.errors import InputError
from llmsched.reading import MIB, read_text
from llmsched.schema import shown

MAX_YAML = MIB
"""Bytes of a YAML file, of which no profile or scenario needs a hundredth; parsing it is slow."""


class _StrictLoader(yaml.SafeLoader):
    """YAML without its traps: no repeated keys, no aliases, no dates, and 3e-5 is a number."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.MarkedYAMLError(
                problem="aliases are not allowed", problem_mark=self.get_mark()
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag != "tag:yaml.org,2002:str":
                raise yaml.MarkedYAMLError(
                    problem="a key must be a text", problem_mark=key.start_mark
                )
            if key.value in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"{key.value} is given twice", problem_mark=key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _resolvers() -> dict[str, list[tuple[str, Any]]]:
    """Return the implicit types of a scalar: those of YAML 1.1 with 1.2's floats, no dates."""
    dropped = ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:float", "tag:yaml.org,2002:merge")
    kept = {
        first: [(tag, regexp) for tag, regexp in pairs if tag not in dropped]
        for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    number = re.compile(
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$|[-+]?\.(inf|Inf|INF)$|\.(nan|NaN|NAN)$"
    )
    for first in "-+0123456789.":
        kept.setdefault(first, []).append(("tag:yaml.org,2002:float", number))
    return kept


_StrictLoader.yaml_implicit_resolvers = _resolvers()


def read_mapping(path: Path) -> dict[str, object]:
    """Return the mapping that a YAML file holds.

    Raises
    ------
    InputError
        The file cannot be read, is not YAML, or holds something else than one mapping.
    """
    document = _parsed(read_text(path, MAX_YAML), str(path), _StrictLoader)
    if not isinstance(document, dict):
        raise InputError(f"{path}: expected a mapping, got {shown(document)}")
    return document


class _ForeignLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # either
    """YAML of other tools, which may hold aliases; dates stay texts."""


_ForeignLoader.yaml_implicit_resolvers = _resolvers()


def read_foreign(text: bytes, path: str) -> object:
    """Return what a YAML document of another tool holds.

    Raises
    ------
    InputError
        It is not YAML.
    """
    return _parsed(text, path, _ForeignLoader, ":1")


def _parsed(text: str | bytes, path: str, loader: Any, start: str = "") -> object:
    try:
        return yaml.load(text, Loader=loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = f":{mark.line + 1}" if mark else start
        raise InputError(f"{path}{line}: expected YAML, got: {error.problem}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        problem = " ".join(str(error).split())
        raise InputError(f"{path}{start}: expected YAML, got: {problem}") from error


class _Dumper(yaml.SafeDumper):
    """YAML as a person would write it: lists of numbers on one line, lists of text indented."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def represent_sequence(self, tag: str, sequence: Any, flow_style: bool | None = None) -> Any:
        numbers = all(isinstance(item, int | float) for item in sequence)
        return super().represent_sequence(tag, sequence, flow_style=numbers or None)


def as_yaml(document: Mapping[str, object]) -> str:
    """Return a document as YAML that `read_mapping` reads back unchanged."""
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=96, allow_unicode=True)


def as_json(document: Mapping[str, object]) -> str:
    """Return a document as indented JSON."""
    return json.dumps(document, indent=2, ensure_ascii=False)
