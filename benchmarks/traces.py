"""Write and read a trace of a million requests, JSONL and Azure's CSV: CPU-seconds and memory.

    python benchmarks/traces.py [--requests 1000000] [--keep FOLDER]

Each file is read in a process of its own, so that the peak is the reader's. --keep leaves the
files, for other commands to be measured on: a week of Azure's, 27,000,000 requests, is 1 GB of CSV.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

_PART = 200_000
_RATE = 45.0
"""Requests a second; Azure's week of 2024 has 44 of them."""


def write(path: Path, requests: int) -> float:
    """Generate and write a trace as native JSONL; return the CPU-seconds of writing."""
    from llmsched import exporters
    from llmsched.synthesize import generate

    trace = generate(
        requests=requests,
        arrivals="poisson:100",
        input_length="lognormal:1000:1000",
        output_length="lognormal:200:150",
    )
    began = time.process_time()
    exporters.write(trace, path)
    return time.process_time() - began


def write_csv(path: Path, requests: int) -> float:
    """Write requests as Azure does, a part at a time; return the CPU-seconds."""
    began = time.process_time()
    with path.open("w", encoding="utf-8") as file:
        file.write("TIMESTAMP,ContextTokens,GeneratedTokens\n")
        file.writelines(_azure_rows(requests))
    return time.process_time() - began


def _azure_rows(requests: int) -> Iterator[str]:
    random = np.random.default_rng(0)
    now = np.datetime64("2024-05-10T00:00:00", "ns")
    for first in range(0, requests, _PART):
        size = min(_PART, requests - first)
        ticks = np.rint(random.exponential(1e7 / _RATE, size)).cumsum().astype(np.int64)
        dates = now + 100 * ticks
        now = dates[-1]
        lengths = (
            np.clip(np.rint(random.lognormal(mean, 0.8, size)), 1, most).astype(np.int64).tolist()
            for mean, most in ((6.5, 8000), (4.8, 2000))
        )
        for date, prompt, output in zip(dates.astype("U29").tolist(), *lengths, strict=True):
            yield f"{date[:10]} {date[11:27]},{prompt},{output}\n"


def read(path: Path) -> tuple[float, float]:
    """Load a trace; return CPU-seconds and the peak memory of this process in MB."""
    from llmsched.importers import load

    began = time.process_time()
    load(path)
    cpu = time.process_time() - began
    return cpu, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description="Write and read a large trace.")
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--keep", type=Path, metavar="FOLDER")
    options = parser.parse_args()
    spawn = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        for name, writer in (("trace.jsonl", write), ("azure.csv", write_csv)):
            path = folder / name
            with spawn.Pool(1, maxtasksperchild=1) as pool:
                written = pool.apply(writer, (path, options.requests))
                cpu, memory = pool.apply(read, (path,))
            size = path.stat().st_size / 1e6
            print(f"{name}: {options.requests:,} requests, {size:.0f} MB")
            print(f"  write: {written:.1f} CPU-s")
            print(f"  read and check: {cpu:.1f} CPU-s, {memory:.0f} MB at most")


if __name__ == "__main__":
    main()
