"""From per-request times of a real run to affine prices, by simulating the run.

A run records when requests got their first and last tokens, not what each step held. So the prices
are those with which the simulated engine (policy `vllm`) gives the recorded times. The simulator is
deterministic and fast enough to be called some hundred times a fit, and the prices are found by
non-linear least squares over their logarithms.

A run says little about prices that never came apart in it: if the batch was always full, the price
of a step and of a sequence are one number. Ratios of prices therefore have a prior, the medians of
the shipped fitted profiles, and the result states for each price how much of it came from the data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import exp, log
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from llmsched.calibration.recorded import LEAST_REQUESTS, MeasuredRun
from llmsched.config import EngineConfig
from llmsched.engine import SimulationResult
from llmsched.errors import InputError
from llmsched.hardware.affine import Affine
from llmsched.hardware.fitted import RANGES
from llmsched.hardware.profile import HardwareProfile
from llmsched.policies import NAMED
from llmsched.replay import simulate

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

PRICES = (
    "per_step",
    "per_prefill_token",
    "per_decode_seq",
    "per_kv_token_decode",
    "per_kv_token_mixed",
    "per_prefill_token_x_context",
)
"""The fitted prices of `Affine`; the seventh, per squared chunk, is left at 0."""

PRIOR = (
    ("per_decode_seq", "per_step", 0.0045, 0.3),
    ("per_prefill_token", "per_decode_seq", 1.35, 0.3),
    ("per_kv_token_mixed", "per_kv_token_decode", 1.4, 0.3),
    ("per_prefill_token_x_context", "per_prefill_token", 4e-5, 0.5),
)
"""(price, of price, ratio, standard deviation of its logarithm)."""

_PRIOR_WEIGHT = 0.03  # a prior weighs what a misfit of 3 % of every latency does
_TTFT_WEIGHT = 0.4  # first tokens depend on details of queueing that the simulator leaves out
_TTFT_CLIP = 0.5
_MAX_LAG = 2.0
_START = {"per_kv_token_decode": 1e-5, "per_kv_token_mixed": 1.2e-5}  # in units of per_step
_STARTS = (0.25, 0.5, 1.0)
_DIFFERENCES = (0.1, 0.03, 0.01, 0.003)
_EVALUATIONS = 30
_REACH = 9.0  # a price may move by a factor of e^9 from its start
_BLOCKS = 5
_CURVATURE_STEP = 0.2  # wide, because the loss is rough where the schedule changes


@dataclass(frozen=True)
class FittedPrice:
    """A fitted price: its value in seconds, and how well the run determines it.

    Attributes
    ----------
    error_percent : float
        Standard error by a jackknife over blocks of consecutive requests.
    from_data_percent : float
        Diagonal of the resolution matrix: 100 is all data, 0 is all prior.
    """

    name: str
    value: float
    error_percent: float
    from_data_percent: float


@dataclass(frozen=True, eq=False)
class RunCalibration:
    """Prices fitted to a run.

    Attributes
    ----------
    step_time : Affine
    prices : tuple of FittedPrice
    lag_steps : float
        Steps by which tokens were seen later than the simulated engine computed them (a pipelined
        engine schedules one step ahead); fitted beside the prices, not part of a profile.
    simulations : int
        How often the run was simulated to find the prices, refits for their errors not counted.
    fitted : mapping of str to (int, int)
        The least and the most that its steps held, while the requests fitted to were there.
    """

    step_time: Affine
    prices: tuple[FittedPrice, ...]
    lag_steps: float
    simulations: int
    fitted: Mapping[str, tuple[int, int]]


def calibrate_run(
    run: MeasuredRun,
    config: EngineConfig,
    fitted: Mask,
    on_progress: Callable[[str], None] = lambda line: None,
) -> RunCalibration:
    """Fit affine prices to the measured times of some requests of a run.

    All requests are simulated, since they share the engine; only the times of those in the mask
    `fitted`, shape (n,), are looked at.

    Raises
    ------
    InputError
        The mask holds fewer than 20 requests, or a request can never fit the KV cache.
    """
    if np.count_nonzero(fitted) < LEAST_REQUESTS:
        raise InputError(
            f"{run.trace.name}: expected at least {LEAST_REQUESTS} requests to fit, got fewer"
        )
    objective = _Objective(run, config, fitted)
    tried = []
    for share in _STARTS:
        tried.append(_descend(objective, objective.start(share), _DIFFERENCES))
        on_progress(f"loss {min(tried)[0]:.3g} after {objective.calls} simulations")
    loss, *best = min(tried)
    at = np.array(best)
    halves = [
        _descend(_Objective(run, config, kept), at, _DIFFERENCES)[1:]
        for kept in _without_blocks(fitted)
    ]
    on_progress(f"loss {loss:.3g}; refitted without each of {len(halves)} blocks of requests")
    errors = np.sqrt((len(halves) - 1) * np.var(halves, axis=0))
    return RunCalibration(
        step_time=objective.step_time(at),
        prices=tuple(
            FittedPrice(name, exp(x), 100 * float(error), 100 * float(share))
            for name, x, error, share in zip(
                PRICES, at, errors, objective.resolution(at), strict=False
            )
        ),
        lag_steps=exp(best[-1]),
        simulations=objective.calls,
        fitted=objective.ranges(at),
    )


def _descend(
    objective: _Objective, start: Floats, differences: tuple[float, ...]
) -> tuple[float, ...]:
    """Return the smallest loss met and where; coarse differences first, for the loss has steps."""
    low, high = start - _REACH, start + _REACH
    high[-1] = log(_MAX_LAG)
    best: tuple[float, ...] = (float("inf"),)
    at = start
    for step in differences:
        found = least_squares(
            objective,
            np.clip(at, low, high),
            diff_step=[step] * len(at),
            max_nfev=_EVALUATIONS,
            bounds=(low, high + 1e-9),
        )
        at = np.asarray(found.x)
        best = min(best, (float(found.cost), *map(float, at)))
    return best


def _without_blocks(fitted: Mask) -> list[Mask]:
    """Return masks that leave out one block of consecutive requests each."""
    masks = []
    for block in np.array_split(np.flatnonzero(fitted), _BLOCKS):
        kept = fitted.copy()
        kept[block] = False
        masks.append(kept)
    return masks


class _Objective:
    """Residuals of a simulated run against the measured one, as a function of log prices."""

    def __init__(self, run: MeasuredRun, config: EngineConfig, fitted: Mask) -> None:
        self.run, self.config, self.fitted = run, config, fitted
        self.calls = 0

    def start(self, share: float) -> Floats:
        """Return log prices for which a step costs `share` of the median time per token."""
        rounds = np.maximum(self.run.trace.output_tokens - 1, 1)
        spread = (self.run.last_token - self.run.first_token)[self.fitted] / rounds[self.fitted]
        prices = {"per_step": share * float(np.median(spread[spread > 0]))}
        for name, unit in _START.items():
            prices[name] = unit * prices["per_step"]
        for name, of, ratio, _ in PRIOR:
            prices.setdefault(name, ratio * prices[of])
        return np.log([*(prices[name] for name in PRICES), 0.5])

    def step_time(self, at: Floats) -> Affine:
        """Return the prices at a point."""
        prices: dict[str, Any] = {name: exp(x) for name, x in zip(PRICES, at[:-1], strict=True)}
        return Affine(mixed=True, **prices)

    def __call__(self, at: Floats) -> Floats:
        """Return data residuals, then those of the prior."""
        return np.concatenate([self._data(at), self._prior(at)])

    def ranges(self, at: Floats) -> dict[str, tuple[int, int]]:
        """Return the least and the most that steps held until the last fitted request ended."""
        result = self._replay(at)
        held = result.column("start_s") < result.finish[self.fitted].max()
        prefill, decode = result.column("prefill_tokens")[held], result.column("decode_seqs")[held]
        columns = (prefill + decode, prefill[prefill > 0], decode[decode > 0])
        return {
            key: (int(values.min()), int(values.max()))
            for key, values in zip(RANGES, columns, strict=False)
            if len(values)
        }

    def _replay(self, at: Floats) -> SimulationResult:
        profile = HardwareProfile("candidate", self.step_time(at), self.config)
        return simulate(self.run.trace, profile, NAMED["vllm"], self.config)

    def _data(self, at: Floats) -> Floats:
        self.calls += 1
        result = self._replay(at)
        late = exp(at[-1]) * _step_before(result)
        ours = _Latencies(result.arrival, result.first_token + late, result.finish + late)
        theirs = _Latencies(result.arrival, self.run.first_token, self.run.last_token)
        return ours.against(theirs, result.trace.output_tokens, self.fitted)

    def _prior(self, at: Floats) -> Floats:
        where = {name: i for i, name in enumerate(PRICES)}
        return np.array(
            [
                _PRIOR_WEIGHT * (at[where[name]] - at[where[of]] - log(ratio)) / spread
                for name, of, ratio, spread in PRIOR
            ]
        )

    def resolution(self, at: Floats) -> Floats:
        """Return for each coordinate the share that the data determined, the rest is the prior.

        The diagonal of (J'J + P'P)^-1 J'J, from central differences.
        """
        slopes = []
        for i in range(len(at)):
            step = np.zeros_like(at)
            step[i] = _CURVATURE_STEP
            slopes.append((self(at + step) - self(at - step)) / (2 * _CURVATURE_STEP))
        jacobian = np.column_stack(slopes)
        data = jacobian[: -len(PRIOR)]
        shares = np.diag(np.linalg.pinv(jacobian.T @ jacobian) @ (data.T @ data))
        return np.asarray(np.clip(shares, 0.0, 1.0))


@dataclass(frozen=True, eq=False)
class _Latencies:
    """When requests arrived and got their first and last tokens; seconds, shape (n,)."""

    arrival: Floats
    first: Floats
    last: Floats

    def against(self, other: _Latencies, output_tokens: NDArray[np.int64], rows: Mask) -> Floats:
        """Return log ratios to `other`: each request's latencies, their means, and the makespan."""
        many = rows & (output_tokens > 1)
        rounds = np.maximum(output_tokens - 1, 1)
        pairs = [
            (rows, self.first - self.arrival, other.first - other.arrival),
            (many, (self.last - self.first) / rounds, (other.last - other.first) / rounds),
            (rows, self.last - self.arrival, other.last - other.arrival),
        ]
        each = [np.log(ours[mask] / theirs[mask]) for mask, ours, theirs in pairs]
        each[0] = _TTFT_WEIGHT * np.clip(each[0], -_TTFT_CLIP, _TTFT_CLIP)
        means = [log(ours[mask].mean() / theirs[mask].mean()) for mask, ours, theirs in pairs]
        spans = log(self.last[rows].max() / other.last[rows].max())
        return np.concatenate([*(r / np.sqrt(max(1, len(r))) for r in each), means, [spans]])


def _step_before(result: SimulationResult) -> Floats:
    """Return the seconds of the step before each request's first one; 0 where the engine idled."""
    start = result.column("start_s")
    duration = result.column("duration_s")
    row = np.searchsorted(start, result.admitted + 1e-9, side="right") - 1
    before = np.maximum(row - 1, 0)
    busy = (row > 0) & (start[before] + duration[before] >= start[row] - 1e-9)
    one = duration / np.maximum(result.column("rounds"), 1.0)
    return np.where(busy, one[before], 0.0)
