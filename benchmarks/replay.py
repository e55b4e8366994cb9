"""How fast replays are, in Python and compiled, beside what is aimed at: `make bench`.

    python -m benchmarks.replay [--mooncake FILE] [--week [FOLDER]] [--quick]

Everything is measured in this run, each figure in a process of its own. First the replay alone
(`benchmarks.kernels`): both kernels take turns, and the best of several counts. The unit is the
Python kernel under the policy vllm, so that what is aimed at holds on every machine. Then whole
commands (`benchmarks.commands`), from the start of their process to its end.
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

RATES = {"conv": 1_500_000, "mooncake": 700_000}
"""Requests a CPU-second aimed at, compiled, where the Python kernel has 62,000 on conv."""

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
    for name, title in inputs.items():
        file = [str(options.mooncake)] if name == "mooncake" else []
        table(name, title, file, 1 if options.quick else TURNS)
    commands.table(options.quick, options.week)


def table(name: str, title: str, file: list[str], turns: int) -> None:
    """Print what was measured of an input."""
    requests, best = measure([name, *file], turns)
    unit, compiled = best["python"]["vllm"], best.get("compiled")
    print(f"\n{title}, requests a CPU-second: {requests:,} requests, {unit:.3f} CPU-s in Python")
    print(f"{'':<24}{'Python':>10}{'compiled':>12}{'faster':>8}  target")
    for variant, seconds in best["python"].items():
        if variant in ("rehearsal", "rehearsed"):
            continue
        line = f"{variant:<24}{requests / seconds:>10,.0f}"
        if compiled:
            rate, faster = requests / compiled[variant], unit / compiled[variant]
            line += f"{rate:>12,.0f}{faster:>7.1f}x  {verdict(variant, name, faster, rate)}"
        print(line.rstrip())
    for which, seconds_of in best.items():
        replays = seconds_of["rehearsal"] / seconds_of["rehearsed"]
        print(
            f"hybrid, all at once, {which + ':':<10}{seconds_of['rehearsal']:>7.2f} CPU-s to choose,"
            f"{replays:>6.1f} replays"
        )
    sys.stdout.flush()


def verdict(variant: str, name: str, faster: float, rate: float) -> str:
    """Return what is aimed at, and whether it is reached."""
    wanted = []
    if variant in FASTER:
        wanted.append((f"{FASTER[variant]:.0f}x", faster >= FASTER[variant]))
    if variant == "vllm" and name in RATES:
        wanted.append((f"{RATES[name] / 1e6:.1f} M", rate >= RATES[name]))
    return ", ".join(f"{aim} {'reached' if met else 'MISSED'}" for aim, met in wanted)


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
