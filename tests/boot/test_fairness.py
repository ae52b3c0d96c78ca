# SPDX-License-Identifier: MIT
"""
Weights and caps between domains, and how soon a sleeper gets in: a small part of `make bench-fairness`, by the same means. Under
-icount, so that the host's load plays no part.
"""
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "bench"))
import benchlib  # noqa: E402
import fairness  # noqa: E402
import shares  # noqa: E402

CASES = {1: [c for c in fairness.WHOLE if c.cpus == 1 and c.name in ("4 hogs", "cap beside another", "sleeper beside 4 hogs")],
         2: [c for c in fairness.WHOLE if c.cpus == 2 and c.name == "4 hogs"]}


@pytest.mark.parametrize("cpus", CASES)
def test_shares(boot, disk, cpus):
    with boot(disk=disk, cpus=cpus, extra=benchlib.ICOUNT_REAL) as m:
        m.wait_prompt(120)
        said = [fairness.record(m, case, f"/case{i}", seconds=2) for i, case in enumerate(CASES[cpus])]
        assert m.poweroff() == 0
    for i, case in enumerate(CASES[cpus]):
        trace = fairness.window(disk, f"/case{i}", seconds=2)
        guests = fairness.guests_of(trace, shares.evaluate(trace))
        assert set(guests) == set(case.guests)
        for name, results in guests.items():
            for r in results:
                assert not fairness.is_off(r, 0.01 if r.cap else 0.02, 0.5), (case.name, r)
        if cpus > 1:  # they take turns in QEMU, and those are not equally long: only the scheduler's own time can be looked at
            continue
        # A wake-up waits for the end of a quantum, not for a round of all.
        assert all(r.wait_max <= 2e6 for results in guests.values() for r in results), case.name
        # What the scheduler says is true: the guests did as much work.
        for name, ratio in fairness.work_against_trace(trace, said[i]).items():
            assert ratio == pytest.approx(1, abs=0.02), (case.name, name)
