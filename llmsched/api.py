"""What the command line answers, in Python: a replay and a comparison, of names or of objects.

Each argument may be what the command line takes (a shipped name, a path) or the object itself.
"""

from __future__ import annotations

import html
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from llmsched import replay
from llmsched.catalog import find
from llmsched.comparison.document import build_document, dump
from llmsched.comparison.frame import to_frame
from llmsched.comparison.run import Rows
from llmsched.comparison.study import Cell, Run, Study, default_policies
from llmsched.config import EngineConfig
from llmsched.contract import Policy
from llmsched.counted import Counted
from llmsched.engine import SimulationResult
from llmsched.engine.limits import OnError
from llmsched.errors import InputError
from llmsched.finding import find_trace
from llmsched.hardware import HardwareProfile, load_profile
from llmsched.importers import TraceOptions, load
from llmsched.lengths import check_mode, chosen_mode
from llmsched.metric import METRICS
from llmsched.objective import check_limit
from llmsched.records import finite, listed_groups
from llmsched.report.layout import figure
from llmsched.report.lead import form_of, leading, load_line
from llmsched.report.proven import bound_row
from llmsched.report.ranking import ranking
from llmsched.scenario import HardwareSource, Scenario, TraceSource
from llmsched.schema import checked, shown, some_of, within
from llmsched.trace import Trace

if TYPE_CHECKING:
    import pandas as pd

Requests: TypeAlias = "Trace | pd.DataFrame | str | os.PathLike[str]"
Hardware: TypeAlias = HardwareProfile | str | os.PathLike[str]
Knobs: TypeAlias = EngineConfig | Mapping[str, Any]

_COLUMNS = {
    "arrival": ("arrival", "arrival_s", "timestamp"),
    "input_tokens": ("input_tokens", "input_length"),
    "output_tokens": ("output_tokens", "output_length"),
    "id": ("id",),
    "job_class": ("job_class", "class"),
    "predicted_output_tokens": ("predicted_output_tokens", "predicted_output_length"),
    "max_output_tokens": ("max_output_tokens",),
    "timeout": ("timeout", "timeout_ms"),
}
"""What a frame's columns may be called: as here, as in ``--requests``, as in a file."""

ON_ERROR: tuple[str, ...] = get_args(OnError)

_NEEDED = ("input_tokens", "output_tokens")


def load_trace(name_or_path: str | os.PathLike[str], **options: Any) -> Trace:
    """Read a trace as every command does.

    Parameters
    ----------
    options
        What `importers.TraceOptions` takes: format, limit, speed, offline and so on.

    Raises
    ------
    InputError
        There is no such trace or option, or the file cannot be read or accepted.

    Examples
    --------
    >>> len(load_trace("gsm8k-llama65b", limit=10))
    10
    """
    with within("options"):
        checked(options, some_of(TraceOptions))
    return load(find_trace(os.fspath(name_or_path)), TraceOptions(**options))


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
        `predicted_output_tokens`, `max_output_tokens`, `timeout_ms`.
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
    _one_of("on_error", on_error, ON_ERROR)
    profile = _hardware(hardware)
    return replay.simulate(
        _trace(trace),
        profile,
        _policy(policy),
        _config(profile, config),
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
    requests, profile = _trace(trace), _hardware(hardware)
    engine = _config(profile, config)
    mode = chosen_mode(requests, lengths)
    check_mode(requests, mode)
    options = {"on_error": "skip"} if _one_of("on_error", on_error, ON_ERROR) == "skip" else {}
    source = TraceSource(requests.name or "trace", options=options, concurrency=concurrency)
    cell = Cell({}, requests, profile, engine, mode, source)
    names = default_policies([cell]) if policies is None else _names(policies)
    limits, counted = _slo(slo), Counted(warmup, window)
    case = replay.Case(
        requests,
        profile,
        engine,
        lengths=mode,
        seed=_whole("seed", seed),
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
        baseline=_baseline(baseline, names),
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


def _trace(given: Requests) -> Trace:
    """Return the requests that somebody gave, in whatever form."""
    if isinstance(given, Trace):
        return given
    if isinstance(given, str | os.PathLike):
        return load_trace(given)
    if hasattr(given, "columns") and hasattr(given, "to_numpy"):
        return _of_frame(given)
    raise InputError(f"trace: expected a Trace, a DataFrame, a name or a path, got {shown(given)}")


def _of_frame(frame: pd.DataFrame) -> Trace:
    """Return the rows of a frame as requests."""
    found: dict[str, str] = {}
    for name, known in _COLUMNS.items():
        named = [column for column in known if column in frame.columns]
        if len(named) > 1:
            raise InputError(f"trace: expected one of the columns {', '.join(named)}, got both")
        found |= {name: named[0]} if named else {}
    for name in _NEEDED:
        if name not in found:
            there = ", ".join(map(str, frame.columns))
            raise InputError(f"trace: expected a column {name}, got {there or 'no columns'}")
    columns: dict[str, Any] = {name: frame[column].to_numpy() for name, column in found.items()}
    for name in ("arrival", "timeout"):
        if name in columns:
            in_ms = found[name] in ("timestamp", "timeout_ms")
            columns[name] = _numbers(name, columns[name]) / (1e3 if in_ms else 1.0)
    if "timeout" in columns:  # as in a file, rows may lack it
        columns["timeout"] = np.where(np.isnan(columns["timeout"]), np.inf, columns["timeout"])
    for name in ("id", "job_class"):
        if name in columns:
            columns[name] = [str(one) for one in columns[name]]
    arrival = columns.pop("arrival", np.zeros(len(frame)))
    return Trace.from_columns(arrival, name="frame", **columns)


def _numbers(name: str, column: NDArray[Any]) -> NDArray[np.float64]:
    """Return a column of numbers; spans of time and dates are not taken for some."""
    try:
        if column.dtype.kind not in "iufO":
            raise TypeError
        return column.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"trace: {name}: expected numbers, got {column.dtype}") from error


def _hardware(given: Hardware) -> HardwareProfile:
    if isinstance(given, HardwareProfile):
        return given
    if isinstance(given, str | os.PathLike):
        return load_profile(os.fspath(given))
    raise InputError(f"hardware: expected a profile, a name or a path, got {shown(given)}")


def _policy(given: Policy | str) -> Policy:
    if isinstance(given, Policy):
        return given
    if isinstance(given, str):
        return find(given)
    raise InputError(f"policy: expected a Policy or a name, got {shown(given)}")


_Knobs = some_of(EngineConfig)


def _config(profile: HardwareProfile, given: Knobs | None) -> EngineConfig:
    """Return the engine's knobs: the profile's, with those that were given in their place."""
    if given is None:
        return profile.engine
    if isinstance(given, EngineConfig):
        return given
    if not isinstance(given, Mapping):
        raise InputError(f"config: expected an EngineConfig or knobs by name, got {shown(given)}")
    with within("config"):
        checked(dict(given), _Knobs)
        return replace(profile.engine, **given)


def _names(given: Sequence[str]) -> tuple[str, ...]:
    several = isinstance(given, Sequence) and not isinstance(given, str)
    names = tuple(given) if several else ()
    if not names or not all(isinstance(name, str) for name in names):
        raise InputError(f"policies: expected a list of names, got {shown(given)}")
    if len(set(names)) < len(names):
        raise InputError(f"policies: expected different names, got {', '.join(names)}")
    return names


def _slo(given: Mapping[str, float] | None) -> dict[str, float] | None:
    if given is None:
        return None
    if not isinstance(given, Mapping):
        raise InputError(f"slo: expected limits in ms by name, got {shown(given)}")
    for name, limit in given.items():
        if not isinstance(name, str):
            raise InputError(f"slo: expected the name of a limit, got {shown(name)}")
        check_limit(name)
        if not isinstance(limit, int | float) or not 0 < limit < float("inf"):
            raise InputError(f"slo: {name}: expected a number > 0, got {shown(limit)}")
    return dict(given)


def _one_of(name: str, given: object, known: Sequence[str]) -> object:
    if given not in known:
        raise InputError(f"{name}: expected one of {', '.join(known)}; got {shown(given)}")
    return given


def _whole(name: str, given: int) -> int:
    if not isinstance(given, int) or given < 0:
        raise InputError(f"{name}: expected an integer >= 0, got {shown(given)}")
    return given


def _baseline(wanted: str | None, names: Sequence[str]) -> str:
    if wanted is None:
        return "vllm" if "vllm" in names else names[0]
    if wanted not in names:
        raise InputError(f"baseline: expected one of {', '.join(names)}; got {shown(wanted)}")
    return wanted
