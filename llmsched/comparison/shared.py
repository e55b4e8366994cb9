"""A study handed to processes of this machine without a copy for each: read-only pages of one file.

The file has no name, so that nothing stays behind however its processes end: the system frees it
with the last of them. A worker inherits its descriptor; `multiprocessing.shared_memory` instead has
names, and a helper process that warns on stderr about those it finds after a kill.
"""

from __future__ import annotations

import io
import mmap
import os
import pickle
import sys
import tempfile
from collections.abc import Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from multiprocessing import reduction
from typing import Any

import numpy as np

from llmsched.comparison.study import Study
from llmsched.trace import Trace

_RARE = ("id", "job_class", "hash_ids")
"""Columns of objects, which a replay needs for its messages at most."""

_ALIGNMENT = 64
"""Bytes; no number lies across a line of the processor's cache."""


def shared(study: Study) -> AbstractContextManager[Any]:
    """Return a block and what is `study` again in a process that is spawned with it in there.

    Where no file can be had, that is the study, of which each process then gets a copy.
    """
    try:
        if sys.platform == "win32":
            raise OSError("no descriptor can be inherited")
        return closing(_Shared(study))
    except OSError:
        return nullcontext(study)


class _Shared:
    """A study, its arrays in a file without a name."""

    def __init__(self, study: Study) -> None:
        buffers: list[pickle.PickleBuffer] = []
        frame = io.BytesIO()
        _Pickler(frame, protocol=5, buffer_callback=buffers.append).dump(study)
        self._frame = frame.getvalue()
        self._places: list[tuple[int, int]] = []
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - `shared` closes it
        self.close = self._file.close
        try:
            for buffer in buffers:
                start = self._file.seek(-self._file.tell() % _ALIGNMENT, os.SEEK_CUR)
                self._file.write(buffer.raw())
                self._places.append((start, self._file.tell()))
            self._file.flush()
        except OSError:
            self.close()
            raise

    def __reduce__(self) -> tuple[Any, ...]:
        return _open, (reduction.DupFd(self._file.fileno()), self._frame, self._places)


def _open(inherited: Any, frame: bytes, places: Sequence[tuple[int, int]]) -> Study:
    descriptor = inherited.detach()
    pages = memoryview(mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ))
    os.close(descriptor)  # the map has its own
    study = pickle.loads(frame, buffers=[pages[start:stop] for start, stop in places])
    assert isinstance(study, Study)
    return study


class _Pickler(pickle.Pickler):
    """Pickles what few replays need of a trace apart, so that a worker need not unpickle it."""

    def reducer_override(self, obj: object) -> Any:
        if type(obj) is not Trace:
            return NotImplemented
        _ = obj.classes  # as numbers they are in no worker's way
        _ = obj.tree
        columns = dict(vars(obj))
        columns.pop("_whole", None)
        rare = {name: columns.pop(name) for name in _RARE}
        return _SharedTrace.of, (columns, pickle.PickleBuffer(pickle.dumps(rare, protocol=5)))


class _Unpickled:
    """A column that becomes objects when it is first asked for."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, trace: _SharedTrace, owner: type) -> Any:
        columns = vars(trace)
        columns.update(pickle.loads(trace.rare))
        for name in _RARE:
            if isinstance(columns[name], np.ndarray):
                columns[name].flags.writeable = False
        return columns[self._name]


class _SharedTrace(Trace):
    """A trace in a process that it is shared with."""

    id: Any = _Unpickled()
    job_class: Any = _Unpickled()
    hash_ids: Any = _Unpickled()
    rare: memoryview

    @classmethod
    def of(cls, columns: dict[str, Any], rare: memoryview) -> _SharedTrace:
        trace = cls.__new__(cls)
        vars(trace).update(columns, rare=rare)
        return trace
