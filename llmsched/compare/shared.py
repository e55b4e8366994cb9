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
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import reduction
from typing import Any

import numpy as np

from llmsched.compare.study import Study
from llmsched.trace import Trace

_RARE = ("id", "job_class", "hash_ids")
"""Columns of objects, which a replay needs for its messages at most."""

_ALIGNMENT = 64
"""Bytes; no number lies across a line of the processor's cache."""


@contextmanager
def shared(study: Study) -> Iterator[Any]:
    """Yield what is `study` again in a process that is spawned with it, in the block or before.

    Where no file can be had, that is the study, of which each process then gets a copy.
    """
    try:
        if sys.platform == "win32":
            raise OSError("no descriptor can be inherited")
        laid_out = _Shared(study)
    except OSError:
        yield study
        return
    with laid_out.file:
        yield laid_out


class _Shared:
    """A study, its arrays in a file without a name."""

    def __init__(self, study: Study) -> None:
        buffers: list[pickle.PickleBuffer] = []
        frame = io.BytesIO()
        _Pickler(frame, protocol=5, buffer_callback=buffers.append).dump(study)
        self._frame = frame.getvalue()
        self._places: list[slice] = []
        self.file = tempfile.TemporaryFile()  # noqa: SIM115 - `shared` closes it
        try:
            for buffer in buffers:
                start = self.file.seek(-self.file.tell() % _ALIGNMENT, os.SEEK_CUR)
                self.file.write(buffer.raw())
                self._places.append(slice(start, self.file.tell()))
            self.file.flush()
        except OSError:
            self.file.close()
            raise

    def __reduce__(self) -> tuple[Any, ...]:
        inherited = reduction.DupFd(self.file.fileno())
        return _open, (inherited, self._frame, [(one.start, one.stop) for one in self._places])


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
        columns = dict(vars(obj))
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
