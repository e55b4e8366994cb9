"""``llmsched compare``: run a scenario, show it, hold it against gates."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from msgspec.structs import replace

from llmsched.cli import options
from llmsched.cli.deliver import GATES, Against, Delivery, FailOn, refusal_told
from llmsched.cli.doubts import (
    tell_of_engine,
    tell_of_equal_cases,
    tell_of_first_waves,
    tell_of_study,
    warn_of_study,
)
from llmsched.cli.inputs import choose_hardware, given, parse_slo
from llmsched.cli.measuring import Measuring
from llmsched.cli.progress import phase
from llmsched.cli.reading import Reading
from llmsched.errors import InputError
from llmsched.notes import say, warn

if TYPE_CHECKING:
    from llmsched.comparison.checkpoint import Checkpoint
    from llmsched.comparison.document import Document
    from llmsched.comparison.run import Rows
    from llmsched.comparison.study import Study
    from llmsched.scenario import Scenario

RUN = "Run"

Target = Annotated[
    str | None,
    typer.Argument(
        metavar="SCENARIO|TRACE",
        show_default=False,
        help="Scenario (.yaml or a shipped name), or a trace. Default: paper-gsm8k.",
    ),
]
Policies = Annotated[
    str | None,
    typer.Option(metavar="A,B,...", rich_help_panel=RUN, help="Policies, see `llmsched policies`."),
]
Filter = Annotated[
    list[str] | None,
    typer.Option(
        metavar="AXIS=GLOB",
        rich_help_panel=RUN,
        help="Only this part of a matrix; may be repeated.",
    ),
]
CaseCount = Annotated[
    int | None,
    typer.Option(metavar="N", rich_help_panel=RUN, help="Draw N cases and compare them in pairs."),
]
Draw = Annotated[
    str | None,
    typer.Option(
        metavar="bootstrap|lengths|synthetic",
        rich_help_panel=RUN,
        help="What differs between cases: rows drawn with replacement and put at the trace's "
        "arrival times, the error of the predicted lengths, or the seed of a synthetic trace. "
        "Default: bootstrap.",
    ),
]
Jobs = Annotated[
    int,
    typer.Option(metavar="N", rich_help_panel=RUN, help="Processes; 0 means one a core."),
]
ExecutorName = Annotated[
    str | None,
    typer.Option(
        "--executor",
        metavar="local|dask",
        rich_help_panel=RUN,
        help="Where to run. dask: the cluster at DASK_SCHEDULER_ADDRESS. Default: local.",
    ),
]
Resume = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", rich_help_panel=RUN, help="Keep finished rows here; go on from those there."
    ),
]
Baseline = Annotated[
    str | None,
    typer.Option(metavar="POLICY", rich_help_panel=GATES, help="Compare with this policy."),
]
NoGates = Annotated[
    bool, typer.Option("--no-gates", rich_help_panel=GATES, help="Ignore the scenario's gates.")
]


@dataclass(frozen=True, kw_only=True)
class Selection(options.Group):
    """What is run, and where."""

    policies: Policies = None
    filter: Filter = None
    cases: CaseCount = None
    draw: Draw = None
    jobs: Jobs = 1
    executor: ExecutorName = None
    resume: Resume = None

    @property
    def filters(self) -> dict[str, str]:
        """The pattern of each axis.

        Raises
        ------
        InputError
            One without a pattern, or given twice.
        """
        patterns: dict[str, str] = {}
        for text in self.filter or []:
            axis, equals, pattern = text.partition("=")
            if not equals:
                raise InputError(f"--filter: expected AXIS=GLOB, got {text!r}")
            if axis in patterns:
                raise InputError(f"--filter: expected one pattern of {axis}, got two")
            patterns[axis] = pattern
        return patterns


def compare(
    *,
    target: Target = None,
    selection: Selection,
    engine: options.Engine,
    terms: options.Terms,
    reading: Reading,
    baseline: Baseline = None,
    against: Against = None,
    fail_on: FailOn = None,
    no_gates: NoGates = False,
    slo: options.Slo = None,
    measuring: Measuring,
    latency_bound: options.LatencyBound = False,
    delivery: Delivery,
) -> None:
    """Run policies on the same requests and show them side by side."""
    delivery.check(selection.resume)
    if no_gates and fail_on:
        raise InputError("--fail-on: expected without --no-gates")
    plan = None if terms.plan is None else str(terms.plan)
    presented = given(concurrency=terms.concurrency, plan=plan)
    scenario = _scenario(target, engine, reading)
    changes = given(
        traces=tuple(replace(source, **presented) for source in scenario.traces),
        policies=_names(selection.policies),
        lengths=None if terms.lengths is None else (terms.lengths,),
        seed=terms.seed,
        slo=None if slo is None else parse_slo(slo),
        gates=() if no_gates else None if fail_on is None else tuple(fail_on),
        cases=_cases(scenario, selection.cases, selection.draw),
        **measuring.given,
        latency_bound=latency_bound or None,
    )
    changes |= _counted_otherwise(changes)
    measuring.tell_of_classes(reading.job_class)
    named = given(hardware=engine.hardware, engine_like=engine.engine_like)
    others = (engine.changes, presented, reading.given, named)
    scenario = replace(_of_this_workload(scenario, changes, *others), **changes)
    own_traces = not (presented or reading.given)
    scenario = replace(scenario, options=_options(changes, engine, own_traces))
    with refusal_told(scenario.name, delivery):
        document = _run(scenario, baseline, selection, against, plain=delivery.is_plain)
    delivery.finish(document, table=True, summary=not no_gates)


def _counted_otherwise(changes: Mapping[str, object]) -> dict[str, None]:
    """Return what a warm-up or window of the command line takes the place of in a scenario."""
    return {
        other: None
        for one, other in (("warmup", "window"), ("window", "warmup"))
        if one in changes and other not in changes
    }


_SAID = ("policies", "lengths", "seed", "slo", "by", "warmup", "window")
_FLAGS = {**{name: options.flag_of(name) for name in _SAID}, "gates": "--fail-on"}


def _options(
    changes: Mapping[str, object], engine: options.Engine, own_traces: bool
) -> dict[str, str]:
    """Return the option behind each field of a scenario that no file answers for."""
    said = {field: flag for field, flag in _FLAGS.items() if field in changes}
    said |= {} if own_traces else {"trace": ""}
    said |= {} if engine.engine_like is None else {"engine_like": "--engine-like"}
    return said if engine.hardware is None else {**said, "hardware": "--hardware"}


def _run(
    scenario: Scenario,
    baseline: str | None,
    selection: Selection,
    against: Path | None,
    *,
    plain: bool,
) -> Document:
    """Check everything that can be checked at once, then run, then judge.

    Stalls are not measured for a plain table, which does not show them.
    """
    from llmsched.comparison import against as judging
    from llmsched.comparison.checkpoint import Checkpoint
    from llmsched.comparison.document import build_document, read_document
    from llmsched.comparison.executors import find_executor
    from llmsched.comparison.gates import parse_gate
    from llmsched.comparison.run import run_study
    from llmsched.comparison.study import prepare

    with scenario.blamed("gates"):
        gates = [parse_gate(text) for text in scenario.gates]
    base = None if against is None else read_document(against)
    filters = selection.filters
    more = (scenario.slo, scenario.by, gates, base, scenario.cases, selection.resume)
    stalls = not plain or any(more)
    with phase("loading"):
        study = prepare(scenario, filters, stalls=stalls)
    scenario = replace(scenario, baseline=_baseline(scenario, baseline, study, base is not None))
    selected = given(policies=_names(selection.policies), filter=filters.get("policy"))

    def judged(rows: Rows) -> Document:
        document = build_document(scenario, study, rows)
        if selected:
            document["selection"] = selected
        return judging.judged(document, gates, base, against)

    judged({})  # refuses now what it would refuse after the run
    where = find_executor(selection.executor, selection.jobs)
    warn_of_study(study)
    tell_of_engine(max(len(cell.trace) for cell in study.cells))
    checkpoint = None if selection.resume is None else Checkpoint(selection.resume, study)
    finished: Rows = {}
    try:
        with phase("study", "runs") as progress:
            progress(0, sum(1 for _ in study.runs()))
            rows = run_study(
                study, where, finished=finished, checkpoint=checkpoint, on_progress=progress
            )
    except KeyboardInterrupt:
        _save(scenario, study, finished, checkpoint)
        raise typer.Exit(130) from None
    tell_of_study(study, scenario, filters.get("policy", "*"))
    if study.cases is not None and study.cases.draw == "lengths":
        tell_of_equal_cases(rows)
    tell_of_first_waves(study, rows)
    return judged(rows)


def _scenario(target: str | None, engine: options.Engine, reading: Reading) -> Scenario:
    """Return the scenario that the target names, or one around a trace, with options applied."""
    from llmsched.files import plain
    from llmsched.finding import find_scenario
    from llmsched.scenario import HardwareSource, Scenario, TraceSource, load_scenario

    hardware = engine.hardware
    path = find_scenario("paper-gsm8k" if target is None else target)
    if path is not None:
        scenario = load_scenario(path)
        traces = tuple(
            replace(source, options={**source.options, **reading.given}) if source.file else source
            for source in scenario.traces
        )
        scenario = replace(scenario, traces=traces)
    else:
        assert target is not None
        profile, chosen = choose_hardware(hardware, target)
        name = "stdin" if target == "-" else plain(Path(target).name)
        scenario = Scenario(
            name=name,
            traces=(TraceSource(target, options=reading.given),),
            hardware=(HardwareSource(profile),),
            chosen=chosen,
        )
    knobs = {knob: (value,) for knob, value in engine.changes.items()}
    if hardware is not None:
        scenario = replace(scenario, hardware=(HardwareSource(hardware),))
    elif target is None:
        scenario = replace(scenario, chosen="default")
    like = scenario.engine_like if engine.engine_like is None else engine.engine_like
    return replace(scenario, engine={**scenario.engine, **knobs}, engine_like=like)


def _of_this_workload(
    scenario: Scenario, changes: dict[str, Any], *others: dict[str, Any]
) -> Scenario:
    """Return the scenario without what is known of another workload than the options make of it.

    Published rows were measured under its own lengths, seed and cases; the family was fitted to
    its own requests, hardware and knobs.
    """
    if any(others):
        if scenario.family:
            say("left out: other reconstructions and published rows, which are of another workload")
        return replace(scenario, published=(), family=())
    drawn = any(
        changes.get(name, getattr(scenario, name)) != getattr(scenario, name)
        for name in ("lengths", "seed", "cases")
    )
    return replace(scenario, published=()) if drawn else scenario


def _names(text: str | None) -> tuple[str, ...] | None:
    if text is None:
        return None
    names = tuple(name.strip() for name in text.split(","))
    if not all(names) or len(set(names)) != len(names):
        raise InputError(f"--policies: expected different names with commas between, got {text!r}")
    return names


def _cases(scenario: Scenario, count: int | None, draw: str | None) -> Any:
    from llmsched.documents.result import CaseCount, Cases
    from llmsched.schema import checked

    if count is not None:
        checked(count, CaseCount, "cases")
    asked = given(count=count, draw=draw)
    if scenario.cases is not None:
        return replace(scenario.cases, **asked)
    if draw is not None and count is None:
        raise InputError("--draw: expected together with --cases N")
    return Cases(**asked) if asked else None


def _baseline(scenario: Scenario, wanted: str | None, study: Study, against: bool) -> str:
    """Return the policy that the others are compared with: one that runs.

    By default the first; for a trace of one's own what most engines do, where that runs.

    Raises
    ------
    InputError
        It does not run, or the scenario's own was left out and gates would move to another one.
    """
    if wanted is not None and wanted not in study.policies:
        valid = ", ".join(study.policies)
        raise InputError(f"--baseline: expected one of {valid}; got {wanted!r}")
    if wanted is None and scenario.baseline in study.policies:
        return scenario.baseline
    plain = "vllm" in study.policies and not scenario.is_file
    first = "vllm" if plain else study.policies[0]
    if wanted is None and scenario.baseline is not None:
        from llmsched.catalog import find

        with scenario.blamed("baseline"):
            find(scenario.baseline, scenario.folder)
        left = f"baseline: {scenario.baseline} is left out"
        if scenario.gates and not against:
            raise InputError(f"{left}, and gates compare with it: name another with --baseline")
        warn(f"{left}, the others are compared with {first}")
    return wanted or first


def _save(scenario: Scenario, study: Study, finished: Rows, checkpoint: Checkpoint | None) -> None:
    """Keep what an interrupted run has finished, and say how to go on."""
    from llmsched.comparison.checkpoint import Checkpoint, default_path

    if checkpoint is None:
        if study.cases is None or not finished:
            return
        checkpoint = Checkpoint(default_path(scenario.name, study), study)
        for task, row in finished.items():
            if task not in checkpoint.rows:
                checkpoint.add(task, row)
    runs = list(study.runs())
    done, total = sum(run in checkpoint.rows for run in runs), len(runs)
    again = ["llmsched", *sys.argv[1:]]
    if not any(word.partition("=")[0] == "--resume" for word in again):
        again += ["--resume", str(checkpoint.path)]
    say(f"\n{done} of {total} runs are saved; continue with: {shlex.join(again)}")
