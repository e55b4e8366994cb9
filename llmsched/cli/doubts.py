"""Lines on stderr about inputs that can be replayed: what looks like a mistake, what to know."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from llmsched import kernel, notes
from llmsched.notes import say

if TYPE_CHECKING:
    from llmsched.comparison.study import Run, Study
    from llmsched.config import EngineConfig
    from llmsched.documents.row import Row
    from llmsched.engine.limits import Served
    from llmsched.scenario import Scenario
    from llmsched.trace import Trace


LONG = 100_000
"""Requests of a replay from which on it matters which kernel runs."""


_WAVE = 0.1
"""Share of p99 TTFT that goes away with the first wave from which on that is worth a line."""


def warn_each(lines: Iterable[str]) -> None:
    """Print each line once."""
    for line in dict.fromkeys(lines):
        notes.warn(line)


def tell_of_engine(requests: int) -> None:
    """Say why a long replay will take as long as it does, where the kernel is not compiled."""
    if requests > LONG and kernel.WHY_PYTHON:
        say(kernel.which())


def tell_of_served(served: Served, config: EngineConfig, name: str = "") -> None:
    """Say which requests the engine refuses and whose answers it cuts, in one line."""
    if said := served.describe(config):
        longest = f"max_model_len {config.max_model_len or 0:,}"
        more = "; --engine max_model_len=none takes any" if longest in said else ""
        say(f"{name or served.whole.name}: {said}{more}")


def tell_of_truth(trace: Trace, mode: str, who: str = "policies know") -> None:
    """Say where requests arrive one by one and yet their true lengths are known beforehand."""
    if mode == "oracle" and trace.arrival.any():
        say(f"{who} the true lengths: --lengths noisy:0.3 for a realistic run")


def tell_of_study(study: Study, scenario: Scenario, pattern: str) -> None:
    """Say which named policies a comparison leaves out, and whether others know too much.

    Parameters
    ----------
    pattern : str
        Which policies were asked for, where the scenario names none.
    """
    from llmsched.catalog import find, needs_lengths

    if not scenario.policies:
        _tell_left_out(study, pattern)
    if scenario.is_file or not any(needs_lengths(find(name)) for name in study.policies):
        return
    for cell in study.cells[:1]:  # a trace of one's own is one cell
        tell_of_truth(cell.trace, cell.lengths)


def tell_of_equal_cases(rows: Mapping[Run, Row]) -> None:
    """Say of which policies all cases are one: an interval over them is of no width, and no proof.

    So it is where only the error of the lengths is drawn, and a policy does not look at lengths.
    """
    first: dict[tuple[int, str], Row] = {}
    alike: dict[str, bool] = {}
    for run, row in rows.items():
        same = first.setdefault((run.cell, run.policy), row) == row
        alike[run.policy] = alike.get(run.policy, True) and same
    if names := [policy for policy, same in alike.items() if same]:
        what = "what was drawn makes no difference to them"
        say(f"every case is the same for {', '.join(names)}: {what}")


def tell_of_first_wave(rows: Mapping[str, Mapping[str, Any]], wave: int, where: str = "") -> None:
    """Say of which policies p99 TTFT is mostly that of the requests that arrive together at first.

    Parameters
    ----------
    rows : mapping
        By policy.
    wave : int
        How many arrive so.
    """
    names = [policy for policy, row in rows.items() if (row.get("first_wave") or 0) >= _WAVE]
    if names and wave:
        whose = f" of {', '.join(names)}" if len(rows) > 1 else ""
        say(f"{where}p99 TTFT{whose} is the first wave: --warmup {wave} leaves out those requests")


def tell_of_first_waves(study: Study, rows: Mapping[Run, Row]) -> None:
    """Say it of each cell of a comparison, by its first case."""
    import numpy as np

    from llmsched.counted import first_wave

    for i, cell in enumerate(study.cells):
        n, users = len(cell.trace), cell.source.concurrency
        arrival = np.where(cell.trace.previous < 0, cell.trace.arrival, np.inf)
        wave = first_wave(arrival) if users is None else users if 1 < users < n else 0
        found = {run.policy: row for run, row in rows.items() if (run.cell, run.case) == (i, 0)}
        tell_of_first_wave(found, wave, f"{cell.name}: " if cell.name else "")


def _tell_left_out(study: Study, pattern: str) -> None:
    from llmsched.policies import NAMED

    asked = [name for name in NAMED if fnmatchcase(name, pattern) and name not in study.policies]
    exclusive = [cell.hardware.name for cell in study.cells if not cell.hardware.step_time.mixed]
    if asked:
        say(
            f"left out on {', '.join(dict.fromkeys(exclusive))}, which prices no mixed steps: "
            f"{', '.join(asked)}; see `llmsched hardware list` for profiles that do"
        )


def warn_of_study(study: Study) -> None:
    """Warn of what is doubtful in the cells of a comparison."""
    from llmsched.engine.replicas import count_replicas
    from llmsched.hardware.fitted import beyond_fit
    from llmsched.modelname import other_models
    from llmsched.plausibility import doubts

    for cell in study.cells:
        name = f"{cell.name}: " if cell.name else ""
        served = cell.served()
        tell_of_served(served, cell.engine, cell.name)
        if cell.source.generate:  # its rate was asked for
            found = beyond_fit(cell.hardware, cell.engine, len(cell.trace))
        else:
            found = doubts(
                served.trace,
                cell.hardware,
                cell.engine,
                cell.source.concurrency,
                count_replicas(cell.assignment),
                float(str(cell.source.options.get("speed", 1.0))),
            )
        found += other_models(cell.trace, cell.hardware)
        warn_each(name + line for line in found)
