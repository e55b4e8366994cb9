"""The scheduler that runs inside a server, on drawn workloads: does it what was simulated?

`recorded` needs vLLM, `difference` does not: they may run in two environments, with a file between.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.vllm_workloads import drawn as drawn_workload
from llmsched.batching.chunked import Chunked
from llmsched.catalog import find
from llmsched.contract import Jobs, Policy, View
from llmsched.hardware import HardwareProfile
from llmsched.orders.rank import RankQueue
from llmsched.real.recorder import record
from llmsched.replay import simulate
from llmsched.verify import golden

DRAWS = ("ljf", "sjf", "sif", "plan")
"""Orders, and a plan's."""


@dataclass(frozen=True)
class Listed:
    """Requests in the order of a list of ranks, one a request."""

    ranks: tuple[int, ...]

    def queue(self, jobs: Jobs, view: View) -> RankQueue:
        return RankQueue(lambda request: self.ranks[request])


def drawn(draw: str, seed: int) -> dict[str, Any]:
    """Return a workload, and what a server is to follow.

    Caching and asynchronous scheduling are on or off by the seed, priorities and other knobs off.
    """
    workload = drawn_workload(16 * seed + seed // 4 % 4)
    count = len(workload["requests"])
    workload["name"] = f"served_{draw}_{seed}"
    workload["follows"] = draw
    if draw == "plan":
        places = list(range(count))
        random.Random(seed).shuffle(places)
        workload["slots"] = [[f"job-{place}" for place in places[slot::3]] for slot in range(3)]
        workload["ranks"] = [places.index(place) for place in range(count)]
    return workload


def recorded(workload: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return what vLLM does with the queue of :mod:`llmsched.serving.vllm`, as a recording."""
    from llmsched.serving import vllm

    more = {"llmsched_order": workload["follows"]}
    if workload["follows"] == "plan":
        plan = folder / "plan.json"
        plan.write_text(json.dumps({"slots": workload["slots"]}))
        more = {"llmsched_plan": str(plan)}
    document = record(
        workload["config"],
        workload["step_time"],
        workload["requests"],
        name=workload["name"],
        block_ids=workload.get("block_ids"),
        scheduler_cls=vllm.PlannedScheduler,
        names=[f"cmpl-job-{n}-0-{n:08x}" for n in range(len(workload["requests"]))],
        additional_config=more,
    )
    told = {name: workload[name] for name in ("follows", "ranks") if name in workload}
    return {**document, **told}


def difference(path: Path) -> str:
    """Return where the simulated schedule is another; nothing if it is the same."""
    document = json.loads(path.read_bytes())
    recording = golden.read(path)
    if document["follows"] == "plan":
        ranks = tuple(document["ranks"][int(place)] for place in recording.trace.id)
        policy = Policy("listed", Listed(ranks), Chunked())
    else:
        policy = find(f"{document['follows']}+chunked")
    hardware = HardwareProfile("recorded", recording.step_time)
    result = simulate(recording.trace, hardware, policy, recording.config)
    return golden.compare(recording, result)


def served(workload: Mapping[str, Any], folder: Path) -> str:
    """Record and compare at once."""
    path = folder / f"{workload['name']}.json"
    path.write_text(json.dumps(recorded(workload, folder)))
    return difference(path)
