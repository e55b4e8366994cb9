"""A scenario: what one comparison runs, as a strict YAML file.

Wherever a scenario may vary (`trace`, `hardware`, each engine knob, `lengths`) it takes one value
or a list; the comparison runs the product. Nothing is loaded here beyond the YAML itself.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, to_builtins
from msgspec.structs import replace

from llmsched.config import MOST_IN_A_BLOCK, EngineConfig
from llmsched.counted import Counted, Warmup
from llmsched.documents.result import By, Cases, Objective, Published, Window
from llmsched.documents.yaml import read_mapping
from llmsched.errors import InputError
from llmsched.grouping import check_by
from llmsched.hardware.profile import Choice
from llmsched.importers import TraceOptions
from llmsched.objective import check_limit
from llmsched.schema import (
    Named,
    Several,
    check_once,
    checked,
    keys_of,
    several,
    shown,
    some_of,
    within,
)

Knob = int | float | str | None

_Users = Annotated[int, Meta(ge=1, le=10**9)]
Seed = Annotated[int, Meta(ge=0)]
_Knobs = some_of(EngineConfig, several=True)
_Options = some_of(TraceOptions)


class Generate(Struct, frozen=True, forbid_unknown_fields=True):
    """What `synthesize.generate` takes."""

    requests: Annotated[int, Meta(ge=1, le=10**7)] | None = None
    arrivals: Annotated[str, Meta(description="offline, poisson:RATE, gamma:RATE:CV")] | None = None
    input_length: Annotated[str, Meta(description="fixed:N, lognormal:MEAN:STD ...")] | None = None
    output_length: Named | None = None
    turns: Annotated[str, Meta(description="Requests of a session.")] | None = None
    delay_ms: Annotated[str, Meta(description="From one turn to the next.")] | None = None
    prefixes: Annotated[str, Meta(description="Shared prefixes: N or N:EXPONENT.")] | None = None
    prefix_length: Annotated[str, Meta(description="Tokens of each.")] | None = None
    hash_block_size: Annotated[int, Meta(ge=1, le=MOST_IN_A_BLOCK)] | None = None
    like: Annotated[str, Meta(description="A trace whose marginals are drawn from.")] | None = None
    seed: Annotated[int, Meta(ge=0)] | None = None

    def __post_init__(self) -> None:
        from llmsched.synthesize import Arrivals, parse_lengths, prefixes_of

        for name in ("requests", "input_length", "output_length"):
            if self.like is None and getattr(self, name) is None:
                what = "an integer >= 1" if name == "requests" else "a distribution"
                raise InputError(f"{name}: expected {what}, or `like`, a trace; got nothing")
        if self.arrivals is not None:
            Arrivals.parse(self.arrivals)
        if self.delay_ms is not None and self.turns is None:
            raise InputError("delay_ms: expected beside turns, between which it is")
        for name in ("input_length", "output_length", "turns", "delay_ms", "prefix_length"):
            if getattr(self, name) is not None:
                try:
                    parse_lengths(name, getattr(self, name))
                except InputError as error:  # some begin with what a distribution is called
                    raise InputError(f"{name}: {str(error).partition(': ')[2]}") from error
        prefixes_of(self.prefixes, self.prefix_length, self.hash_block_size)


class TraceSource(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Where a trace comes from and how to read it.

    Attributes
    ----------
    file : str or None
        Path or shipped name; None for a synthetic trace.
    generate : mapping
        What `synthesize.generate` takes, for a synthetic trace.
    options : mapping
        What `importers.TraceOptions` takes: format, limit, speed, offline ...
    name : str or None
        Label in tables; the trace's own name if None.
    concurrency : int or None
        Closed loop of that many users instead of the arrivals.
    plan : str or None
        Saved plan that says which replica runs which request (``llmsched plan --replicas``).
    """

    file: Annotated[Named | None, Meta(description="A file, or a shipped trace's name.")] = None
    generate: Annotated[dict[str, Any] | None, keys_of(Generate)] = None
    options: Annotated[dict[str, Any], keys_of(_Options)] = {}
    name: Named | None = None
    concurrency: Annotated[_Users | None, Meta(description="Users of a closed loop.")] = None
    plan: Annotated[Named | None, Meta(description="Saved plan: which replica runs what.")] = None

    def __post_init__(self) -> None:
        if (self.file is None) == (self.generate is None):
            what = "a text or generate" if self.file is None else "no file beside generate"
            got = "nothing" if self.file is None else shown(self.file)
            raise InputError(f"file: expected {what}, got {got}")
        if self.concurrency is not None and self.plan is not None:
            raise InputError("concurrency: expected without a plan, which says who runs where")
        if self.generate is not None:
            with within("generate"):
                checked(self.generate, Generate)
            if self.options.keys() - {"on_error"}:
                raise InputError("options: expected beside a file, got them beside generate")
        with within("options"):
            checked(self.options, _Options)
            TraceOptions(**self.options)


class HardwareSource(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A profile by name or file, with fields that differ from it.

    Attributes
    ----------
    profile : str
        Shipped name or path.
    override : mapping
        Fields of the profile's document to replace, nested as there.
    name : str or None
        Label in tables; the profile's own name if None.
    """

    profile: Annotated[Named, Meta(description="A shipped profile's name, or a file.")]
    override: dict[str, Any] = {}
    name: Named | None = None


class MemberSection(Struct, frozen=True, forbid_unknown_fields=True):
    """A `Member` as the file has it."""

    name: Named
    hardware: HardwareSource | Named
    trace: TraceSource | Named | None = None


@dataclass(frozen=True)
class Member:
    """Another reconstruction of what the scenario reconstructs: it fits the same known figures.

    Attributes
    ----------
    name : str
        What sets it apart from the others.
    hardware : HardwareSource
        Its profile.
    trace : TraceSource or None
        Its requests; the scenario's own if None.
    """

    name: str
    hardware: HardwareSource
    trace: TraceSource | None = None


class ScenarioFile(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A scenario as its file has it: see `Scenario`, and scenarios/README.md for an example."""

    schema_version: Literal[1]
    name: Named
    trace: Several[TraceSource | Named]
    hardware: Several[HardwareSource | Named]
    engine: Annotated[dict[str, Any], keys_of(_Knobs)] = {}
    engine_like: (
        Annotated[Named, Meta(description="A server whose defaults to take by the GPU's memory.")]
        | None
    ) = None
    policies: Several[Named] = []
    lengths: Several[Named] = []
    seed: Seed = 0
    baseline: Named | None = None
    slo: Objective = {}
    by: By | None = None
    warmup: Warmup | None = None
    window: Window | None = None
    gates: Several[Named] = []
    cases: Cases | None = None
    latency_bound: bool = False
    published: Several[Published] = []
    family: Several[MemberSection] = []
    note: str = ""

    def __post_init__(self) -> None:
        for name in self.slo:
            check_limit(name)
        if self.by is not None:
            check_by(self.by)
        Counted(self.warmup, self.window)
        with within("engine"):
            checked(self.engine, _Knobs)
            for knob, values in self.engine.items():
                check_once(several(values), knob)
        for field in ("trace", "hardware", "policies", "lengths", "gates", "published"):
            check_once(map(_said, several(getattr(self, field))), field)
        check_once((member.name for member in several(self.family)), "family", "name")


def _said(value: object) -> object:
    """Return a value as a file says it in the fewest words."""
    said = to_builtins(value)
    return next(iter(said.values())) if isinstance(said, dict) and len(said) == 1 else said


class Scenario(Struct, frozen=True):
    """One comparison.

    Empty `policies` means all that the hardware can run, empty `lengths` what each trace has:
    its own predictions, or else the truth.

    Where an experiment is known by a few figures alone, many reconstructions fit them: the
    `family`. What one of them predicts is worth no more than what all of them agree on.

    Attributes
    ----------
    chosen : {"named", "default", "assumed"}
        Who chose the hardware, as in `HardwareProfile`.
    options : mapping
        Command-line options by the field that they set; a file does not answer for those. An empty
        one is an option among several, which the message itself has to name.
    """

    name: str
    traces: tuple[TraceSource, ...]
    hardware: tuple[HardwareSource, ...]
    engine: Mapping[str, tuple[Knob, ...]] = {}
    engine_like: str | None = None
    policies: tuple[str, ...] = ()
    lengths: tuple[str, ...] = ()
    seed: int = 0
    baseline: str | None = None
    slo: Mapping[str, float] = {}
    by: str | None = None
    warmup: int | str | None = None
    window: str | None = None
    gates: tuple[str, ...] = ()
    cases: Cases | None = None
    latency_bound: bool = False
    published: tuple[Published, ...] = ()
    family: tuple[Member, ...] = ()
    note: str = ""
    source: str = "scenario"
    chosen: Choice = "named"
    options: Mapping[str, str] = {}

    @contextmanager
    def blamed(self, field: str) -> Iterator[None]:
        """Name who said what is refused inside: an option, or else the file and its key.

        Raises
        ------
        InputError
            As what is done inside.
        """
        said = self.options.get(field, f"{self.source}: {field}" if self.is_file else "")
        try:
            yield
        except InputError as error:
            text = str(error).removeprefix(f"{field}: ")
            if not said:
                raise
            raise InputError(f"{said}: {text}") from error

    @property
    def is_file(self) -> bool:
        """Whether a file says it; else it was made around a trace."""
        return self.source != "scenario"

    @property
    def folder(self) -> Path:
        """Where relative files that the scenario names are looked for first."""
        return Path(self.source).parent


def load_scenario(path: str | Path) -> Scenario:
    """Read a scenario file.

    Raises
    ------
    InputError
        The file cannot be read, a key is unknown, missing or given twice, or a value is not what
        the key takes; the message names file, key and value.
    """
    return parse_scenario(read_mapping(Path(path)), str(path))


def parse_scenario(document: Mapping[str, object], source: str) -> Scenario:
    """Validate a scenario; `source` names it in messages, and relative paths start beside it.

    Raises
    ------
    InputError
        A key is unknown or missing, or a value is not what the key takes.
    """
    found = checked(document, ScenarioFile, source)
    beside = Path(source).parent
    traces: tuple[TraceSource | str, ...] = several(found.trace)
    machines: tuple[HardwareSource | str, ...] = several(found.hardware)
    return Scenario(
        name=found.name,
        traces=tuple(_trace(one, beside) for one in traces),
        hardware=tuple(_hardware(one, beside) for one in machines),
        engine={knob: several(values) for knob, values in found.engine.items()},
        engine_like=found.engine_like,
        policies=several(found.policies),
        lengths=several(found.lengths),
        seed=found.seed,
        baseline=found.baseline,
        slo={str(name): limit for name, limit in found.slo.items()},
        by=found.by,
        warmup=found.warmup,
        window=found.window,
        gates=several(found.gates),
        cases=found.cases,
        latency_bound=found.latency_bound,
        published=several(found.published),
        family=tuple(_member(one, beside) for one in several(found.family)),
        note=found.note,
        source=source,
    )


def _trace(given: TraceSource | str, beside: Path) -> TraceSource:
    source = TraceSource(given) if isinstance(given, str) else given
    if source.generate is None:
        plan = None if source.plan is None else _beside(source.plan, beside)
        return replace(source, file=_beside(str(source.file), beside), plan=plan)
    generate = source.generate
    if (like := generate.get("like")) is not None:
        generate = {**generate, "like": _beside(like, beside)}
    return replace(source, generate=generate, name=source.name or "synthetic")


def _hardware(given: HardwareSource | str, beside: Path) -> HardwareSource:
    source = HardwareSource(given) if isinstance(given, str) else given
    return replace(source, profile=_beside(source.profile, beside))


def _member(given: MemberSection, beside: Path) -> Member:
    trace = None if given.trace is None else _trace(given.trace, beside)
    return Member(given.name, _hardware(given.hardware, beside), trace)


def _beside(name: str, folder: Path) -> str:
    """Return the path relative to the scenario's folder if a file is there; else the name as is.

    Names of policies stay as they are, because rows are called by them; see `Scenario.folder`.
    """
    near = folder / name
    return str(near) if os.path.isfile(near) else name  # which a name too long is not either
