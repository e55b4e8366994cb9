"""What the command line answers, in Python: a replay and a comparison, of names or of objects.

Each argument may be what the command line takes (a shipped name, a path) or the object itself.
"""

from __future__ import annotations

import html
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from llmsched import replay
from llmsched.arguments import (
    ON_ERROR,
    Hardware,
    Knobs,
    Requests,
    baseline_of,
    config_of,
    hardware_of,
    limits_of,
    names_of,
    one_of,
    policy_of,
    trace_of,
    whole,
)
from llmsched.catalog import find
from llmsched.comparison.document import build_document, dump
from llmsched.comparison.frame import to_frame
from llmsched.comparison.run import Rows
from llmsched.comparison.study import Cell, Run, Study, default_policies
from llmsched.contract import Policy
from llmsched.counted import Counted
from llmsched.engine import SimulationResult
from llmsched.engine.limits import OnError
from llmsched.errors import InputError
from llmsched.lengths import check_mode, chosen_mode
from llmsched.metric import METRICS
from llmsched.records import finite, listed_groups
from llmsched.report.layout import figure
from llmsched.report.lead import form_of, leading, load_line
from llmsched.report.proven import bound_row
from llmsched.report.ranking import ranking
from llmsched.scenario import HardwareSource, Scenario, TraceSource
from llmsched.schema import shown

if TYPE_CHECKING:
    import pandas as pd


def simulate(
    trace: Requests,
    hardware: Hardware,
    policy: Policy | str,
    config: Knobs | None = None,
    *,
    predicted: NDArray[np.int64] | None = None,
    concurrency: int | None = None,
    on_error: OnError = "fail",
    keep_steps: bool = True,
) -> SimulationResult:
    """Replay a trace under a policy on a simulated engine.

    Parameters
    ----------
    trace : Trace, DataFrame, or the name or path that every command takes
        A frame has a row a request: `arrival` in seconds (or `timestamp` in milliseconds; all at
        once without either), `input_tokens`, `output_tokens`; perhaps `id`, `class`,
        `predicted_output_tokens`, `max_output_tokens`, `timeout_ms`,
        `priority`.
    hardware : HardwareProfile, or its name or path
    policy : Policy or str
        ``"vllm"``, ``"sjf+chunked"``: see ``llmsched policies``.
    config : EngineConfig or mapping of knobs, optional
        The profile's engine by default; a mapping changes some of its knobs.
    predicted, concurrency, on_error, keep_steps
        As in `llmsched.replay.simulate`.

    Raises
    ------
    InputError
        An argument is none of these, a name is unknown, a file cannot be read, or the requests
        cannot be replayed.
    PolicyError, LivelockError, Defect
        As `llmsched.engine.run`.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"input_tokens": [80, 20], "output_tokens": [9, 5]})
    >>> round(simulate(frame, "llama65b-8gpu-paper", "fcfs").makespan, 3)
    0.579
    """
    one_of("on_error", on_error, ON_ERROR)
    profile = hardware_of(hardware)
    return replay.simulate(
        trace_of(trace),
        profile,
        policy_of(policy),
        config_of(profile, config),
        predicted=predicted,
        concurrency=concurrency,
        on_error=on_error,
        keep_steps=keep_steps,
    )


def compare(
    trace: Requests,
    hardware: Hardware = "llama3-8b-a100",
    policies: Sequence[str] | None = None,
    *,
    slo: Mapping[str, float] | None = None,
    config: Knobs | None = None,
    lengths: str | None = None,
    seed: int = 0,
    concurrency: int | None = None,
    baseline: str | None = None,
    by: str | None = None,
    warmup: int | str | None = None,
    window: str | None = None,
    on_error: OnError = "fail",
) -> Comparison:
    """Replay a trace under several policies, side by side and beside their bounds.

    Parameters
    ----------
    trace, hardware, config
        As in `simulate`.
    policies : sequence of str, optional
        All named ones that the profile can price by default.
    slo : mapping, optional
        Limits in milliseconds: ``{"ttft_ms": 2000, "chat:tpot_ms": 50, "p99_ttft_ms": 5000}``.
    lengths : str, optional
        What policies know of output lengths: oracle, mean, trace, noisy:CV. By default what the
        trace predicts, else the truth.
    seed : int
        Of their error.
    concurrency : int, optional
        Closed loop of that many users instead of the arrivals.
    baseline : str, optional
        The policy that the others are compared with: vllm by default if it runs, else the first.
    by : str, optional
        Groups with metrics of their own: class, input or output, see `llmsched.grouping`.
    warmup, window : optional
        Which requests count in metrics, see `llmsched.counted.Counted`.
    on_error : {"fail", "skip"}
        Whether a request that can never fit is an error, or is refused and counted.

    Raises
    ------
    InputError, PolicyError, LivelockError, Defect
        As `simulate`.

    Examples
    --------
    >>> found = compare("gsm8k-llama65b", "llama65b-8gpu-paper", ["fcfs", "ljf"])
    >>> bool((found.frame.makespan_s >= found.bound["makespan_s"]).all())
    True
    """
    for name, text in {"lengths": lengths, "by": by, "window": window}.items():
        if text is not None and not isinstance(text, str):
            raise InputError(f"{name}: expected a text, got {shown(text)}")
    requests, profile = trace_of(trace), hardware_of(hardware)
    engine = config_of(profile, config)
    mode = chosen_mode(requests, lengths)
    check_mode(requests, mode)
    options = {"on_error": "skip"} if one_of("on_error", on_error, ON_ERROR) == "skip" else {}
    source = TraceSource(requests.name or "trace", options=options, concurrency=concurrency)
    cell = Cell({}, requests, profile, engine, mode, source)
    names = default_policies([cell]) if policies is None else names_of(policies)
    limits, counted = limits_of(slo), Counted(warmup, window)
    case = replay.Case(
        requests,
        profile,
        engine,
        lengths=mode,
        seed=whole("seed", seed),
        concurrency=concurrency,
        slo=limits,
        on_error=cell.on_error,
        counted=counted,
        by=by,
    )
    study = Study((cell,), names, seed, limits, counted=counted, by=case.by)
    results: dict[str, SimulationResult] = {}
    rows: Rows = {}
    for name in names:
        results[name], row = replay.replay(case, find(name))
        groups = listed_groups(replay.group_rows(case, results[name]))
        rows[Run(0, 0, name)] = {"policy": name, **finite(row), **groups}
    scenario = Scenario(
        name=requests.name,
        traces=(source,),
        hardware=(HardwareSource(profile.name),),
        baseline=baseline_of(baseline, names),
    )
    return Comparison(build_document(scenario, study, rows), results)


@dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """What `compare` found.

    Attributes
    ----------
    document : dict
        What ``llmsched compare --output`` saves; every report is a view of it.
    results : mapping
        The replay of each policy.
    """

    document: dict[str, Any]
    results: Mapping[str, SimulationResult] = field(default_factory=dict)

    @cached_property
    def frame(self) -> pd.DataFrame:
        """One row a policy, one column a metric; NaN where a metric has no samples."""
        return to_frame(self.document)

    @cached_property
    def requests(self) -> pd.DataFrame:
        """One row a policy and request: `SimulationResult.requests` of each policy."""
        import pandas as pd

        frames = {name: result.requests for name, result in self.results.items()}
        return pd.concat(frames, names=["policy"]).reset_index(0).reset_index(drop=True)

    @property
    def bound(self) -> dict[str, float]:
        """What no policy can beat, by the metric that it bounds: `slo_attainment` at the most."""
        return {name: v for name, v in bound_row(self.document).items() if name != "policy"}

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that a report of it shows, the one that policies are judged by first."""
        present = self.frame.columns[self.frame.notna().any()]
        return tuple(n for n in leading(self.document, self.document) if n in present)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Save the document: ``llmsched report FILE`` shows it in any format.

        Raises
        ------
        InputError
            It cannot be written.
        """
        from llmsched.files import write_whole

        write_whole(os.fspath(path), dump(self.document))

    def __repr__(self) -> str:
        lines = [
            f"Comparison of {len(self.frame)} policies on {self.document['scenario']}",
            load_line(self.document),
            ranking(self.document, self.document),
        ]
        return "\n".join(filter(None, lines))

    def _repr_html_(self) -> str:
        rows = self.document["results"]
        shown = {}
        for name in self.metrics:
            title, scale, form = form_of(METRICS[name], rows)
            shown[" ".join(filter(None, title))] = [figure(row, name, form, scale) for row in rows]
        table = self.frame[[]].assign(**shown).to_html(border=0)
        line = load_line(self.document)
        return f"<p>{html.escape(self.document['scenario'])}<br>{html.escape(line)}</p>{table}"
