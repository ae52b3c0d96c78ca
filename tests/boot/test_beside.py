# SPDX-License-Identifier: MIT
"""Linux, PV-GRUB and toy guests at work beside each other for a minute (tests/soak/beside.py; `make soak` is the long one)."""
import pathlib
import sys

from linux import need_packages
from machine import BUILD

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "soak"))
from beside import beside  # noqa: E402


def test_minute(golden_disk, disk):
    need_packages(golden_disk, "linux")
    need_packages(golden_disk, "pvgrub")
    (BUILD / "logs").mkdir(exist_ok=True, parents=True)
    with open(BUILD / "logs" / "test_beside.log", "w", encoding="utf-8", buffering=1) as log:
        assert beside(1, disk, log, 0, 4) == 2
