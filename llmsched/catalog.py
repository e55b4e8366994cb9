"""Policies by name: the named ones, compositions, a user's own file, installed entry points.

An order or batching rule is found by looking: the modules of `llmsched.orders` and
`llmsched.batching` are searched for dataclasses with the right method, so a new one needs no entry
anywhere. A module's name is the part's name (`prefill_first`).

    hybrid                                   a named policy
    ljf+chunked                              an order and a batching rule
    ljf+lagrangian:multiplier=0.3:adapt=true parameters are the dataclass's fields
    ./mine.py:MyRule                         a class in a file; fcfs or prefill_first completes it

A value is read as its parameter's type says: text, numbers, true or false, none, choices. It needs
no quoting and may hold colons, but no plus sign (except that of 1e+3).
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import os
import pkgutil
import re
from collections.abc import Iterable, Iterator
from dataclasses import is_dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from llmsched.contract import Policy
from llmsched.errors import InputError
from llmsched.parameters import read_parameters
from llmsched.plugin import contained, installed, load_class
from llmsched.policies import ABSENT, NAMED
from llmsched.reading import read_whole
from llmsched.schema import shown

_METHOD = {"orders": "queue", "batching": "start"}
_DEFAULT = {"orders": "fcfs", "batching": "prefill_first"}
_EXPONENT = re.compile(r"=[-+]?[\d.]+[eE]$")
"""What a plus sign belongs to, in place of separating parts: ``share=1e+3``."""


def find(spec: str, folder: Path | None = None) -> Policy:
    """Return the policy that `spec` names.

    Parameters
    ----------
    folder : Path, optional
        Where files are looked for first, before the working directory: that of a scenario.

    Raises
    ------
    InputError
        An unknown name (the valid ones are listed), a file or class that cannot be loaded, a
        parameter that the part does not have, or a part that cannot be made with it.

    Examples
    --------
    >>> find("ljf+chunked:token_budget=512").rule
    Chunked(token_budget=512, split=True)
    """
    if spec in NAMED:
        return NAMED[spec]
    if spec in ABSENT:
        raise InputError(f"policy {spec!r} {ABSENT[spec]}")
    chosen: dict[str, Any] = {}
    for text in _split(spec):
        kind, part = _part(text.strip(), spec, folder)
        if kind in chosen:
            raise InputError(f"policy {spec!r}: expected one order and one batching rule")
        chosen[kind] = part
    for kind, default in _DEFAULT.items():
        chosen.setdefault(kind, parts(kind)[default]())
    return Policy(spec, chosen["orders"], chosen["batching"], "composed")


def _split(spec: str) -> list[str]:
    """Return what stands between plus signs; that of 1e+3 does not separate."""
    texts: list[str] = []
    for text in spec.split("+"):
        if texts and _EXPONENT.search(texts[-1]):
            texts[-1] += f"+{text}"
        else:
            texts.append(text)
    return texts


@cache
def parts(kind: str) -> dict[str, type]:
    """Return the known parts by name; `kind` is "orders" or "batching"."""
    package = importlib.import_module(f"llmsched.{kind}")
    known: dict[str, type] = {}
    for module in pkgutil.iter_modules(package.__path__):
        loaded = importlib.import_module(f"{package.__name__}.{module.name}")
        for part in _parts_in(loaded, kind):
            known[module.name] = part
    offered = installed(f"llmsched.{kind}", known, lambda name, part: _checked(part, kind))
    known.update((name, part) for name, _, part in offered)
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


def needs_lengths(policy: Policy) -> bool:
    """Return whether a policy looks at predicted lengths."""
    return "predicted lengths" in needs(policy)


def _checked(part: object, kind: str) -> type:
    method = _METHOD[kind]
    if inspect.isclass(part) and callable(getattr(part, method, None)):
        return part
    raise InputError(f"expected a class with a method {method}, got {part!r}")


def _parts_in(module: ModuleType, kind: str) -> Iterator[type]:
    for value in vars(module).values():
        if (
            inspect.isclass(value)
            and value.__module__ == module.__name__
            and is_dataclass(value)
            and callable(getattr(value, _METHOD[kind], None))
        ):
            yield value


def _part(text: str, spec: str, folder: Path | None) -> tuple[str, Any]:
    """Return the kind of a part and an instance with the parameters that `text` gives."""
    place = f"policy {spec!r}"
    file, colon, rest = text.partition(".py:")
    if colon:
        class_name, *parameters = rest.split(":")
        part = load_class(_beside(Path(file + ".py"), folder), class_name, place)
        with contained(place):  # a metaclass may be anybody's too
            kinds = [kind for kind in _METHOD if callable(getattr(part, _METHOD[kind], None))]
        if len(kinds) != 1:
            raise InputError(
                f"{place}: {class_name} must have a method queue (an order) or start (a rule)"
            )
        return kinds[0], _build(part, parameters, place, kinds[0])
    name, *parameters = text.split(":")
    for kind in _METHOD:
        found = parts(kind).get(name) or parts(kind).get(name.replace("-", "_"))
        if found is not None:
            return kind, _build(found, parameters, place, kind)
    raise _unknown(name, place)


def _unknown(name: str, place: str) -> InputError:
    if name in NAMED:
        return InputError(
            f"{place}: {name} is a whole policy, it takes no parameters and no other part"
        )
    if "/" in name or name.endswith(".py"):
        return InputError(f"{place}: expected a class in a Python file, FILE.py:CLASS; got {name}")
    orders, rules = ", ".join(parts("orders")), ", ".join(parts("batching"))
    near = get_close_matches(name, [*NAMED, *parts("orders"), *parts("batching")], n=1)
    hint = f"; did you mean {near[0]}?" if near else "."
    return InputError(
        f"{place}: unknown {name!r}{hint} Policies: {', '.join(NAMED)}. "
        f"Or ORDER+RULE: orders {orders}; rules {rules}."
    )


def policy_files(specs: Iterable[str], folder: Path | None) -> dict[str, str]:
    """Return the hash of each policy file that `specs` name, by the name given.

    Raises
    ------
    InputError
        A file cannot be read.
    """
    texts = (text.strip() for spec in specs for text in _split(spec))
    names = {f"{file}.py" for file, colon, _ in (text.partition(".py:") for text in texts) if colon}
    contents = {name: read_whole(_beside(Path(name), folder)) for name in sorted(names)}
    return {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}


def _beside(path: Path, folder: Path | None) -> Path:
    """Return the path from `folder` if there is such a file, else as it is."""
    near = path if folder is None else folder / path
    return near if os.path.isfile(near) else path


def _build(part: type, parameters: list[str], place: str, kind: str) -> Any:
    """Create a part, which may be anybody's code."""
    values = read_parameters(part, parameters, place)
    with contained(place):
        made = part(**values)
        mixed, needed = getattr(made, "mixed", None), getattr(made, "needs", "")
    if kind == "batching" and not isinstance(mixed, bool):
        raise InputError(
            f"{place}: {part.__name__} must say whether it needs mixed steps: mixed = False"
        )
    if not isinstance(needed, str):
        raise InputError(f"{place}: {part.__name__}.needs: expected a text, got {shown(needed)}")
    return made
