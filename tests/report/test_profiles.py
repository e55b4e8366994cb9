"""Profiles for a reader: every fact and step time, at any width."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from llmsched.hardware import load_profile, shipped_profiles
from llmsched.report.profiles import profile_list, profile_page

WIDTHS = [60, 80, 120, 200]


@pytest.mark.parametrize("width", WIDTHS)
def test_the_list_keeps_its_width_and_every_number(width: int) -> None:
    profiles = [load_profile(name) for name in shipped_profiles()]
    ample, here = profile_list(profiles, width=500), profile_list(profiles, width=width)
    assert max(map(len, here.splitlines())) <= width
    head, _, _ = ample.partition("\n\n")
    numbers = Counter(re.findall(r"(?<= )[\d.]+(?=\s)", head))
    assert not numbers - Counter(here.split())


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", shipped_profiles())
def test_a_page_keeps_its_width_and_every_step_time(name: str, width: int) -> None:
    profile = load_profile(name)
    page = profile_page(profile, width=width)
    assert max(map(len, page.splitlines())) <= width
    _, _, times = profile_page(profile, width=500).partition("decode round, ms")
    shown = page.split()
    assert all(word in shown for word in times.split())
    decode = profile.step_time.step(0, 0, 0, 8, 8 * 512)
    assert f"{1e3 * decode:.1f}" in shown
