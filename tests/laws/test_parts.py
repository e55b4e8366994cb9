"""Groups are parts of a whole, whatever the replay."""

from __future__ import annotations

from math import fsum, isnan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmsched.contract import Policy
from llmsched.counted import Counted
from llmsched.engine.result import latency
from llmsched.grouping import Groups
from llmsched.metrics import summarize, summarize_groups
from tests.cases import Case, finished
from tests.laws.test_laws import runs

ADD_UP = (
    "completed",
    "total_input_tokens",
    "total_output_tokens",
    "preemptions",
    "recomputed_tokens",
    "request_throughput",
    "output_throughput",
    "request_goodput",
)
SLO = {"ttft_ms": 50.0, "e2el_ms": 500.0}


@given(runs(), st.data())
@settings(max_examples=60)
def test_groups_add_up_to_the_requests_that_count(
    run: tuple[Case, Policy], data: st.DataObject
) -> None:
    result = finished(*run)
    n = len(result.trace)
    places = data.draw(st.lists(st.integers(0, 3), min_size=n, max_size=n))
    groups = Groups(("a", "b", "c", "d"), np.array(places, np.int32))
    warmup = data.draw(st.integers(0, n - 1))
    rows = Counted(warmup=warmup).rows(result.arrival)
    whole = summarize(result, slo=SLO, rows=rows)
    parts = list(summarize_groups(result, groups, slo=SLO, rows=rows).values())
    for name in ADD_UP:
        total = fsum(part[name] for part in parts)
        assert total == pytest.approx(whole[name], rel=1e-9, nan_ok=True), name
    for name in ("mean_ttft_ms", "mean_e2el_ms", "mean_queue_ms", "slo_attainment"):
        total = fsum(part[name] * part["completed"] for part in parts)
        assert total == pytest.approx(whole[name] * whole["completed"], rel=1e-9, abs=1e-9), name
    latest = [latency(result.of(of_group), "ttft").max() for _, of_group in groups.rows(rows)]
    assert max(latest) == latency(result if rows is None else result.of(rows), "ttft").max()
    assert len(parts) == len({places[i] for i in (range(n) if rows is None else rows)})


@given(runs())
@settings(max_examples=30)
def test_one_group_of_all_requests_is_the_whole(run: tuple[Case, Policy]) -> None:
    result = finished(*run)
    whole = summarize(result, slo=SLO)
    (part,) = summarize_groups(
        result, Groups(("all",), np.zeros(len(result.trace), np.int32)), slo=SLO
    ).values()
    for name, value in part.items():
        if not isnan(value):
            assert value == pytest.approx(whole[name], rel=1e-9), name


@given(runs())
@settings(max_examples=30)
def test_no_warm_up_changes_nothing(run: tuple[Case, Policy]) -> None:
    result = finished(*run)
    same = summarize(result, rows=Counted(warmup=0).rows(result.arrival))
    assert repr(same) == repr(summarize(result))
