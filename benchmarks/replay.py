"""How fast replays are, in Python and compiled, beside what is aimed at: `make bench`.

    python -m benchmarks.replay [--mooncake FILE] [--week [FOLDER]] [--quick]

Everything is measured in this run, each figure in a process of its own. First the replay alone
(`benchmarks.kernels`): both kernels take turns, and the best of several counts. Then whole commands
(`benchmarks.commands`), from the start of their process to its end.

The unit is the Python kernel on Azure's conversations under the policy vllm: aims are of a machine
on which it replays 62,000 requests a CPU-second, and what is measured is held against them in the
ratio of this machine to that one.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TypeAlias

from benchmarks import commands
from llmsched.kernel import WHY_PYTHON

TURNS = 3

UNIT = 62_000
"""Requests a CPU-second of the Python kernel on conv, on the machine that aims are of."""

RATES = {"conv": 1_500_000, "mooncake": 700_000}
"""Requests a CPU-second aimed at there, compiled."""

FASTER = {"vllm": 20.0} | dict.fromkeys(
    ("rule and key function", "rule and key array", "rule and queue object"), 8.0
)
"""Aimed at, compiled, in replays of the Python kernel under vllm."""

Seconds: TypeAlias = dict[str, dict[str, float]]
"""The best CPU-seconds by kernel and variant."""


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description="Simulated requests a CPU-second.")
    parser.add_argument("--mooncake", type=Path, metavar="FILE", help="Mooncake's conversations")
    parser.add_argument(
        "--week",
        type=Path,
        metavar="FOLDER",
        help="Also 27 million rows of CSV, 1 GB, written there unless they are there.",
    )
    parser.add_argument("--quick", action="store_true", help="Only what takes seconds.")
    options = parser.parse_args()
    print("engine: " + (f"Python only: {WHY_PYTHON}" if WHY_PYTHON else "both kernels"))
    inputs = {"conv": "Azure conv", "pressed": "conv 8 times as fast, 4,001 blocks"}
    if options.mooncake:
        inputs["mooncake"] = "Mooncake"
    speed = 0.0
    for name, title in inputs.items():
        file = [str(options.mooncake)] if name == "mooncake" else []
        requests, best = measure([name, *file], 1 if options.quick else TURNS)
        speed = speed or requests / best["python"]["vllm"] / UNIT  # conv is the first
        table(name, title, requests, best, speed)
    print(f"\nThis machine: {speed:.2f} of the one that the aims are of.")
    commands.table(options.quick, options.week, speed)


def table(name: str, title: str, requests: int, best: Seconds, speed: float) -> None:
    """Print what was measured of an input."""
    unit, compiled = best["python"]["vllm"], best.get("compiled")
    print(f"\n{title}: requests a CPU-second")
    print(f"{'':<24}{'Python':>10}{'compiled':>12}{'faster':>8}  aim")
    for variant, seconds in best["python"].items():
        if variant in ("rehearsal", "rehearsed"):
            continue
        line = f"{variant:<24}{requests / seconds:>10,.0f}"
        if compiled:
            rate, faster = requests / compiled[variant], unit / compiled[variant]
            aims = verdict(variant, name, faster, rate / speed)
            line += f"{rate:>12,.0f}{faster:>7.1f}x  {aims}"
        print(line.rstrip())
    for kernel, of in best.items():
        replays = of["rehearsal"] / of["rehearsed"]
        print(
            f"{'hybrid, all at once':<24}{kernel:>10}: chooses in {of['rehearsal']:.2f} CPU-s, "
            f"{replays:.1f} replays"
        )
    sys.stdout.flush()


def verdict(variant: str, name: str, faster: float, rate: float) -> str:
    """Return what is aimed at, and whether it is reached; `rate` is that of the aims' machine."""
    wanted = []
    if variant in FASTER:
        wanted.append((f"{FASTER[variant]:.0f}x", faster >= FASTER[variant]))
    if variant == "vllm" and name in RATES:
        wanted.append((f"{RATES[name] / 1e6:.1f} M", rate >= RATES[name]))
    return ", ".join(f"{aim} {'met' if met else 'MISSED'}" for aim, met in wanted)


def measure(arguments: list[str], turns: int) -> tuple[int, Seconds]:
    """Return the requests of an input, and the best of each kernel."""
    kernels = ["python"] if WHY_PYTHON else ["python", "compiled"]
    best: Seconds = {kernel: {} for kernel in kernels}
    requests = 0
    for _ in range(turns):
        for kernel in kernels:
            found = subprocess.run(
                [sys.executable, "-m", "benchmarks.kernels", *arguments],
                env=os.environ | {"LLMSCHED_KERNEL": kernel},
                stdout=subprocess.PIPE,
                check=True,
            )
            said = json.loads(found.stdout)
            requests = said["requests"]
            for variant, seconds in said["seconds"].items():
                best[kernel][variant] = min(seconds, best[kernel].get(variant, seconds))
    return requests, best


if __name__ == "__main__":
    main()
