"""The seeded control."""

from __future__ import annotations

import numpy as np
import pytest

from llmsched.errors import InputError
from llmsched.orders.random import Random
from tests.hand import admissions, outputs, replay


def test_the_order_is_that_of_the_seeds_random_keys() -> None:
    expected = np.argsort(np.random.default_rng(7).random(20)).tolist()
    assert admissions(replay("random:seed=7", outputs(*[2] * 20), 1)) == expected


def test_a_seed_gives_one_order_and_another_seed_another() -> None:
    runs = [admissions(replay(f"random:seed={s}", outputs(*[2] * 20), 1)) for s in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]
    assert sorted(runs[2]) == list(range(20))


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(InputError, match=r"^seed: expected an integer >= 0, got -1$"):
        Random(seed=-1)
