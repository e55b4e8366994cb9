"""llmsched policies."""

from __future__ import annotations

import re
from collections.abc import Callable

from llmsched.catalog import find, parts
from llmsched.policies import NAMED
from tests.cli.conftest import Outcome

Run = Callable[..., Outcome]


def test_every_policy_and_part_is_listed_once_in_80_columns(llmsched: Run) -> None:
    outcome = llmsched("policies")
    assert (outcome.code, outcome.err) == (0, "")
    lines = outcome.out.splitlines()
    assert max(map(len, lines)) <= 80
    names = [line.split()[0] for line in lines if re.match("  [^ ]", line)]
    assert names == [*NAMED, *parts("orders"), *parts("batching")]
    assert all(find(name) for name in names)


def test_what_a_policy_needs_is_said(llmsched: Run) -> None:
    out = " ".join(llmsched("policies").out.split())
    assert "chunked prefill beside the decodes (vLLM v1) [needs mixed steps]" in out
    assert "longest predicted output first (LPT) [needs predicted lengths]" in out
    assert "first come first served, prefill first (baseline) static" in out
    assert "Your own: --policy ./file.py:Class" in out


def test_the_list_is_the_same_bytes_twice(llmsched: Run) -> None:
    assert llmsched("policies") == llmsched("policies")
