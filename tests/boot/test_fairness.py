# SPDX-License-Identifier: MIT
"""Weights and caps between domains, under -icount, so that the host's load plays no part. Shares are the guests' own reports."""
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "bench"))
import benchlib  # noqa: E402
import fairness  # noqa: E402


@pytest.mark.parametrize("case", fairness.CASES, ids=lambda case: case.__name__)
def test_shares(boot, disk, case):
    with boot(disk=disk, cpus=1, extra=benchlib.ICOUNT) as m:
        m.wait_prompt(120)
        shares = case(m, seconds=3)
        assert m.poweroff() == 0
    for name, got, wanted in shares:
        assert got == pytest.approx(wanted, rel=0.05), (name, shares)
