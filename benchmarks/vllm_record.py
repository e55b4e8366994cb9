"""Record drawn workloads; runs in the environment that has vLLM.

Started by `benchmarks/verify_vllm.py`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from benchmarks import vllm_served
from benchmarks.vllm_workloads import drawn
from llmsched.real.recorder import rerecord


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--workloads", type=int, required=True)
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    for seed in range(options.seed, options.seed + options.workloads):
        document = rerecord(drawn(seed))
        (options.output / f"{document['name']}.json").write_text(json.dumps(document))
        for draw in vllm_served.DRAWS[seed % 4 :: 4]:
            workload = vllm_served.drawn(draw, seed)
            document = vllm_served.recorded(workload, options.output)
            (options.output / f"{document['name']}.json").write_text(json.dumps(document))


if __name__ == "__main__":
    main()
