"""Inputs that can be replayed, but that look like a mistake: one line each, none is an error."""

from __future__ import annotations

from llmsched.config import EngineConfig
from llmsched.hardware import HardwareProfile
from llmsched.hardware.fitted import beyond_fit
from llmsched.regime import load_of
from llmsched.trace import Trace

TOO_FAST, TOO_SLOW = 20.0, 1e-3
"""Arrivals per second over what the engine can serve; a wrong unit is a factor of 1,000."""


def doubtful_arrivals(
    trace: Trace,
    hardware: HardwareProfile,
    config: EngineConfig,
    total_speed: float = 1,
    speed: float = 1.0,
    least_work_s: float | None = None,
) -> str | None:
    """Say that requests come far too fast or slow for the engine, as with times in another unit.

    Parameters
    ----------
    speed : float
        What the arrivals were sped up by on purpose: they are doubtful if they are without it, too.
    least_work_s : float, optional
        That of the trace on these engines, if it is known.
    """
    load = load_of(trace, hardware, config, total_speed=total_speed, least_work_s=least_work_s)
    if load is None:
        return None
    rate, ratio = load.offered, load.ratio
    if any(TOO_SLOW <= one <= TOO_FAST for one in (ratio, ratio / speed)):
        return None
    if ratio > 1:
        much, units = f"{ratio:,.0f} times", "s read as ms"
    else:
        much, units = f"1/{1 / ratio:,.0f} of", "ms read as s"
    shown = f"{rate:,.0f}" if rate >= 100 else f"{rate:.3g}"
    return (
        f"arrivals imply {shown} requests/s, {much} what this engine can serve: "
        f"are the time stamps in {units}? see --time-unit"
    )


def doubts(
    trace: Trace,
    hardware: HardwareProfile,
    config: EngineConfig,
    concurrency: int | None = None,
    total_speed: float = 1,
    speed: float = 1.0,
    least_work_s: float | None = None,
) -> list[str]:
    """Return what is doubtful about a replay: its arrivals, and knobs beyond the profile's fit.

    Parameters
    ----------
    concurrency : int, optional
        Closed loop of that many users, in which arrivals do not count.
    least_work_s : float, optional
        That of the trace on these engines, if it is known.
    """
    together = len(trace) if concurrency is None else min(concurrency, len(trace))
    found = beyond_fit(hardware, config, together)
    if concurrency is None:
        late = doubtful_arrivals(trace, hardware, config, total_speed, speed, least_work_s)
        found += [] if late is None else [f"{trace.name}: {late}"]
    return found
