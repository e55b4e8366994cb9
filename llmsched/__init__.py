"""llmsched: benchmark and plan LLM inference schedules without a GPU.

The data flows one way, and every import follows it (docs/architecture.md has the rooms)::

    trace -> plan -> simulate -> metrics -> report

Read `contract.py` first (what a policy and the engine promise each other), `policies.py` (every
policy on one screen), then `kernel/engine.py` (the engine's loop) and `bounds.py` (what no policy
can beat).

The names below are imported when they are first used, so that ``llmsched --help`` need not wait for
NumPy. `simulate` and `compare` take names, paths, frames or objects.

>>> import llmsched
>>> trace = llmsched.Trace.from_columns([0, 0], input_tokens=[80, 20], output_tokens=[9, 5])
>>> found = llmsched.compare(trace, "llama65b-8gpu-paper", ["fcfs", "hybrid"])
>>> bool((found.frame.makespan_s >= found.bound["makespan_s"]).all())
True
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from llmsched.version import __version__

if TYPE_CHECKING:
    from llmsched.api import Comparison, compare, simulate
    from llmsched.arguments import load_trace
    from llmsched.bounds import least_work, lower_bound
    from llmsched.config import EngineConfig
    from llmsched.engine import SimulationResult
    from llmsched.hardware import HardwareProfile, load_profile
    from llmsched.metrics import summarize
    from llmsched.packing import pack
    from llmsched.trace import Trace

__all__ = [
    "Comparison",
    "EngineConfig",
    "HardwareProfile",
    "SimulationResult",
    "Trace",
    "__version__",
    "compare",
    "least_work",
    "load_profile",
    "load_trace",
    "lower_bound",
    "pack",
    "simulate",
    "summarize",
]

_HOME = {
    "Comparison": "api",
    "EngineConfig": "config",
    "HardwareProfile": "hardware",
    "SimulationResult": "engine",
    "Trace": "trace",
    "compare": "api",
    "least_work": "bounds",
    "load_profile": "hardware",
    "load_trace": "arguments",
    "lower_bound": "bounds",
    "pack": "packing",
    "simulate": "api",
    "summarize": "metrics",
}

if not TYPE_CHECKING:  # a type checker would take any name, however misspelt, for one of these

    def __getattr__(name: str) -> object:
        """Import a public name when it is first asked for (PEP 562)."""
        if name not in _HOME:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)

    def __dir__() -> list[str]:
        """Return the public names as well, whether or not they have been used."""
        return sorted({*globals(), *__all__})
