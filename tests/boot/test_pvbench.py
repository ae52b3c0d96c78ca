# SPDX-License-Identifier: MIT
"""Any kernel with Xen's PV interface may be the first domain: the benchmark guest, which shares no code with the others."""
import pathlib
import sys

import pytest

from machine import clean, make

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "bench"))
import benchlib  # noqa: E402


@pytest.fixture(scope="module")
def guest():
    make(str(benchlib.GUEST.relative_to(benchlib.ROOT)))
    return benchlib.GUEST


@pytest.mark.parametrize("cpus, vcpus", [(1, 1), (1, 2), (2, 2)])
def test_pvbench(boot, guest, cpus, vcpus):
    with boot(cpus=cpus, mem="512M", modules=[benchlib.boot_tree(vcpus), guest]) as m:
        assert m.wait_end(180) == 0
        text = clean(m.child.before)
    assert benchlib.complaints(text, vcpus) == []
    figures = benchlib.parse(text)
    assert len(figures) > (180 if vcpus > 1 else 160)
    assert figures["hypercall.null.med"][0] > 0
