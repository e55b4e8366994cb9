"""NAME=VALUE for every type that text can give, and one line for the others."""

from __future__ import annotations

import enum
from dataclasses import InitVar, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal, NewType, Optional, Union

import pytest

from llmsched.errors import InputError
from llmsched.parameters import read_parameters

if TYPE_CHECKING:
    from nowhere import Unknown  # type: ignore[import-not-found]  # only checkers see it

Share = NewType("Share", float)


class Mode(enum.Enum):
    """Names and values differ."""

    FAST = "quick"
    SLOW = 2


@dataclass
class Base:
    """Its annotations are text of another class."""

    kept: ClassVar[int] = 3
    text: str = "a"
    count: int = 1


@dataclass
class Everything(Base):
    """A parameter of every kind."""

    needed: int = field(kw_only=True)
    share: float | None = None
    limit: Optional[int] = 5  # noqa: UP045 (as people write it)
    either: Union[int, str] = 0  # noqa: UP007 (as people write it)
    truth: bool = False
    choice: Literal["low", "high", 3, None] = "low"
    mode: Mode = Mode.FAST
    made: str = field(default_factory=lambda: "made")
    once: InitVar[int] = 0
    late: Annotated[float, "seconds"] = 0.0
    fixed: Final[float] = 0.5
    named: Share = Share(0.5)
    file: Path | None = None
    anything: Any = 0.5
    unknown: Unknown = 2
    many: list[int] = field(default_factory=list)
    vague: Unknown = None
    hidden: int = field(default=0, init=False)


class Plain:
    """No dataclass."""

    def __init__(self, share: float, count=4, *rest: int, untyped=None) -> None:  # type: ignore[no-untyped-def]  # as people write it
        self.share = share


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("text=12", "12"),
        ("text=", ""),
        ("text=a=b", "a=b"),
        ("text=12:30:5", "12:30:5"),
        ("text=none", "none"),
        ("count=-3", -3),
        ("share=0.25", 0.25),
        ("share=1e-3", 0.001),
        ("share=inf", float("inf")),
        ("share=none", None),
        ("limit=None", None),
        ("limit=7", 7),
        ("either=7", 7),
        ("either=seven", "seven"),
        ("truth=True", True),
        ("choice=high", "high"),
        ("choice=3", 3),
        ("choice=none", None),
        ("mode=SLOW", Mode.SLOW),
        ("mode=quick", Mode.FAST),
        ("mode=2", Mode.SLOW),
        ("made=x", "x"),
        ("once=9", 9),
        ("late=2", 2.0),
        ("fixed=1", 1.0),
        ("named=1", 1.0),
        ("file=a/b", Path("a/b")),
        ("anything=2", 2.0),
        ("unknown=7", 7),
    ],
)
def test_a_value_is_read_as_its_type_says(text: str, value: object) -> None:
    name = text.partition("=")[0]
    values = read_parameters(Everything, [*text.split(":"), "needed=1"], "policy")
    assert values == {name: value, "needed": 1}
    assert type(values[name]) is type(value)
    Everything(**values)  # type: ignore[arg-type]  # read from text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("count=1.5", "count: expected an integer, got '1.5'"),
        ("share=x", "share: expected none or a number, got 'x'"),
        ("share=nan", "share: expected none or a number, got 'nan'"),
        ("limit=", "limit: expected none or an integer, got ''"),
        ("truth=1", "truth: expected true or false, got '1'"),
        ("choice=x", "choice: expected one of low, high, 3, none, got 'x'"),
        ("mode=x", "mode: expected one of FAST, SLOW, quick, 2, got 'x'"),
        (
            "many=1",
            "many: expected a parameter of text, number, true or false, none or choices, "
            "not list[int], got '1'",
        ),
        ("vague=1", "vague: expected a parameter whose annotation says its type, got '1'"),
        ("count=1:count=2", "parameter 'count' is given twice"),
        ("needless", "expected NAME=VALUE after the colon, got 'needless'"),
        ("count=2", "parameter 'needed' must be given: needed=VALUE"),
        *(
            (
                f"{name}=1",
                f"unknown parameter '{name}' (parameters: text, count, share, limit, "
                "either, truth, choice, mode, made, once, late, fixed, named, file, anything, "
                "unknown, many, vague, needed)",
            )
            for name in ("kept", "hidden", "")
        ),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(InputError) as error:
        read_parameters(Everything, text.split(":"), "policy")
    assert str(error.value) == f"policy: {message}"


def test_a_plain_class_has_the_parameters_of_its_constructor() -> None:
    assert read_parameters(Plain, ["share=1", "count=5"], "p") == {"share": 1.0, "count": 5}
    with pytest.raises(
        InputError, match=r"unknown parameter 'rest' \(parameters: share, count, un"
    ):
        read_parameters(Plain, ["rest=1"], "p")
    with pytest.raises(InputError, match="untyped: expected a parameter whose annotation says"):
        read_parameters(Plain, ["share=1", "untyped=1"], "p")
    assert read_parameters(int, [], "p") == {}
