"""What all bodies of a batch have."""

from __future__ import annotations

import pytest

from llmsched.documents.batch.body import as_json, joined
from llmsched.errors import InputError


def test_parts_that_are_not_text_are_counted_and_left_out() -> None:
    assert joined(["a", None, "", "b", None]) == ("a\n\nb", 2)
    assert joined([]) == ("", 0)


def test_json_has_the_blanks_of_chat_templates_and_keeps_its_letters() -> None:
    assert as_json([{"a": 1, "b": "ß"}], "tools") == '[{"a": 1, "b": "ß"}]'


def test_json_too_deep_to_be_written_is_refused_by_field() -> None:
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(InputError, match=r"^tools: expected fewer lists in each other$"):
        as_json(deep, "tools")
