"""The order in which a saved plan wants its requests, and which of them a server's request is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Annotated

import orjson
from msgspec import Meta, Struct

from llmsched.errors import InputError
from llmsched.reading import read_whole
from llmsched.schema import checked

SUFFIX = re.compile(r"-[0-9a-z]{8}$")
"""What vLLM appends to the id of every request, so that no two are equal."""

_PREFIX = re.compile(r"^(chatcmpl|cmpl|resp)[-_]")
_CHOICE = re.compile(r"[-_]\d+$")
"""Which of the prompts of one completion it is."""


class _Share(Struct):
    requests: Annotated[list[str], Meta(description="Ids in planned order.")]


class _Saved(Struct):
    """A plan of ``llmsched plan --output FILE``, for slots or for replicas."""

    slots: list[list[str]] = []
    replicas: list[_Share] = []


def planned_ranks(path: str | Path, replica: int = 0) -> dict[str, int]:
    """Return the place of each request in a saved plan, by id.

    Of a plan for slots, the first of every slot come first, then the second of every slot.

    Parameters
    ----------
    replica : int
        Whose share, of a plan for replicas.

    Raises
    ------
    InputError
        The file cannot be read, or is no plan, or has no such replica.
    """
    try:
        document = orjson.loads(read_whole(path))
    except orjson.JSONDecodeError as error:
        raise InputError(f"{path}: expected a plan, got: {error}") from error
    plan = checked(document, _Saved, str(path))
    if plan.replicas:
        if not 0 <= replica < len(plan.replicas):
            last = len(plan.replicas) - 1
            raise InputError(f"{path}: expected a replica in 0..{last}, got {replica}")
        ids = plan.replicas[replica].requests
    elif plan.slots:
        rounds = zip_longest(*plan.slots)
        ids = [name for names in rounds for name in names if name is not None]
    else:
        raise InputError(f"{path}: expected a plan (llmsched plan --output FILE)")
    return {name: place for place, name in enumerate(ids)}


def planned_rank(request_id: str, ranks: Mapping[str, int]) -> int | None:
    """Return the place of a server's request in a plan; None if it is not planned.

    A client names its request by the header ``X-Request-Id``, or by ``request_id`` in the body.
    The server puts the kind of request before that name, and after it the number of the prompt and
    what makes it unique.
    """
    bare = SUFFIX.sub("", request_id)
    asked = _PREFIX.sub("", bare)
    for name in (request_id, bare, asked, _CHOICE.sub("", asked)):
        if name in ranks:
            return ranks[name]
    return None
