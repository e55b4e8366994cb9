"""Reports: views of one result document.

Read `table` first. Every format takes the document and returns text; none computes a metric.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llmsched.report.formats import FORMATS, render

__all__ = ["FORMATS", "render"]


def __getattr__(name: str) -> Any:
    """Import all formats when one is wanted: the report of one replay needs none of them."""
    if name in __all__:
        from llmsched.report import formats

        return getattr(formats, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
