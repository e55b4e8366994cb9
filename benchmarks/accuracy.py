"""Measured accuracy of the hardware profiles: the tables of docs/accuracy.md.

Usage, from the root of the repository:

    python -m benchmarks.accuracy [runs] [splits] [steps] [roofline]

Reads the real runs and the step tables in tests/recorded, as of a checkout.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares, linprog

from llmsched.calibration.agreement import HEADLINES, headlines
from llmsched.calibration.measured import MeasuredSteps, read_steps
from llmsched.calibration.recorded import MeasuredRun, read_run
from llmsched.calibration.runs import calibrate_run
from llmsched.calibration.steps import calibrate, fit, relative_error
from llmsched.config import EngineConfig
from llmsched.hardware import HardwareProfile, StepTime, load_profile
from llmsched.hardware.roofline import FAMILIES, Datasheet, Efficiencies, Roofline, Shape
from llmsched.policies import NAMED
from llmsched.replay import simulate

RECORDED = Path(__file__).resolve().parents[1] / "tests" / "recorded"
KNOBS = EngineConfig(max_num_seqs=128, max_num_batched_tokens=2048)

RUNS = {
    "llama31-8b_rtxpro6000_tp1": "llama3.1-8b-rtxpro6000",
    "qwen3-32b_rtxpro6000_tp2": None,  # no shipped profile is of this model
}
STEPS = ("llama2-70b_a100_tp8_graph", "llama2-70b_h100_tp8_graph", "llama3-8b_a100_tp1_nccl")
ROOFLINES = {
    "a100-graph": (
        "llama2-70b-a100x8",
        "llama2-70b-a100x4",
        "llama2-7b-a100",
        "llama3-8b-a100",
        "qwen-72b-a100x8",
        "llama-65b-a100x8",
    ),
    "h100-graph": ("llama2-70b-h100x8", "llama2-70b-h100x4"),
    "a100-eager": ("llama2-70b-a100x8-nccl-eager", "llama-65b-a100x8-nccl-eager"),
}
NVLINK = {"A100-SXM4-80GB": 300e9, "H100-SXM5-80GB": 450e9}
"""Bytes/s in one direction, from the datasheets; the fitted profiles do not need them."""


def runs() -> None:
    """Print (a) a shipped profile, untouched, and (b) calibration on the first half."""
    untouched, calibrated = [], []
    for name, shipped in RUNS.items():
        run = read_run(RECORDED / "vllm-measured" / f"{name}.jsonl.gz")
        n = len(run.trace)
        first = np.arange(n) < n // 2
        groups = {"all": np.ones(n, dtype=np.bool_), "first half": first, "second half": ~first}
        if shipped is not None:
            untouched += _judged(name, run, load_profile(shipped), KNOBS, groups)
        found = calibrate_run(run, KNOBS, first)
        profile = HardwareProfile(name, found.step_time, KNOBS)
        calibrated += _judged(name, run, profile, KNOBS, groups)
        _table(
            f"{name}: prices from the first half; tokens seen {found.lag_steps:.1f} steps late",
            ("price", "ms", "standard error, %", "from the data, %"),
            [
                (
                    p.name,
                    f"{1e3 * p.value:.4g}",
                    f"{p.error_percent:.1f}",
                    f"{p.from_data_percent:.0f}",
                )
                for p in found.prices
            ],
        )
    head = ("run", "requests", *(f"{name}, %" for name in HEADLINES))
    _table("(a) shipped profile, untouched", head, untouched)
    _table("(b) calibrated on the first half", head, calibrated)


def splits() -> None:
    """Print other splits of the two runs, and a simulated run whose KV cache is too small."""
    rows = []
    for name in RUNS:
        run = read_run(RECORDED / "vllm-measured" / f"{name}.jsonl.gz")
        i = np.arange(len(run.trace))
        parts = {
            "first 30 %": i < 0.3 * len(i),
            "first 70 %": i < 0.7 * len(i),
            "last half": i >= len(i) // 2,
            "every other": i % 2 == 0,
        }
        for label, fitted in parts.items():
            profile = HardwareProfile(name, calibrate_run(run, KNOBS, fitted).step_time)
            rows += _judged(name, run, profile, KNOBS, {label: ~fitted})
    rows.append(_kv_bound())
    head = ("run", "fitted to", *(f"{name}, %" for name in HEADLINES))
    _table("the requests that were not fitted, other splits", head, rows)


def _kv_bound() -> tuple[str, ...]:
    """Judge a calibration on a run simulated from a table, with too few KV blocks."""
    run = read_run(RECORDED / "vllm-measured" / "llama31-8b_rtxpro6000_tp1.jsonl.gz")
    truth = load_profile("llama3.1-8b-rtx4090")
    result = simulate(run.trace, truth, NAMED["vllm"])
    seen = replace(run, first_token=result.first_token, last_token=result.finish)
    first = np.arange(len(run.trace)) < len(run.trace) // 2
    profile = HardwareProfile("fitted", calibrate_run(seen, truth.engine, first).step_time)
    preempted = np.count_nonzero(result.preemptions)
    label = f"simulated {truth.name}, {preempted} of {len(run.trace)} preempted"
    return _judged(label, seen, profile, truth.engine, {"first half": ~first})[0]


def _judged(
    name: str,
    run: MeasuredRun,
    profile: HardwareProfile,
    knobs: EngineConfig,
    groups: dict[str, NDArray[np.bool_]],
) -> list[tuple[str, ...]]:
    return [
        (name, label, *(f"{one.error_percent:+.2f}" for one in values))
        for label, values in headlines(run, profile, knobs, groups).items()
    ]


def steps() -> None:
    """Print the error of profiles fitted to 300 noisy rows, on clean held-out rows."""
    rows = []
    for name in STEPS:
        data = read_steps(RECORDED / "steps" / f"steps_{name}.csv.gz")
        for kind in ("piecewise", "affine"):
            clean = 100 * np.abs(calibrate(data, kind).held_out).mean()
            noisy = [_noisy_error(data, kind, seed) for seed in range(20)]
            best = f"{_best_affine(data):.2f}" if kind == "affine" else ""
            middle, worst = float(np.median(noisy)), max(noisy)
            rows.append((name, kind, f"{clean:.2f}", f"{middle:.2f}", f"{worst:.2f}", best))
    head = ("steps", "kind", "all rows, clean", "median of 20 seeds", "worst", "least possible")
    _table("mean error of held-out steps, %", head, rows)


def _noisy_error(data: MeasuredSteps, kind: str, seed: int) -> float:
    """Fit to 300 random rows with 5 % noise and 3 % outliers; return the error on the others."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(data))
    sample = data.take(order[:300])
    seconds = sample.seconds * (1 + 0.05 * rng.standard_normal(300))
    outlier = rng.random(300) < 0.03
    seconds[outlier] *= rng.uniform(2, 6, int(outlier.sum()))
    step_time, _ = fit(replace(sample, seconds=seconds), kind)
    return 100 * float(np.abs(relative_error(step_time, data.take(order[300:]))).mean())


def _best_affine(data: MeasuredSteps) -> float:
    """Return the least mean error any affine law has on all rows, by linear programming."""
    prefill = data.prefill_tokens > 0
    assert data.sum_sq is not None
    assert data.sum_x_context is not None
    columns = np.column_stack(
        [
            np.ones(len(data)),
            data.prefill_tokens,
            data.decode_seqs,
            np.where(prefill, 0.0, data.kv_tokens),
            np.where(prefill, data.kv_tokens, 0.0),
            data.sum_sq,
            data.sum_x_context,
        ]
    )
    relative = columns / data.seconds[:, None]
    relative /= relative.max(axis=0)
    n, k = relative.shape
    found = linprog(
        np.concatenate([np.zeros(k), np.ones(2 * n)]),
        A_eq=np.hstack([relative, np.eye(n), -np.eye(n)]),
        b_eq=np.ones(n),
        bounds=(0, None),
    )
    if found.fun is None:
        raise RuntimeError(f"linear program: {found.message}")
    return float(100 * found.fun / n)


@dataclass(frozen=True)
class Sample:
    """A shipped table's steps, for which a roofline has to be found."""

    shape: Shape
    device: Datasheet
    batches: tuple[tuple[int, int, int, int, int], ...]
    seconds: NDArray[np.float64]

    def error(self, share: Efficiencies) -> NDArray[np.float64]:
        """Return the log ratio of the roofline's to the table's step times."""
        roofline = Roofline.from_datasheet(self.shape, self.device, share)
        return np.asarray(np.log(_times(roofline, self.batches) / self.seconds))


def roofline() -> None:
    """Print what a roofline fitted to the other profiles of a family is off by."""
    names = [field.name for field in fields(Efficiencies)]
    rows, fitted = [], []
    ideal = Efficiencies(**dict(zip(names, (1, 1, 1, 1, 1, 0, 0, 1), strict=True)))
    for family, profiles in ROOFLINES.items():
        samples = {name: _sample(name) for name in profiles}
        share = _fit_roofline(list(samples.values()))
        fitted.append((family, *(f"{getattr(share, name):.3g}" for name in names)))
        for name, sample in samples.items():
            others = [other for key, other in samples.items() if key != name]
            shares = (FAMILIES[family], _fit_roofline(others), ideal)
            errors = (100 * np.abs(np.expm1(sample.error(one))).mean() for one in shares)
            rows.append((family, name, *(f"{error:.1f}" for error in errors)))
    _table(
        "roofline: mean error of a step, %",
        ("family", "profile", "as shipped", "left out of the fit", "datasheet alone"),
        rows,
    )
    _table("efficiencies, fitted again", ("family", *names), fitted)


def _sample(name: str) -> Sample:
    profile = load_profile(name)
    model: Any = profile.model
    gpu: Any = profile.gpu
    device = Datasheet(
        peak_flops_bf16=gpu["peak_flops_bf16"],
        hbm_bandwidth=gpu["hbm_bandwidth"],
        interconnect_bandwidth=NVLINK[gpu["name"]],
        tensor_parallel_size=gpu["count"],
    )
    capacity = (profile.engine.num_gpu_blocks or 0) * profile.engine.block_size
    decodes = [
        (0, 0, 0, n, n * c) for n in (1, 4, 16, 32, 64, 128, 192, 256) for c in (256, 1024, 3072)
    ]
    batches = [batch for batch in decodes if batch[4] <= capacity]
    for p in (16, 64, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096):
        batches += [(p, p * p, p * context, 0, 0) for context in (0, 1024, 4096, 8192)]
        batches += [(p, p * p, 0, n, n * 1024) for n in (32, 128)]
    shape = Shape(**{field.name: model[field.name] for field in fields(Shape)})
    return Sample(shape, device, tuple(batches), _times(profile.step_time, batches))


def _times(
    step_time: StepTime, batches: Sequence[tuple[int, int, int, int, int]]
) -> NDArray[np.float64]:
    return np.array([step_time.step(*batch) for batch in batches])


def _fit_roofline(samples: list[Sample]) -> Efficiencies:
    names = [field.name for field in fields(Efficiencies)]
    low = (0.05, 0.2, 0.05, 0.2, 0, 0, 0, 0.1)
    high = (0.9, 1.0, 0.9, 1.0, 8, 500, 500, 1.0)
    start = (0.7, 0.9, 0.5, 0.8, 2, 50, 20, 0.7)

    def share(values: NDArray[np.float64]) -> Efficiencies:
        return Efficiencies(**dict(zip(names, map(float, values), strict=True)))

    def residuals(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.concatenate([sample.error(share(values)) for sample in samples])

    found = least_squares(
        residuals,
        start,
        bounds=(low, high),
        x_scale=[0.1, 0.1, 0.1, 0.1, 1, 10, 10, 0.1],
        loss="soft_l1",
        f_scale=0.05,
    )
    return share(found.x)


def _table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a Markdown table, numbers flush right."""
    print(f"\n**{title}**\n")
    print("| " + " | ".join(head) + " |")
    print("|" + "|".join("---" if i == 0 else "--:" for i in range(len(head))) + "|")
    for row in rows:
        print("| " + " | ".join(row) + " |")


PARTS: dict[str, Callable[[], None]] = {
    "runs": runs,
    "splits": splits,
    "steps": steps,
    "roofline": roofline,
}


def main(wanted: Sequence[str]) -> int:
    """Print the parts asked for, all by default."""
    if unknown := [part for part in wanted if part not in PARTS]:
        print(f"expected any of {', '.join(PARTS)}, got {unknown[0]!r}", file=sys.stderr)
        return 2
    for part in wanted or PARTS:
        PARTS[part]()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
