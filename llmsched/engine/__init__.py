"""The simulated serving engine: `simulate` is the only code that moves time or changes state."""

from llmsched.engine.config import EngineConfig
from llmsched.engine.loop import simulate
from llmsched.engine.result import STEP_COLUMNS, SimulationResult
from llmsched.engine.step import DECODE, MIXED, PREFILL, Step
from llmsched.engine.view import View

__all__ = [
    "DECODE",
    "MIXED",
    "PREFILL",
    "STEP_COLUMNS",
    "EngineConfig",
    "SimulationResult",
    "Step",
    "View",
    "simulate",
]
