"""The simulated serving engine: `run` is the only code that moves time or changes state."""

from llmsched.config import EngineConfig
from llmsched.contract import DECODE, MIXED, PREFILL, Step, View
from llmsched.engine.limits import admit
from llmsched.engine.result import SimulationResult
from llmsched.engine.session import Session, run
from llmsched.kernel.rows import STEP_COLUMNS

__all__ = [
    "DECODE",
    "MIXED",
    "PREFILL",
    "STEP_COLUMNS",
    "EngineConfig",
    "Session",
    "SimulationResult",
    "Step",
    "View",
    "admit",
    "run",
]
