"""The list of formats, and the page of the documentation that is made from it."""

from __future__ import annotations

from pathlib import Path

from llmsched.importers import formats
from llmsched.importers._detect import own_formats
from llmsched.report.trace_formats import format_list, format_page

PAGE = Path(__file__).parents[2] / "docs" / "formats.md"


def test_every_format_is_listed_with_its_source_in_80_columns() -> None:
    text = format_list()
    words = " ".join(text.split())
    assert max(map(len, text.splitlines())) <= 80
    for form in formats():
        assert form.name in words
        assert f"known from: {form.source}" in words


def test_every_format_of_ours_says_where_it_is_known_from() -> None:
    assert all(form.source for form in own_formats())


def test_the_page_of_the_documentation_is_what_the_command_prints() -> None:
    assert format_page() == PAGE.read_text()
