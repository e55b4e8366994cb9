"""Policies by name: the named ones, compositions, a user's own file, installed entry points.

An order or batching rule is found by looking: the modules of `llmsched.orders` and
`llmsched.batching` are searched for dataclasses with the right method, so a new one needs no entry
anywhere. A module's name is the part's name (`prefill_first`).

    hybrid                                   a named policy
    ljf+chunked                              an order and a batching rule
    ljf+lagrangian:multiplier=0.3:adapt=true parameters are the dataclass's fields
    ./mine.py:MyRule                         a class in a file; fcfs or prefill_first completes it
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import inspect
import pkgutil
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from llmsched.errors import InputError
from llmsched.files import reading
from llmsched.policies import NAMED, Policy

_METHOD = {"orders": "queue", "batching": "start"}
_DEFAULT = {"orders": "fcfs", "batching": "prefill_first"}


def find(spec: str) -> Policy:
    """Return the policy that `spec` names.

    Raises
    ------
    InputError
        An unknown name (the valid ones are listed), a file or class that cannot be loaded, or a
        parameter that the part does not have.
    """
    if spec in NAMED:
        return NAMED[spec]
    chosen: dict[str, Any] = {}
    for text in spec.split("+"):
        kind, part = _part(text.strip(), spec)
        if kind in chosen:
            raise InputError(f"policy {spec!r}: expected one order and one batching rule")
        chosen[kind] = part
    for kind, default in _DEFAULT.items():
        chosen.setdefault(kind, parts(kind)[default]())
    return Policy(spec, chosen["orders"], chosen["batching"], "composed")


@cache
def parts(kind: str) -> dict[str, type]:
    """Return the known parts by name; `kind` is "orders" or "batching"."""
    package = importlib.import_module(f"llmsched.{kind}")
    known: dict[str, type] = {}
    for module in pkgutil.iter_modules(package.__path__):
        loaded = importlib.import_module(f"{package.__name__}.{module.name}")
        for part in _parts_in(loaded, kind):
            known[module.name] = part
    for entry in importlib.metadata.entry_points(group=f"llmsched.{kind}"):
        known[entry.name] = _load(entry)
    return known


def summary(part: type) -> str:
    """Return the first line of a part's docstring, without its full stop."""
    return (inspect.getdoc(part) or "").partition("\n")[0].rstrip(".")


def needs(policy: Policy) -> str:
    """Return what a policy needs: predicted lengths, mixed steps, or nothing."""
    wanted = [text for text in (getattr(policy.order, "needs", ""),) if text]
    if policy.rule.mixed:
        wanted.append("mixed steps")
    return ", ".join(wanted)


def _load(entry: importlib.metadata.EntryPoint) -> type:
    where = f"entry point {entry.group}: {entry.name} = {entry.value}"
    try:
        part = entry.load()
    except Exception as error:  # whatever an installed package does at import
        raise InputError(f"{where}: {type(error).__name__}: {error}") from error
    method = _METHOD[entry.group.rpartition(".")[2]]
    if inspect.isclass(part) and callable(getattr(part, method, None)):
        return part
    raise InputError(f"{where}: expected a class with a method {method}, got {part!r}")


def _parts_in(module: ModuleType, kind: str) -> Iterator[type]:
    for value in vars(module).values():
        if (
            inspect.isclass(value)
            and value.__module__ == module.__name__
            and is_dataclass(value)
            and callable(getattr(value, _METHOD[kind], None))
        ):
            yield value


def _part(text: str, spec: str) -> tuple[str, Any]:
    """Return the kind of a part and an instance with the parameters that `text` gives."""
    name, _, rest = text.partition(".py:")
    if rest:
        class_name, *parameters = rest.split(":")
        part = _from_file(Path(name + ".py"), class_name, spec)
        kinds = [kind for kind, method in _METHOD.items() if callable(getattr(part, method, None))]
        if len(kinds) != 1:
            raise InputError(
                f"policy {spec!r}: {class_name} must have a method queue (an order) or "
                "start (a rule)"
            )
        if kinds == ["batching"] and not hasattr(part, "mixed"):
            raise InputError(
                f"policy {spec!r}: {class_name} must say whether it needs mixed "
                "steps: mixed = False"
            )
        return kinds[0], _build(part, parameters, spec)
    name, *parameters = text.split(":")
    for kind in _METHOD:
        found = parts(kind).get(name) or parts(kind).get(name.replace("-", "_"))
        if found is not None:
            return kind, _build(found, parameters, spec)
    if name in NAMED:
        raise InputError(
            f"policy {spec!r}: {name} is a whole policy, it takes no parameters and no other part"
        )
    orders, rules = ", ".join(parts("orders")), ", ".join(parts("batching"))
    near = get_close_matches(name, [*NAMED, *parts("orders"), *parts("batching")], n=1)
    hint = f"; did you mean {near[0]}?" if near else "."
    raise InputError(
        f"policy {spec!r}: unknown {name!r}{hint} Policies: {', '.join(NAMED)}. "
        f"Or ORDER+RULE: orders {orders}; rules {rules}."
    )


def _from_file(path: Path, class_name: str, spec: str) -> type:
    if not path.is_file():
        raise InputError(f"policy {spec!r}: no such file {str(path)!r}")
    loader = importlib.util.spec_from_file_location(f"llmsched_policy_{path.stem}", reading(path))
    assert loader is not None
    assert loader.loader is not None
    module = importlib.util.module_from_spec(loader)
    try:
        loader.loader.exec_module(module)
    except Exception as error:  # whatever a user's file does at import
        raise InputError(f"{path}: {type(error).__name__}: {error}") from error
    part = getattr(module, class_name, None)
    if not inspect.isclass(part):
        raise InputError(f"{path}: expected a class named {class_name!r}")
    return part


def _build(part: type, parameters: list[str], spec: str) -> Any:
    """Create a part, reading each NAME=VALUE as the type of the field's default."""
    known = {f.name: f.default for f in fields(part)} if is_dataclass(part) else {}
    values: dict[str, object] = {}
    for parameter in parameters:
        name, _, text = parameter.partition("=")
        if name not in known:
            listed = ", ".join(known) or "none"
            raise InputError(f"policy {spec!r}: unknown parameter {name!r} (parameters: {listed})")
        if name in values:
            raise InputError(f"policy {spec!r}: parameter {name!r} is given twice")
        values[name] = _value(text, known[name], f"policy {spec!r}: {name}")
    try:
        return part(**values)
    except TypeError as error:  # a parameter without a default
        raise InputError(f"policy {spec!r}: {error}") from error


def _value(text: str, default: object, where: str) -> object:
    if isinstance(default, bool):
        if text.lower() in ("true", "false"):
            return text.lower() == "true"
        raise InputError(f"{where}: expected true or false, got {text!r}")
    kind = float if isinstance(default, float) else int
    try:
        return kind(text)
    except ValueError:
        noun = "a number" if kind is float else "an integer"
        raise InputError(f"{where}: expected {noun}, got {text!r}") from None
