"""The command line of the sweep; exit 1 if a case failed."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from benchmarks import sweep
from benchmarks.sweep.draw import draw
from benchmarks.sweep.run import Tally, outcome_of, outcomes


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.sweep", description=(sweep.__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--minutes", type=float, default=10.0, metavar="N")
    parser.add_argument("--seed", type=int, default=0, metavar="S")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="J")
    parser.add_argument("--case", metavar="S:I", help="replay this case alone")
    parser.add_argument("--write", type=Path, metavar="DIR", help="with --case: write its inputs")
    arguments = parser.parse_args()
    tally = Tally()
    if arguments.case is not None:
        seed, index = map(int, arguments.case.split(":"))
        found = iter([outcome_of(seed, index)])
    else:
        found = outcomes(arguments.seed, 60 * arguments.minutes, arguments.jobs)
    for outcome in found:
        tally.add(outcome)
        for line in outcome.lines():
            print(line, flush=True)
    if arguments.case is not None:
        _tell(seed, index, arguments.write)
    print("\n".join(tally.lines()))
    return 1 if tally.failed else 0


def _tell(seed: int, index: int, folder: Path | None) -> None:
    """Print what the case is, and the command that does the same."""
    case = draw(seed, index)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    print(f"{case.kind}: {len(case.trace)} requests, {case.hardware.name}, {case.config}")
    print(case.command(folder) or "no llmsched simulate does the same; --write DIR may make one")


if __name__ == "__main__":
    sys.exit(main())
