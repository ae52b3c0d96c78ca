# SPDX-License-Identifier: MIT
"""A short soak (tests/soak/soak.py; `make soak` is the long one): the same questions each time."""
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "soak"))
from machine import BUILD  # noqa: E402
from soak import soak  # noqa: E402

SEED, STEPS = 1, 300


@pytest.mark.parametrize("cpus", [1, 2, 4])
def test_short_soak(disk, cpus):
    logs = BUILD / "logs"
    logs.mkdir(exist_ok=True, parents=True)
    with open(logs / f"test_soak.{cpus}.log", "w", encoding="utf-8", buffering=1) as log:
        assert soak(SEED, cpus, disk, log, STEPS) == STEPS
