"""What a replay reads of a saved plan for replicas: who runs what, and for which trace."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct


class Part(Struct):
    """One replica's share."""

    requests: Annotated[list[str], Meta(description="Ids in planned order.")]


class Planned(Struct):
    """The trace that a plan was made for."""

    sha256: str


class SplitRecord(Struct):
    """A plan of ``llmsched plan --replicas N --output FILE``; all else in it is for a reader."""

    schema_version: Literal[1]
    replicas: Annotated[list[Part], Meta(min_length=1)]
    trace: Planned
    refused: Annotated[list[str], Meta(description="Ids of requests that no engine takes.")] = []
