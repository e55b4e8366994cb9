"""What is planned: requests, engine, and how well their lengths are known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llmsched import lengths
from llmsched.engine import EngineConfig
from llmsched.errors import InputError
from llmsched.hardware import HardwareProfile
from llmsched.trace import Trace


@dataclass(frozen=True, eq=False)
class Case:
    """What is planned, and what is known of it.

    Attributes
    ----------
    lengths : str
        Mode of `lengths.predict`; for a batch file, where its predictions come from.
    objective : {"makespan", "expected"}
        expected needs ``noisy:CV``.
    samples : int
        Realisations drawn where lengths are noisy.
    """

    trace: Trace
    hardware: HardwareProfile
    config: EngineConfig
    lengths: str = "oracle"
    seed: int = 0
    objective: str = "makespan"
    samples: int = 100

    def __post_init__(self) -> None:
        if self.samples < 1:
            raise InputError(f"--samples: expected an integer >= 1, got {self.samples}")

    @property
    def error(self) -> float | None:
        """Coefficient of variation of noisy lengths; None where they are not noisy.

        Raises
        ------
        InputError
            It is not a number in 0..10.
        """
        name, _, value = self.lengths.partition(":")
        return lengths.coefficient_of_variation(value) if name == "noisy" else None

    def output_tokens(self) -> NDArray[np.int64]:
        """Return the lengths to plan with: noisy ones are drawn around the trace's."""
        known = self.lengths in ("oracle", "mean", "trace")
        return lengths.predict(self.trace, self.lengths) if known else self.trace.output_tokens
