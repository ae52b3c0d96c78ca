# SPDX-License-Identifier: MIT
"""The scheduler's trace: recorded, shown, saved, and read on the host; under -icount, so that the host's load plays no part."""
import pathlib
import re
import subprocess
import sys

import pytest

from audit import free_pages
from machine import debugfs, fsck

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path += [str(TESTS / "bench"), str(TESTS / "trace")]
import benchlib  # noqa: E402
import shares  # noqa: E402
import tracefile  # noqa: E402

WEIGHTS = {"h256": 256, "h512": 512, "h1024": 1024}


def ran(m):
    """{name: seconds that its vCPU 0 has run} by vcpu-list."""
    rows = re.findall(r"^(\S+) +\d+ +0 +\S+ +\S+ +([\d.]+) ", m.run("vcpu-list"), re.M)
    return {name: float(seconds) for name, seconds in rows}


def of_interest(m):
    return {n: t for n, t in ran(m).items() if n in WEIGHTS}


@pytest.mark.parametrize("cpus", [1, 2])
def test_trace(boot, disk, cpus):
    with boot(disk=disk, cpus=cpus, extra=benchlib.ICOUNT_REAL) as m:
        m.wait_prompt(120)
        for line in ["trace show", "trace save /t", "trace"]:
            assert "trace: nothing was recorded: `trace start` first" in m.run(line)
        assert "trace: it is off: `trace start` begins one" in m.run("trace stop")
        frames = free_pages(m)
        for name, weight in WEIGHTS.items():
            m.run(f"create -p hog name={name} cpu_weight={weight}")
        assert m.run("trace start 4M") == ""
        m.run("unpause " + " ".join(WEIGHTS))
        m.wait_until(lambda: min(of_interest(m).values()) > 0.25, "all have run")
        assert m.run("trace").startswith("on, ")
        earlier = of_interest(m)
        assert m.run("trace stop") == ""
        later = of_interest(m)
        chart = m.run("trace show --ms 30")
        assert len(re.findall(r"^pCPU \d +\|[0abc.]{60}\| *\d+\.\d$", chart, re.M)) == cpus, chart
        for letter, name in zip("abc", WEIGHTS):
            assert re.search(rf"^{letter} {name}\.0 +\|[#+ -]{{60}}\| *\d+\.\d$", chart, re.M), chart
        assert max(len(line) for line in chart.splitlines()) <= 80
        assert "there is nothing" not in m.run("trace show --from 0 --ms 0.5")
        assert "take an earlier --from" in m.run("trace show --from 99999999")
        for bad in ["x", "-1", "1.", "1x", ""]:
            assert "ms" in m.run(f"trace show --ms '{bad}'") or bad == "1."
        assert re.fullmatch(r"/t: \d+ bytes\n", m.run("trace save t"))
        m.run("destroy " + " ".join(WEIGHTS))
        m.wait_until(lambda: not set(WEIGHTS) & set(m.domains()), "they are gone")
        assert m.run("trace clear") == ""
        assert "nothing was recorded" in m.run("trace show")
        m.wait_until(lambda: free_pages(m) >= frames, "the rings' memory is back")
        assert m.poweroff() == 0
    trace = tracefile.read(debugfs(disk, "cat /t"))
    assert trace.pcpus == cpus and trace.lost == 0
    results = {trace.names[r.vcpu.domain]: r for r in shares.evaluate(trace)}
    assert {n: results[n].weight for n in WEIGHTS} == WEIGHTS
    for name in WEIGHTS:
        # vcpu-list, which rounds to tenths, looked before the trace ended and after it.
        assert earlier[name] - 0.06 < results[name].ran / 1e9 < later[name] + 0.06, (name, earlier, later, results[name])
        assert results[name].ran == pytest.approx(results[name].promised, rel=0.04), results
    # Every moment of a pCPU is somebody's or idle, never two's.
    for pcpu in range(cpus):
        stays = sorted((s.start, s.end) for stays in trace.stays.values() for s in stays if s.pcpu == pcpu)
        assert all(a[1] <= b[0] for a, b in zip(stays, stays[1:]))


def test_full_disk(boot, tmp_path):
    image = tmp_path / "small.img"
    subprocess.run(["mke2fs", "-q", "-t", "ext2", "-b", "1024", str(image), "128"], check=True)
    with boot(disk=image, cpus=1) as m:
        m.wait_prompt()
        m.run("trace start")
        m.wait_until(lambda: int(re.search(r"(\d+) records", m.run("trace"))[1]) > 9000, "there is much to save", 60)
        assert "trace: /t: the disk is full: remove files, or record less" in m.run("trace save t")
        assert "t\n" not in m.run("ls /")
        for line, answer in [("trace start 0", "bad size '0'"), ("trace start 1G", "are too much: each pCPU may have 4096 KiB"),
                             ("trace start x", "bad size 'x'"), ("trace start 1M 2", "usage: trace"), ("trace save", "usage: trace"),
                             ("trace save /no/dir", "no such file"), ("trace record", "usage: trace"), ("trace show 5", "usage: trace")]:
            assert answer in m.run(line), line
        assert m.poweroff() == 0
    assert fsck(image) == []
