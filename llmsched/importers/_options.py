"""How a trace is to be read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from msgspec import Meta

from llmsched.errors import InputError
from llmsched.importers._asked import Columns, asked
from llmsched.importers._detect import named
from llmsched.importers._format import Format
from llmsched.importers._span import Instant, Span
from llmsched.schema import Named, check_fields
from llmsched.trace import LEAST_TIMEOUT_S


@dataclass(frozen=True)
class TraceOptions:
    """How to read a trace; each field is the command-line option of the same name.

    Attributes
    ----------
    format : str or None
        Name of the format; None detects it.
    columns : str, mapping or None
        Which column is what, of a table that no format describes: ``arrival=created:ms,
        input=prompt_tokens,output=completion_tokens``, or the same as a mapping.
    run : int or None
        Which benchmark run of the file, from 1.
    time_unit : {"s", "ms", "us", "ns"} or None
        What numeric times count; None follows the format.
    since, until : number, str or None
        Keep the requests that arrive from `since` until before `until`: seconds after the first
        request of the file, spans like "10m", or dates where the file has dates.
    limit : int or None
        Keep the first `limit` requests in order of arrival, of those.
    speed : float
        Requests arrive this many times faster.
    offline : bool
        Every request arrives at time 0; arrival times may be missing.
    classes : tuple of str
        Keep only requests of these classes; empty keeps all.
    timeout_ms : float or None
        Milliseconds after which every client gives up, whatever the file says; None follows the
        file.
    on_error : {"fail", "skip"}
        Whether a row that cannot be accepted is an error or is dropped and counted; a replay asks
        the same of a request that can never fit, which is refused then.
    """

    format: Named | None = None
    columns: Columns | None = None
    run: Annotated[int, Meta(ge=1)] | None = None
    time_unit: Literal["s", "ms", "us", "ns"] | None = None
    since: Instant | None = None
    until: Instant | None = None
    limit: Annotated[int, Meta(ge=1)] | None = None
    speed: Annotated[float, Meta(ge=1e-9, le=1e9)] = 1.0
    offline: bool = False
    classes: tuple[str, ...] = ()
    timeout_ms: Annotated[float, Meta(ge=1e3 * LEAST_TIMEOUT_S, le=1e12)] | None = None
    on_error: Literal["fail", "skip"] = "fail"

    def __post_init__(self) -> None:
        check_fields(self)
        if self.format is not None and self.columns is not None:
            raise InputError("columns: expected without a format, which names them itself")
        form = self.wanted
        both = self.columns is not None and self.time_unit is not None
        if both and form is not None and form.unit not in ("any", self.time_unit):
            raise InputError(f"time_unit: expected none beside {form.unit} in columns")
        Span(self.since, self.until)

    @property
    def skip(self) -> bool:
        """Whether a row that cannot be accepted is dropped."""
        return self.on_error == "skip"

    @property
    def wanted(self) -> Format | None:
        """The format that somebody says the file is of."""
        if self.columns is not None:
            return asked(self.columns)
        return None if self.format is None else named(self.format)

    def unit_of(self, form: Format) -> str:
        """Return what the arrival times of a format count.

        Raises
        ------
        InputError
            There are none, but a unit for them.
        """
        if self.time_unit is None:
            return form.unit
        if form.time is None:
            raise InputError(f"time_unit: the format {form.name} has no arrival times")
        return self.time_unit
