"""What replays of recorded schedules came to, for a reader."""

from __future__ import annotations

from llmsched.report.verify import golden_page
from llmsched.verify.golden import Verdict


def test_a_recording_is_a_row_and_a_difference_a_line() -> None:
    long = "a/path/of/many/folders/" * 4 + "two.json"
    verdicts = {"one.json": Verdict(1200, 34, 5, ""), long: Verdict(7, 8, 9, "step 3: this")}
    lines = golden_page(verdicts).splitlines()
    assert lines[0].split() == ["recording", "requests", "steps", "preemptions"]
    assert lines[1].split() == ["✓", "one.json", "1,200", "34", "5"]
    assert lines[2].split()[0] == "✗"
    assert lines[2].split()[-3:] == ["7", "8", "9"]
    assert lines[-2:] == [f"✗ {long}: step 3: this", "1 of 2 replayed step by step as recorded"]
    assert max(map(len, lines[:-2])) <= 80
