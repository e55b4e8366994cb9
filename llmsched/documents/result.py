"""What a comparison is saved as: its types, and the laws that its rows obey among themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from llmsched.config import EngineConfig
from llmsched.counted import Warmup
from llmsched.documents.row import Figures, Row, check_figures, check_row
from llmsched.errors import InputError
from llmsched.metric import METRICS
from llmsched.objective import check_limit
from llmsched.schema import (
    Named,
    check_fields,
    check_once,
    checked,
    shown,
    some_of,
    within,
)

Count = Annotated[int, Meta(ge=0)]
Draw = Literal["bootstrap", "lengths", "synthetic"]
CaseCount = Annotated[int, Meta(ge=2, le=10**7)]
Positive = Annotated[int, Meta(ge=1)]
Digest = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Objective = Annotated[
    dict[str, Annotated[float, Meta(gt=0)]],
    Meta(
        description="Limits in ms by [CLASS:]METRIC: ttft_ms, tpot_ms, e2el_ms, or a statistic as "
        "p99_ttft_ms."
    ),
]
By = Annotated[Named, Meta(description="class, input, output or a length with edges: input:512.")]
Window = Annotated[Named, Meta(description="A..B: requests that arrive then count, seconds.")]


_Knobs = some_of(EngineConfig)

CHANGES = ("makespan_percent", "utilization_points")
"""What the ranges of a family tell beside metrics: changes from the baseline."""


class Cases(Struct, frozen=True, forbid_unknown_fields=True):
    """How many cases a study draws, and what differs from case to case.

    Attributes
    ----------
    count : int
        Cases, each run under every policy.
    draw : {"bootstrap", "lengths", "synthetic"}
        Resample the trace's rows, redraw only the error of the predicted lengths, or generate the
        synthetic trace from another seed.
    """

    count: CaseCount
    draw: Draw = "bootstrap"

    def __post_init__(self) -> None:
        check_fields(self)


class CasesRecord(Cases, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A result says what its cases differ in."""

    draw: Draw


class Published(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A row that somebody published, shown beneath the simulated ones and never mixed with them."""

    policy: Named
    metrics: Figures
    source: Named

    def __post_init__(self) -> None:
        with within("metrics"):
            check_figures(self.metrics)


class Selection(Struct, forbid_unknown_fields=True):
    policies: Annotated[list[str] | UnsetType, Meta(description="--policies")] = UNSET
    filter: Annotated[str | UnsetType, Meta(description="--filter policy=")] = UNSET


class TraceRecord(Struct, forbid_unknown_fields=True):
    name: str
    note: str
    sha256: Digest
    requests: Positive
    input_tokens: Positive
    output_tokens: Positive
    concurrency: Annotated[Positive | UnsetType, Meta(description="Users of a closed loop.")] = (
        UNSET
    )
    replicas: Annotated[Positive | None, Meta(description="Engines that share the requests.")] = (
        None
    )
    plan_sha256: Annotated[Digest | UnsetType, Meta(description="Who runs what.")] = UNSET
    counted: Annotated[str | UnsetType, Meta(description="Which requests metrics are of.")] = UNSET
    output_limits: Annotated[
        str | UnsetType,
        Meta(description="Where the limits come from that KV blocks are reserved for."),
    ] = UNSET
    unserved: Annotated[
        str | UnsetType, Meta(description="Who is refused, and whose answers are cut.")
    ] = UNSET
    options: dict[str, Any] | UnsetType = UNSET
    generate: dict[str, Any] | UnsetType = UNSET


class StepTimeRecord(Struct):
    """Prices of a step; reports read of what kind they are, and whether steps may be mixed."""

    kind: Literal["stages", "affine", "piecewise", "roofline"]
    mixed: bool | UnsetType = UNSET


class HardwareRecord(Struct):
    """The whole profile, with its provenance; reports read its name and kind."""

    name: str
    step_time: StepTimeRecord


class EngineRecord(Struct):
    """All knobs; those of later versions are let be."""

    max_num_seqs: Positive
    max_num_batched_tokens: Positive | None
    block_size: Positive
    num_gpu_blocks: Positive | None


class Pair(Struct, forbid_unknown_fields=True):
    """Differences of a policy from the baseline on the same cases, in the metric's unit."""

    policy: Named
    metric: Named
    mean: float
    ci_low: float
    ci_high: float
    p2_5: float
    p97_5: float
    mean_percent: float | None
    better: Count
    equal: Count
    worse: Count
    worst: float
    worst_case: Count


class Proven(Struct, forbid_unknown_fields=True):
    """A value in the metric's unit that no schedule of the scope beats."""

    value: Annotated[float, Meta(ge=0)]
    scope: Annotated[str, Meta(description="The schedules that it holds for.")]


class BoundRecord(Proven, forbid_unknown_fields=True, kw_only=True):
    """For every schedule, and what is proven beyond that for those that preempt little."""

    limited: Proven | UnsetType = UNSET


Rows = Annotated[list[Row], Meta(min_length=1)]
BoundRecords = Annotated[
    dict[str, BoundRecord], Meta(description="What no schedule beats, by metric.")
]


class LoadRecord(Struct, forbid_unknown_fields=True):
    """Requests a second that come, and of this mix at most can be served; seconds of arrivals."""

    offered: Annotated[float, Meta(gt=0)]
    most: Annotated[float, Meta(gt=0)]
    span_s: Annotated[float, Meta(gt=0)]
    requests: Positive


class Cell(Struct):
    """What ran, and a row a policy: means over the cases if there are several."""

    trace: TraceRecord
    hardware: HardwareRecord
    engine: EngineRecord
    lengths: Annotated[str, Meta(description="What policies knew of output lengths.")]
    results: Rows
    load: Annotated[LoadRecord | UnsetType, Meta(description="Unless all come at once.")] = UNSET
    paired: list[Pair] | UnsetType = UNSET
    bounds: BoundRecords | UnsetType = UNSET
    hardware_assumed: Annotated[
        Literal[True] | UnsetType, Meta(description="Nobody chose the profile.")
    ] = UNSET


class LabelledCell(Cell, kw_only=True, forbid_unknown_fields=True):
    label: Annotated[
        dict[str, str], Meta(description="The axes with more than one value, and this cell's.")
    ]


class Member(Cell, kw_only=True, forbid_unknown_fields=True):
    """Another reconstruction of the same experiment."""

    member: Named


class Family(Struct, forbid_unknown_fields=True):
    members: Annotated[list[Member], Meta(min_length=1)]
    ranges: Annotated[
        list[dict[str, Any]],
        Meta(
            min_length=1,
            description="Of each policy, [least, greatest] of its figures over all members.",
        ),
    ]


class Change(Struct, forbid_unknown_fields=True):
    cell: str
    policy: Named
    metric: Named
    base: float
    value: float
    worse: bool
    worsening_percent: float | None


class Against(Struct, forbid_unknown_fields=True):
    file: str
    llmsched: str
    changes: list[Change]
    new: Annotated[list[str], Meta(description="Policies the earlier result does not have.")]
    gone: Annotated[
        list[str],
        Meta(description="Only the earlier result has them, and no option left them out."),
    ]
    left_out: list[str] | UnsetType = UNSET


class Verdict(Struct, frozen=True, forbid_unknown_fields=True):
    """What one gate says of one row."""

    gate: str
    cell: str
    policy: Named
    metric: Named
    value: float | None
    base: float | None
    threshold: float | None
    passed: bool
    reason: str


class Comparison(Struct, forbid_unknown_fields=True):
    """A result of ``llmsched compare``.

    One cell has its records at the top; of a matrix they are under `cells`.
    """

    schema_version: Literal[1]
    llmsched: Annotated[str, Meta(description="Version that computed the rows.")]
    scenario: str
    note: Annotated[str, Meta(description="What is measured, reconstructed and calibrated.")]
    seed: Count
    slo: Objective
    baseline: Annotated[str | None, Meta(description="Policy that the others are compared with.")]
    published: list[Published]
    gates: list[Verdict]
    cases: CasesRecord | UnsetType = UNSET
    by: By | UnsetType = UNSET
    warmup: Warmup | UnsetType = UNSET
    window: Window | UnsetType = UNSET
    selection: Selection | UnsetType = UNSET
    trace: TraceRecord | UnsetType = UNSET
    hardware: HardwareRecord | UnsetType = UNSET
    hardware_assumed: Literal[True] | UnsetType = UNSET
    engine: EngineRecord | UnsetType = UNSET
    lengths: str | UnsetType = UNSET
    results: Rows | UnsetType = UNSET
    load: LoadRecord | UnsetType = UNSET
    paired: list[Pair] | UnsetType = UNSET
    bounds: BoundRecords | UnsetType = UNSET
    cells: Annotated[list[LabelledCell], Meta(min_length=1)] | UnsetType = UNSET
    family: Family | UnsetType = UNSET
    against: Against | UnsetType = UNSET


def check_comparison(document: Mapping[str, Any], source: str) -> None:
    """Refuse what is no comparison, or contradicts itself; `source` names the file.

    Raises
    ------
    InputError
        A key is unknown or missing, a value is not what the key takes, a row is there twice, or a
        row's figures cannot be true.
    """
    found = checked(document, Comparison, source)
    if found.cells is UNSET:
        records = {key: document[key] for key in Cell.__struct_fields__ if key in document}
        checked(records, Cell, source)
        cells = {"": document}
    elif found.results is not UNSET:
        raise InputError(f"{source}: results: expected beside no cells, which have their own")
    else:
        cells = {f"cells[{i}].": cell for i, cell in enumerate(document["cells"])}
        labels = (", ".join(cell.label.values()) for cell in found.cells)
        check_once(labels, f"{source}: cells", "label")
    with within(source, ": "):
        for name in found.slo:
            check_limit(name)
    whole = found.cases is UNSET
    for where, cell in cells.items():
        _check_cell(cell, source, where, whole)
        _check_baseline(cell, found.baseline, source)
        if "paired" in cell and whole:
            raise InputError(f"{source}: {where}paired: expected together with cases")
    if found.family is not UNSET:
        for i, member in enumerate(document["family"]["members"]):
            _check_cell(member, source, f"family.members[{i}].", whole)
        for i, entry in enumerate(found.family.ranges):
            _check_range(entry, f"{source}: family.ranges[{i}]")
    if found.against is not UNSET:
        _check_known(found.against.changes, f"{source}: against.changes")


def _check_cell(cell: Mapping[str, Any], source: str, where: str, whole: bool) -> None:
    engine = cell["engine"]
    knobs = {knob: engine[knob] for knob in _Knobs.__struct_fields__ if knob in engine}
    with within(f"{source}: {where}engine"):
        checked(knobs, _Knobs)
    place = f"{source}: {where}results"
    for i, row in enumerate(cell["results"]):
        check_row(row, f"{place}[{i}]", whole=whole)
    check_once((row["policy"] for row in cell["results"]), place, "policy")
    pairs = checked(cell.get("paired") or [], list[Pair], source)
    _check_known(pairs, f"{source}: {where}paired")
    for name in cell.get("bounds") or {}:
        if name not in METRICS or not METRICS[name].bounded:
            raise InputError(
                f"{source}: {where}bounds: expected metrics with a bound, got {name!r}"
            )


def _check_baseline(cell: Mapping[str, Any], baseline: str | None, source: str) -> None:
    """Refuse a baseline that nothing can be compared with."""
    policies = [row["policy"] for row in cell["results"]]
    if baseline not in policies and (baseline is not None or cell.get("paired")):
        known = ", ".join(policies)
        raise InputError(f"{source}: baseline: expected one of {known}; got {shown(baseline)}")


def _check_range(entry: Mapping[str, Any], place: str) -> None:
    """Refuse what is no range of a known figure over the members."""
    for name, ends in entry.items():
        where = f"{place}.{name}"
        if name == "policy":
            checked(ends, str, where)
            continue
        low, *high = checked(ends, list[float], where) or [1.0]
        if len(high) != 1 or low > high[0]:
            raise InputError(f"{where}: expected two numbers, the least first, got {shown(ends)}")
        if name not in CHANGES:
            for end in ends:
                with within(place):
                    check_figures({name: end})
    if "policy" not in entry:
        raise InputError(f"{place}.policy: expected a text, got nothing")


def _check_known(entries: Sequence[Pair | Change], place: str) -> None:
    """Refuse a metric that does not exist, and one that a policy has twice."""
    for i, entry in enumerate(entries):
        if entry.metric not in METRICS:
            raise InputError(f"{place}[{i}].metric: expected a metric, got {entry.metric!r}")
    each = [(getattr(entry, "cell", ""), entry.policy, entry.metric) for entry in entries]
    check_once((" ".join(filter(None, key)) for key in each), place, "metric")
