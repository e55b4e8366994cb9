"""Write and read a trace of a million requests: CPU-seconds and memory.

    python benchmarks/traces.py [--requests 1000000]

The reader runs in a process of its own, so that the peak is the reader's.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import tempfile
import time
from pathlib import Path


def write(path: Path, requests: int) -> float:
    """Generate and write a trace; return the CPU-seconds of writing."""
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
    requests = parser.parse_args().requests
    spawn = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder, spawn.Pool(1, maxtasksperchild=1) as pool:
        path = Path(folder) / "trace.jsonl"
        written = pool.apply(write, (path, requests))
        cpu, memory = pool.apply(read, (path,))
        size = path.stat().st_size / 1e6
    print(f"{requests:,} requests, {size:.0f} MB of native JSONL")
    print(f"write: {written:.1f} CPU-s")
    print(f"read and check: {cpu:.1f} CPU-s, {memory:.0f} MB at most")


if __name__ == "__main__":
    main()
