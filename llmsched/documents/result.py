"""What a comparison is saved as: its types, and the laws that its rows obey among themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from llmsched.documents.schema import check_once, checked, shown
from llmsched.errors import InputError
from llmsched.metric import METRICS

Count = Annotated[int, Meta(ge=0)]
Positive = Annotated[int, Meta(ge=1)]
Digest = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Named = Annotated[str, Meta(min_length=1)]
Figures = dict[str, float]


class Cases(Struct, forbid_unknown_fields=True):
    count: Annotated[int, Meta(ge=2)]
    draw: Literal["bootstrap", "lengths", "synthetic"]


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
    output_limits: Annotated[
        str | UnsetType,
        Meta(description="Where the limits come from that KV blocks are reserved for."),
    ] = UNSET
    options: dict[str, Any] | UnsetType = UNSET
    generate: dict[str, Any] | UnsetType = UNSET


class HardwareRecord(Struct):
    """The whole profile, with its provenance; reports read its name and kind."""

    name: str
    step_time: dict[str, Any]


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


Row = Annotated[
    dict[str, Any],
    Meta(
        description="Each metric is a number, or null where it has no samples.",
        extra_json_schema={
            "required": ["policy", "makespan_s"],
            "properties": {
                "policy": {"type": "string"},
                "makespan_s": {"type": "number", "exclusiveMinimum": 0},
            },
            "additionalProperties": {"type": ["number", "null"], "minimum": 0},
        },
    ),
]
Rows = Annotated[list[Row], Meta(min_length=1)]


class Cell(Struct):
    """What ran, and a row a policy: means over the cases if there are several."""

    trace: TraceRecord
    hardware: HardwareRecord
    engine: EngineRecord
    lengths: Annotated[str, Meta(description="What policies knew of output lengths.")]
    results: Rows
    paired: list[Pair] | UnsetType = UNSET
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


class Published(Struct, forbid_unknown_fields=True):
    policy: Named
    metrics: Figures
    source: str


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


class Verdict(Struct, forbid_unknown_fields=True):
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
    slo: Annotated[Figures, Meta(description="Limits in ms by metric.")]
    baseline: Annotated[str | None, Meta(description="Policy that the others are compared with.")]
    published: list[Published]
    gates: list[Verdict]
    cases: Cases | UnsetType = UNSET
    selection: Selection | UnsetType = UNSET
    trace: TraceRecord | UnsetType = UNSET
    hardware: HardwareRecord | UnsetType = UNSET
    hardware_assumed: Literal[True] | UnsetType = UNSET
    engine: EngineRecord | UnsetType = UNSET
    lengths: str | UnsetType = UNSET
    results: Rows | UnsetType = UNSET
    paired: list[Pair] | UnsetType = UNSET
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
    for where, cell in cells.items():
        _check_cell(cell, source, where)
        _check_baseline(cell, found.baseline, source)
        if "paired" in cell and found.cases is UNSET:
            raise InputError(f"{source}: {where}paired: expected together with cases")
    if found.family is not UNSET:
        for i, member in enumerate(document["family"]["members"]):
            _check_cell(member, source, f"family.members[{i}].")
        for i, entry in enumerate(found.family.ranges):
            _check_range(entry, f"{source}: family.ranges[{i}]")
    if found.against is not UNSET:
        _check_known(found.against.changes, f"{source}: against.changes")


def _check_cell(cell: Mapping[str, Any], source: str, where: str) -> None:
    place = f"{source}: {where}results"
    for i, row in enumerate(cell["results"]):
        check_row(row, f"{place}[{i}]")
    check_once((row["policy"] for row in cell["results"]), place, "policy")
    pairs = checked(cell.get("paired") or [], list[Pair], source)
    _check_known(pairs, f"{source}: {where}paired")


def _check_baseline(cell: Mapping[str, Any], baseline: str | None, source: str) -> None:
    """Refuse a baseline that nothing can be compared with."""
    policies = [row["policy"] for row in cell["results"]]
    if baseline not in policies and (baseline is not None or cell.get("paired")):
        known = ", ".join(policies)
        raise InputError(f"{source}: baseline: expected one of {known}; got {shown(baseline)}")


def check_row(row: Mapping[str, Any], place: str) -> None:
    """Refuse a row of metrics that no replay has.

    Raises
    ------
    InputError
        It lacks policy or total time, or a value is no number or negative.
    """
    policy = row.get("policy")
    if not isinstance(policy, str) or not policy:
        raise InputError(f"{place}.policy: expected a text, got {shown(policy)}")
    for name, value in row.items():
        if name == "policy" or value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            raise InputError(f"{place}.{name}: expected a number >= 0 or null, got {shown(value)}")
    makespan = row.get("makespan_s")
    if makespan is None or makespan <= 0:
        raise InputError(f"{place}.makespan_s: expected a number > 0, got {shown(makespan)}")


def _check_range(entry: Mapping[str, Any], place: str) -> None:
    for name, ends in entry.items():
        if name == "policy":
            checked(ends, str, f"{place}.policy")
            continue
        low, *high = checked(ends, list[float], f"{place}.{name}") or [1.0]
        if len(high) != 1 or low > high[0]:
            raise InputError(
                f"{place}.{name}: expected two numbers, the least first, got {shown(ends)}"
            )
    if "policy" not in entry:
        raise InputError(f"{place}.policy: expected a text, got nothing")


def _check_known(entries: Sequence[Pair | Change], place: str) -> None:
    """Refuse a metric that does not exist, and one that a policy has twice."""
    for i, entry in enumerate(entries):
        if entry.metric not in METRICS:
            raise InputError(f"{place}[{i}].metric: expected a metric, got {entry.metric!r}")
    each = [(getattr(entry, "cell", ""), entry.policy, entry.metric) for entry in entries]
    check_once((" ".join(filter(None, key)) for key in each), place, "metric")
