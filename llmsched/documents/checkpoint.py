"""What a study keeps of each finished row."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Annotated, Any

import orjson
from msgspec import Meta, Struct

from llmsched.documents.row import check_all_there, check_row
from llmsched.errors import InputError
from llmsched.schema import checked

Index = Annotated[int, Meta(ge=0)]


class Finished(Struct, forbid_unknown_fields=True):
    """One row, with a checksum that an edit does not keep."""

    cell: Index
    case: Index
    row: dict[str, Any]
    crc32: Index


def finished_line(cell: int, case: int, row: Mapping[str, Any]) -> bytes:
    """Return a finished row as a line of a checkpoint."""
    record = {"cell": cell, "case": case, "row": row}
    record["crc32"] = _checksum(record)
    return orjson.dumps(record, option=orjson.OPT_SERIALIZE_NUMPY) + b"\n"


def parse_finished(line: bytes, place: str) -> Finished:
    """Read a line of a checkpoint; `place` names it.

    Raises
    ------
    InputError
        It is no finished row, or one that was edited.
    """
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise InputError(f"{place}: expected a row of a study, got something else") from error
    found = checked(record, Finished, place)
    check_row(found.row, f"{place}: row", whole=True)
    check_all_there(found.row, f"{place}: row")
    told = record.pop("crc32")
    if told != _checksum(record):
        raise InputError(f"{place}: crc32: expected {_checksum(record)} for this row, got {told}")
    return found


def _checksum(record: Mapping[str, Any]) -> int:
    return zlib.crc32(orjson.dumps(record, option=orjson.OPT_SERIALIZE_NUMPY))
