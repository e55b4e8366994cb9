"""Step times solved from the three published figures of arXiv 2502.15763, and what fits them too.

The paper publishes what its baseline took, how well it used its slots, and a lower bound, but no
step time. Each member of the family below fixes a form of the prices and a list of output lengths,
and solves the prices that are left so that a replay gives the three figures. All members do, so
the figures cannot tell them apart: a result is worth what it is in all of them.

Run ``python -m benchmarks.reconstruct`` (or ``make reconstruct``): it writes the digits into the
shipped profiles, and the reconstructed list of lengths into traces/. With ``--check`` it writes
nothing and exits with 1 if anything shipped differs from what is solved.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from llmsched import exporters
from llmsched.bounds import lower_bound
from llmsched.documents.yaml import read_mapping
from llmsched.finding import find_trace
from llmsched.hardware import HardwareProfile, load_profile, parse_profile
from llmsched.importers import load
from llmsched.metrics import utilization
from llmsched.policies import NAMED
from llmsched.replay import simulate
from llmsched.synthesize import Beta
from llmsched.trace import Trace

ROOT = Path(__file__).resolve().parents[1]
PUBLISHED = {"makespan_s": 201.00, "utilization": 0.802, "lower_bound_s": 180.00}
"""FCFS's total time and utilization (abstract), and the bound ("around 180 s", a summary)."""
MEASURED = "gsm8k-llama65b"
OTHER = "gsm8k-llama65b-beta"
OUTPUTS = Beta(mean=344.8, std=188.0, most=512)
"""The recalled mean and deviation of the output lengths under the cap, by another distribution."""
NEAR = 0.5
"""Tokens by which a draw may miss that mean and that deviation."""

Document = Mapping[str, object]


@dataclass(frozen=True)
class Member:
    """One reconstruction: the prices to solve, by their path in `step_time`, and the trace."""

    profile: str
    unknown: tuple[str, str, str]
    trace: str = MEASURED

    @property
    def path(self) -> Path:
        """The shipped profile, which has the form and all prices that are not solved."""
        return ROOT / "llmsched" / "data" / "hardware" / f"{self.profile}.yaml"


_STAGE = ("prefill.per_stage", "prefill.per_token")
FAMILY = (
    Member("llama65b-8gpu-paper", ("decode_round", *_STAGE)),
    Member("llama65b-8gpu-common-setup", ("per_step", "per_decode_seq", "per_prefill_token")),
    Member("llama65b-8gpu-setup10", ("decode_round", "per_decode_seq", "prefill.per_token")),
    Member("llama65b-8gpu-beta", ("decode_round", *_STAGE), OTHER),
)


def figures(trace: Trace, hardware: HardwareProfile) -> dict[str, float]:
    """Return what `PUBLISHED` names, for the baseline on a profile."""
    result = simulate(trace, hardware, NAMED["fcfs"])
    bound = lower_bound(trace, hardware)
    values = (result.makespan, utilization(result), bound)
    return dict(zip(PUBLISHED, values, strict=True))


def solve(member: Member, trace: Trace) -> NDArray[np.float64]:
    """Return the unknown prices in ms, from a start that knows nothing: 1 ms each.

    The baseline's schedule on a batch does not depend on prices, so its total time, its busy time
    and the bound are all but linear in them, and the root is found in about ten replays.
    """
    form, goal = read_mapping(member.path), np.array(list(PUBLISHED.values()))

    def missed(prices: NDArray[np.float64]) -> NDArray[np.float64]:
        hardware = parse_profile(_priced(form, member.unknown, prices), member.profile)
        reached = np.array(list(figures(trace, hardware).values()))
        return cast("NDArray[np.float64]", reached / goal - 1)

    found = least_squares(
        missed,
        np.ones(len(member.unknown)),
        bounds=(0, np.inf),
        x_scale="jac",
        xtol=1e-14,
        ftol=1e-14,
        gtol=1e-14,
    )
    if np.abs(found.fun).max() > 1e-9:
        raise SystemExit(f"{member.profile}: no such prices give the published figures")
    return cast("NDArray[np.float64]", found.x)


def _priced(form: Document, unknown: tuple[str, ...], prices: NDArray[np.float64]) -> Document:
    """Return the profile with these prices in place of its own."""
    step_time = dict(cast(Document, form["step_time"]))
    for path, price in zip(unknown, prices, strict=True):
        outer, _, inner = path.rpartition(".")
        if outer:
            step_time[outer] = {**cast(Document, step_time[outer]), inner: float(price)}
        else:
            step_time[inner] = float(price)
    return {**form, "step_time": step_time}


def written(member: Member, prices: NDArray[np.float64]) -> str:
    """Return the profile's text with the solved prices, to as many digits as it has."""
    text = member.path.read_text(encoding="utf-8")
    for path, price in zip(member.unknown, prices, strict=True):
        line = re.compile(rf"^( *{path.rpartition('.')[2]}: )\d+\.(\d+)$", re.MULTILINE)
        found = line.findall(text)
        if len(found) != 1:
            raise SystemExit(f"{member.path}: expected one price {path} with decimals")
        key, decimals = found[0]
        text = line.sub(f"{key}{price:.{len(decimals)}f}", text)
    return text


def other_lengths() -> tuple[Trace, int]:
    """Return the measured prompts with other output lengths, and the seed of the draw.

    It is the first seed whose draw has the recalled mean and deviation.
    """
    measured = load(find_trace(MEASURED))
    for seed in range(10_000):
        outputs = OUTPUTS.draw(len(measured), np.random.default_rng(seed))
        missed = abs(outputs.mean() - OUTPUTS.mean), abs(outputs.std() - OUTPUTS.std)
        if max(missed) < NEAR:
            arrival, prompts = measured.arrival, measured.input_tokens
            return Trace.from_columns(arrival, prompts, outputs, id=measured.id), seed
    raise SystemExit("no seed draws lengths of that mean and deviation")


def main() -> None:
    """Run from the command line."""
    check = sys.argv[1:] == ["--check"]
    other, seed = other_lengths()
    capped = np.mean(other.output_tokens == OUTPUTS.most)
    print(f"{OTHER}: seed {seed}, {100 * capped:.1f} % of outputs at {OUTPUTS.most}")
    traces = {MEASURED: load(find_trace(MEASURED)), OTHER: other}
    changed = []
    path = ROOT / "traces" / f"{OTHER}.jsonl.gz"
    if not path.is_file() or load(str(path)).sha256 != other.sha256:
        changed.append(OTHER)
        if not check:
            exporters.write(other, path)
    for member in FAMILY:
        prices = solve(member, traces[member.trace])
        digits = ", ".join(f"{p} {v:.6f}" for p, v in zip(member.unknown, prices, strict=True))
        print(f"{member.profile}, ms: {digits}")
        text = written(member, prices)
        if text != member.path.read_text(encoding="utf-8"):
            changed.append(member.profile)
            if not check:
                member.path.write_text(text, encoding="utf-8")
        got = figures(traces[member.trace], load_profile(member.profile))
        shown = f"{got['makespan_s']:.2f} s, {100 * got['utilization']:.2f} %"
        print(f"  as shipped: fcfs {shown}, bound {got['lower_bound_s']:.2f} s")
    if changed:
        print(f"{'not what is solved' if check else 'rewritten'}: {', '.join(changed)}")
    sys.exit(1 if check and changed else 0)


if __name__ == "__main__":
    main()
