"""How well a profile predicts a measured run: the errors of four headline numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llmsched.calibration.recorded import MeasuredRun
from llmsched.config import EngineConfig
from llmsched.hardware.profile import HardwareProfile
from llmsched.policies import NAMED
from llmsched.replay import simulate

HEADLINES = ("mean TTFT", "mean TPOT", "mean latency", "makespan")


@dataclass(frozen=True)
class Headline:
    """One number, measured and simulated, in seconds."""

    name: str
    measured: float
    simulated: float

    @property
    def error_percent(self) -> float:
        """Simulated over measured, less one, in percent."""
        return 100.0 * (self.simulated / self.measured - 1.0)


def headlines(
    run: MeasuredRun,
    profile: HardwareProfile,
    config: EngineConfig,
    groups: dict[str, NDArray[np.bool_]],
) -> dict[str, tuple[Headline, ...]]:
    """Simulate a run once and compare it with what was measured, for groups of its requests.

    Means are over the requests of a group; its makespan ends with its last token and, as all
    requests share one engine, begins with the run.
    """
    result = simulate(run.trace, profile, NAMED["vllm"], config)
    ours = _requests(result.arrival, result.first_token, result.finish, run)
    theirs = _requests(result.arrival, run.first_token, run.last_token, run)
    found = {}
    for label, rows in groups.items():
        values = []
        for name in HEADLINES:
            columns = [of[name][rows] for of in (theirs, ours)]
            last = name == "makespan"
            values.append(
                Headline(name, *(float(np.nanmax(c) if last else np.nanmean(c)) for c in columns))
            )
        found[label] = tuple(values)
    return found


def _requests(
    arrival: NDArray[np.float64],
    first: NDArray[np.float64],
    last: NDArray[np.float64],
    run: MeasuredRun,
) -> dict[str, NDArray[np.float64]]:
    rounds = run.trace.output_tokens - 1
    tpot = np.divide(last - first, rounds, out=np.full(len(rounds), np.nan), where=rounds > 0)
    return dict(zip(HEADLINES, (first - arrival, tpot, last - arrival, last), strict=True))
