"""Finished rows of a study in a file: JSON lines, added one by one, read back on resume."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from llmsched.comparison.study import Run, Study
from llmsched.documents.checkpoint import finished_line, parse_finished
from llmsched.documents.row import Row
from llmsched.errors import InputError, NotComparableError
from llmsched.reading import Lines

SCHEMA_VERSION = 2


class Checkpoint:
    """The rows of one study that are finished.

    The first line of the file says which study its rows belong to; every further line is one row,
    written with a single append. A killed run thus leaves at most one broken line, the last, which
    is dropped.

    Parameters
    ----------
    path : Path
        The file; it need not exist.
    study : Study
        What its rows must belong to. The number of cases may differ: a case does not depend on it.

    Raises
    ------
    InputError
        The file cannot be read, or is no checkpoint.
    NotComparableError
        It belongs to another study.
    """

    def __init__(self, path: Path, study: Study) -> None:
        self.path = path
        self._header: dict[str, Any] = {"schema_version": SCHEMA_VERSION, **study.identity()}
        self._cells = len(study.cells)
        self.rows: dict[Run, Row] = {}
        self._sound_bytes = 0
        self._read()

    def add(self, task: Run, row: Row) -> None:
        """Remember a row; it is in the file when this returns.

        Raises
        ------
        InputError
            The file cannot be written.
        """
        line = finished_line(task.cell, task.case, row)
        if self._sound_bytes == 0:
            line = orjson.dumps(self._header) + b"\n" + line
        try:
            with self.path.open("ab") as stream:
                os.ftruncate(stream.fileno(), self._sound_bytes)
                stream.write(line)
        except OSError as error:
            raise InputError(f"{self.path}: cannot write: {error.strerror}") from error
        self._sound_bytes += len(line)
        self.rows[task] = row

    def _read(self) -> None:
        try:
            with self.path.open("rb") as stream:
                self._take(Lines(str(self.path), stream).raw())
        except FileNotFoundError:
            return
        except OSError as error:
            raise InputError(f"{self.path}: cannot read: {error.strerror}") from error

    def _take(self, lines: Iterator[bytes]) -> None:
        for number, line in enumerate(lines, 1):
            if not line.endswith(b"\n"):  # the last one, of a run that was killed
                if number == 1 and not orjson.dumps(self._header).startswith(line):
                    raise InputError(
                        f"{self.path}: expected the rows of a study, got something else"
                    )
                return
            if number == 1:
                self._check(line)
            else:
                self._keep(line, f"{self.path}:{number}")
            self._sound_bytes += len(line)

    def _keep(self, line: bytes, place: str) -> None:
        found = parse_finished(line, place)
        if found.cell >= self._cells:
            raise InputError(f"{place}: cell: expected less than {self._cells}, got {found.cell}")
        task = Run(found.cell, found.case, found.row["policy"])
        if task in self.rows:
            raise InputError(f"{place}: expected a row of each policy and case once, got {task}")
        self.rows[task] = found.row

    def _check(self, line: bytes) -> None:
        """Refuse rows of another study by the first line."""
        try:
            header = orjson.loads(line)
        except orjson.JSONDecodeError:
            header = None
        if not isinstance(header, dict) or "schema_version" not in header:
            raise InputError(f"{self.path}:1: expected a row of a study, got something else")
        for key, ours in self._header.items():
            if header.get(key) != ours:
                raise NotComparableError(
                    f"{self.path}: belongs to another study: {key} differs; name another file"
                )


def default_path(name: str, study: Study) -> Path:
    """Return where an interrupted study without a checkpoint is saved: named by what it is."""
    digest = hashlib.sha256(orjson.dumps(study.identity())).hexdigest()[:8]
    stem = re.sub(r"[^\w.-]+", "-", name).lstrip(".-")  # a name is no path
    return Path(f"{stem}-{digest}.partial.jsonl")
