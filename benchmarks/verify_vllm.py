"""Compare this engine with the scheduler of a real vLLM, on workloads drawn by seed.

    make verify-vllm                   the version that is pinned
    make verify-vllm VLLM=0.34.0       another one
    python -m benchmarks.verify_vllm --versions

vLLM is installed into a folder of its own (build/vllm-VERSION), never beside this project: what its
scheduler needs, no GPU library. It records each workload; `llmsched.verify.golden` replays the
recording and compares step by step, and so does the plain loop of the tests. Another recording is
made with the scheduler of `llmsched.serving`, in a planned order. Exit code 1 when one differs.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks import vllm_served
from llmsched.errors import InputError
from llmsched.real.installed import CHECKED
from llmsched.verify import golden
from tests.verify.plain_vllm import replayed

ROOT = Path(__file__).parents[1]
REQUIREMENTS = Path(__file__).with_name("vllm-requirements.txt")
RESULTS = ("first_token_s", "finish_s", "preemptions", "steps", "makespan_s")
"""What two recordings of the same workload must have in common."""


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--version", default=CHECKED[0], help="of vLLM (%(default)s)")
    parser.add_argument("--versions", action="store_true", help="print the checked versions")
    parser.add_argument("--workloads", type=int, default=96, help="how many (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the first workload (%(default)s)")
    parser.add_argument(
        "--python", type=Path, help="an interpreter that has vLLM; installs nothing"
    )
    parser.add_argument("--keep", type=Path, help="a folder for the recordings")
    options = parser.parse_args()
    if options.versions:
        print(*CHECKED, sep="\n")
        return 0
    python = options.python or installed(options.version)
    with TemporaryDirectory() as folder:
        output = options.keep or Path(folder)
        output.mkdir(parents=True, exist_ok=True)
        seeds = range(options.seed, options.seed + options.workloads)
        print(f"vLLM {options.version}, workloads drawn by seeds {seeds.start} to {seeds.stop - 1}")
        record(python, seeds, output)
        paths = [output / f"drawn_{seed}.json" for seed in seeds]
        followed = sorted(output.glob("served_*.json"))
        exact = [
            report("engine", paths, replayed_by_engine),
            report("plain loop", paths, replayed_by_plain_loop),
            report("inside a server", followed, vllm_served.difference),
        ]
    return 0 if all(exact) else 1


def installed(version: str) -> Path:
    """Return the interpreter of an environment with this vLLM, made if there is none."""
    folder = ROOT / "build" / f"vllm-{version}"
    python = folder / "bin" / "python"
    ready = folder / "ready.txt"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = "\n".join([REQUIREMENTS.read_text(), *project["dependencies"], ""])
    if not ready.is_file() or ready.read_text() != wanted:
        print(f"installing vLLM {version} into {folder}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        listed = folder / "requirements.txt"
        listed.write_text(wanted)
        subprocess.run([*pip, "--requirement", str(listed)], check=True)
        subprocess.run([*pip, "--no-deps", f"vllm=={version}"], check=True)
        ready.write_text(wanted)
    return python


def record(python: Path, seeds: range, output: Path) -> None:
    """Let the real scheduler record the workloads."""
    command = [str(python), "-m", "benchmarks.vllm_record", "--seed", str(seeds.start)]
    command += ["--workloads", str(len(seeds)), "--output", str(output.resolve())]
    quiet = {"VLLM_LOGGING_LEVEL": "CRITICAL", "PYTHONPATH": str(ROOT)}
    told = subprocess.run(
        command, cwd=ROOT, env=os.environ | quiet, stderr=subprocess.PIPE, text=True
    )
    if told.returncode:  # else it is what torch and vLLM say about a machine without a GPU
        print(told.stderr, file=sys.stderr)
        told.check_returncode()


def report(name: str, paths: Iterable[Path], differs: Callable[[Path], str]) -> bool:
    """Print how many recordings are the same, and each difference; return whether all are."""
    checked = {path: differs(path) for path in paths}
    wrong = {path: text for path, text in checked.items() if text}
    for path, text in wrong.items():
        print(f"  {path.name}: {text}")
    print(f"{name}: exact: {len(checked) - len(wrong)} of {len(checked)}")
    return not wrong


def replayed_by_engine(path: Path) -> str:
    """Return what this engine does otherwise; nothing if all is the same."""
    try:
        return golden.check(path).difference
    except InputError as error:
        return f"cannot be replayed{str(error).removeprefix(str(path))}"


def replayed_by_plain_loop(path: Path) -> str:
    """Return what the plain loop does otherwise; nothing if all is the same."""
    recorded = read(path)
    ours = replayed(recorded)
    for at, (theirs, mine) in enumerate(zip(recorded["steps"], ours["steps"], strict=False)):
        if theirs != mine:
            return f"step {at}: recorded {theirs}; simulated {mine}"
    return ", ".join(f"{name} differ" for name in RESULTS if recorded[name] != ours[name])


def read(path: Path) -> dict[str, Any]:
    data = path.read_bytes()
    document: dict[str, Any] = json.loads(
        gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    )
    return document


if __name__ == "__main__":
    sys.exit(main())
