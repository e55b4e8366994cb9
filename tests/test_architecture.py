"""The house: every import points down the list of rooms, and modules never import in a circle."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "llmsched"

ROOMS = (
    ("version", "errors", "notes", "foreign", "columns", "ids", "clock"),
    ("kernel",),
    ("files", "parameters", "metric", "distribution", "selection", "durations"),
    ("reading", "finding", "plugin", "schema"),
    ("config", "counted", "objective"),
    ("documents", "sessions", "prefixes", "trace"),
    ("lengths", "grouping", "importers", "exporters"),
    ("synthesize", "traceinfo"),
    ("hardware", "packing"),
    ("contract", "modelname"),
    ("engine",),
    ("spared", "request_prices", "bounds", "gap", "latency_bounds", "fairness", "metrics"),
    ("orders", "batching", "rehearsal", "policies", "catalog", "real"),
    ("replay", "records", "plausibility", "regime"),
    ("planning", "serving"),
    ("scenario", "comparison", "calibration", "verify"),
    ("report",),
    ("arguments", "api", "cli"),
    ("__main__", "__init__"),
)
"""Lowest first. Rooms of one line may import each other, but not in a circle."""

FLOOR = {room: floor for floor, rooms in enumerate(ROOMS) for room in rooms}


def modules() -> dict[str, Path]:
    """Every module by its dotted name without the package's; a package is its ``__init__``."""
    paths = sorted(ROOT.rglob("*.py"))
    names = (".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths)
    return {name.removesuffix(".__init__"): path for name, path in zip(names, paths, strict=True)}


def imported(path: Path, known: dict[str, Path]) -> Iterator[str]:
    """Yield what a module imports of this package: anywhere, for annotations and in functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports name the package"
            package, _, module = (node.module or "").partition(".")
            if package != "llmsched":
                continue
            for alias in node.names:
                inner = f"{module}.{alias.name}".lstrip(".")
                yield inner if inner in known else module or "__init__"
        elif isinstance(node, ast.Import):
            assert not any(alias.name.startswith("llmsched") for alias in node.names), path


def edges() -> dict[str, set[str]]:
    known = modules()
    return {name: set(imported(path, known)) - {name} for name, path in known.items()}


def test_every_room_has_its_place() -> None:
    assert {name.partition(".")[0] for name in modules()} <= FLOOR.keys() | {"data"}


def test_every_room_stands_in_the_picture_of_the_house() -> None:
    page = (ROOT.parent / "docs" / "architecture.md").read_text()
    picture = page.split("```")[3]
    assert set(FLOOR) - {"__main__", "__init__"} <= set(picture.split())


@pytest.mark.parametrize("name", modules())
def test_imports_point_down(name: str) -> None:
    room = name.partition(".")[0]
    for other in edges()[name]:
        below = other.partition(".")[0]
        assert below == room or FLOOR[below] <= FLOOR[room], f"{name} imports {other}"


def test_no_modules_import_each_other_in_a_circle() -> None:
    TopologicalSorter(edges()).prepare()


def test_rooms_of_one_floor_do_not_import_each_other_in_a_circle() -> None:
    between: dict[str, set[str]] = {room: set() for room in FLOOR}
    for name, others in edges().items():
        room = name.partition(".")[0]
        between[room] |= {other.partition(".")[0] for other in others} - {room}
    TopologicalSorter(between).prepare()


def test_a_circle_would_be_found() -> None:
    with pytest.raises(CycleError):
        TopologicalSorter({"a": {"b"}, "b": {"a"}}).prepare()
