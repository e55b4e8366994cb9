"""Solvers run aside, so that Ctrl-C is heard."""

from __future__ import annotations

import signal
import threading
import time

import pytest

from llmsched.packing.flow import aside


def test_what_the_work_returns_or_raises_comes_through() -> None:
    assert aside(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        aside(lambda: 1 // 0)


def test_an_interrupt_ends_the_wait_and_stops_the_solver() -> None:
    stop = threading.Event()
    threading.Timer(0.2, signal.raise_signal, [signal.SIGINT]).start()
    with pytest.raises(KeyboardInterrupt):
        aside(lambda: stop.wait(30), on_interrupt=stop.set)
    assert stop.is_set()
    time.sleep(0)
