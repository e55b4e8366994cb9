"""Whole commands, from the start of their process to its end: CPU-seconds and peak memory.

What they read is generated in processes of its own: a child's peak begins at its parent's, so this
one stays small.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from llmsched.kernel import WHY_PYTHON

MILLION = 1_000_000
TURNS = 5
WEEK = 27_000_000
STUDY = Path(__file__).parents[1] / "scenarios" / "paper-100-cases.yaml"

SLOW_WEEK = "0.15"
"""Speed at which one engine keeps up with a week of Azure's arrivals."""


@dataclass(frozen=True)
class Command:
    """A command, and what it may take.

    Attributes
    ----------
    file : str
        What it reads: see `FILES`.
    compiled, python : (CPU-s, MB) or None
        What is aimed at with each kernel, the seconds on the machine that `benchmarks.replay`
        speaks of; None where it is not measured, inf where nothing is aimed at.
    quick : bool
        Whether it takes seconds only.
    """

    title: str
    file: str
    arguments: tuple[str, ...]
    compiled: tuple[float, float] | None = None
    python: tuple[float, float] | None = None
    quick: bool = False

    def best(self, folder: Path, kernel: str) -> tuple[float, float]:
        """Return CPU-seconds and MB: of quick ones, the best of several."""
        return min(self.run(folder, kernel) for _ in range(TURNS if self.quick else 1))

    def run(self, folder: Path, kernel: str) -> tuple[float, float]:
        """Return CPU-seconds and the peak memory in MB."""
        arguments = [str(folder / word[1:]) if word[0] == "@" else word for word in self.arguments]
        child = subprocess.Popen(
            [sys.executable, "-m", "llmsched", *arguments],
            env=os.environ | {"LLMSCHED_KERNEL": kernel, "PYTHONDONTWRITEBYTECODE": ""},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        assert child.stderr is not None
        said = child.stderr.read()
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        child.stderr.close()
        if child.returncode:
            raise SystemExit(f"{self.title}: exit code {child.returncode}\n{said.decode()}")
        return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def _simulate(file: str, policy: str = "vllm", *more: str) -> tuple[str, ...]:
    return ("simulate", f"@{file}", "--hardware", "llama3-8b-a100", "--policy", policy, *more)


INF = float("inf")

COMMANDS = (
    Command("simulate, 10 rows", "ten.jsonl", _simulate("ten.jsonl"), (0.4, INF), (0.4, INF), True),
    Command("20,000 answers", "answers.jsonl", _simulate("answers.jsonl"), (2, 250), None, True),
    Command("simulate, 1 M rows", "million.jsonl", _simulate("million.jsonl"), (4, 350), (18, INF)),
    Command("hybrid, 1 M rows", "million.jsonl", _simulate("million.jsonl", "hybrid"), (INF, INF)),
    Command(
        "plan --replicas 4",
        "million.jsonl",
        ("plan", "@million.jsonl", "--hardware", "llama3-8b-a100", "--replicas", "4"),
        (20, INF),
    ),
    Command("20 cases of a study", "", ("compare", str(STUDY), "--cases", "20"), (19, INF)),
)

THE_WEEK = Command(
    "27 M rows of CSV",
    "week.csv",
    _simulate("week.csv", "vllm", "--speed", SLOW_WEEK),
    (60, 4000),
)


def _million(path: Path, requests: int = MILLION) -> None:
    """Write the Azure conversations again and again, each time after the last arrival."""
    import numpy as np

    from llmsched import exporters
    from llmsched.finding import find_trace
    from llmsched.importers import load
    from llmsched.trace import Trace

    trace = load(find_trace("azure-llm-2023-conv"))
    times = -(-requests // len(trace))
    span = trace.arrival[-1] * (1 + 1 / len(trace))
    arrival = (np.arange(times)[:, None] * span + trace.arrival).ravel()
    prompt, output = (np.tile(c, times) for c in (trace.input_tokens, trace.output_tokens))
    exporters.write(Trace.from_columns(*(c[:requests] for c in (arrival, prompt, output))), path)


def _ten(path: Path) -> None:
    _million(path, 10)


def _answers(path: Path) -> None:
    """Write long answers that never meet."""
    import numpy as np

    from llmsched import exporters
    from llmsched.trace import Trace

    arrival, same = 50.0 * np.arange(20_000), np.ones(20_000, dtype=np.int64)
    exporters.write(Trace.from_columns(arrival, 100 * same, 2_000 * same), path)


def _week(path: Path) -> None:
    from benchmarks.traces import write_csv

    write_csv(path, WEEK)


FILES: dict[str, Callable[[Path], None]] = {
    "ten.jsonl": _ten,
    "answers.jsonl": _answers,
    "million.jsonl": _million,
    "week.csv": _week,
}


def table(quick: bool, week: Path | None, speed: float) -> None:
    """Measure and print the commands."""
    print(f"\n{'whole processes':<22}{'':<9}{'CPU-s':>7}{'as there':>9}  aim{'MB':>15}  aim")
    with tempfile.TemporaryDirectory() as temporary:
        for command in COMMANDS:
            if command.quick or not quick:
                measure(command, Path(temporary), speed)
    if week is not None:
        measure(THE_WEEK, week, speed)


def measure(command: Command, folder: Path, speed: float) -> None:
    """Print a command's lines, one a kernel."""
    if command.file and not (folder / command.file).exists():
        spawn = multiprocessing.get_context("spawn")
        with spawn.Pool(1) as pool:
            pool.apply(FILES[command.file], (folder / command.file,))
    for kernel, aims in (("python", command.python), ("compiled", command.compiled)):
        if aims is None or (kernel == "compiled" and WHY_PYTHON):
            continue
        seconds, memory = command.best(folder, kernel)
        there = seconds * speed
        print(
            f"{command.title:<22}{kernel:<9}{seconds:>7.2f}{there:>9.2f}  "
            f"{_verdict(there, aims[0]):<13}{memory:>5,.0f}  {_verdict(memory, aims[1])}".rstrip(),
            flush=True,
        )


def _verdict(measured: float, aim: float) -> str:
    return "" if aim == INF else f"{aim:g} {'met' if measured <= aim else 'MISSED'}"
