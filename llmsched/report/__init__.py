"""Reports: views of one result document.

Read `table` first. Every format takes the document and returns text; none computes a metric.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llmsched.report.formats import FORMATS, render

__all__ = ["FORMATS", "render"]


if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Import all formats when one is wanted: the report of one replay needs none of them."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from llmsched.report import formats

        return getattr(formats, name)
