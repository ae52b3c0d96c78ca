# SPDX-License-Identifier: MIT
"""
Time as guests have it: timers that are not lost, never early, and late by no more than is promised; and run states, which are the
steal time of a guest's own statistics, against what the guest sees by itself and against the scheduler's trace. On one pCPU under
-icount, where lateness means something; on two by the host's clock, for under -icount QEMU lets pCPUs take turns as it likes.
"""
import pathlib
import re
import sys

import pytest

from machine import debugfs

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path += [str(TESTS / "bench"), str(TESTS / "trace")]
import benchlib  # noqa: E402
import tracefile  # noqa: E402

LATE_US = 50  # on a free pCPU: docs/fairness.md


# Keeps the machine awake while the disk is read, and QEMU changing over from pCPU to pCPU (tests/bench/fairness.py).
BEAT = 'create ticker name=beat cmdline="count=1000000000 max_us=500"'


def create(m, line):
    """With sleep=off the clock of an idle machine flies, and the host's disk may seem to be dead for a moment."""
    m.wait_until(lambda: "does not answer" not in m.run(line), line)


def ticker(m, words, options, alone=False, timeout=200):
    """[{what its report says, a number each}] of its vCPUs."""
    create(m, f'create -p ticker on_poweroff=preserve {words} cmdline="delay_ms=500 {options}"')
    if alone:
        m.run("pause beat")
    # Typed in one go: under -icount an idle machine's clock flies, and a second line would come in the middle of the timers.
    m.send("unpause ticker\rconsole ticker\r")
    m.expect_exact("ticker: done", timeout)
    m.send("\x1d")
    m.wait_prompt()
    if alone:
        m.run("unpause beat")
    text = m.run("console --log ticker")
    assert "WRONG" not in text, text
    timers = re.findall(r"vCPU \d+: (\d+) timers, (\d+) early, late by (\d+) us on average, 99 of 100 below (\d+) us, at most (\d+) us", text)
    states = re.findall(r"of (\d+) us from (\d+) ns on ran (\d+), waited (\d+), slept (\d+), was offline (\d+); away while it worked (\d+)", text)
    keys = "timers early mean most max us begin ran waited slept offline away".split()
    return [dict(zip(keys, map(int, t + s))) for t, s in zip(timers, states)]


def end(m):
    m.run("destroy ticker")
    m.gone("ticker")


def start_hogs(m, count):
    """All at once: while a guest has a pCPU for itself, QEMU hardly lets another pCPU run."""
    names = [f"h{i}" for i in range(count)]
    for name in names:
        create(m, f"create -p hog name={name}")
    m.run("unpause " + " ".join(names))


CPUS = pytest.mark.parametrize("cpus", [1, pytest.param(2, marks=pytest.mark.alone)])


def clock(cpus):
    return benchlib.ICOUNT if cpus == 1 else ()


@CPUS
def test_timers(boot, disk, cpus):
    with boot(disk=disk, cpus=cpus, extra=clock(cpus)) as m:
        m.wait_prompt(120)
        create(m, BEAT)
        for vcpus in (1, 2):
            for v in ticker(m, f"vcpus={vcpus}", f"count=3000 seed={vcpus}", alone=True):
                assert v["timers"] == 3000 and v["early"] == 0
                assert cpus > 1 or v["max"] <= LATE_US, v
                assert v["ran"] + v["waited"] + v["slept"] + v["offline"] == pytest.approx(v["us"], abs=30)
            end(m)
        start_hogs(m, 2 * cpus)
        for v in ticker(m, "vcpus=2", "count=400 max_us=3000"):
            # One that sleeps more than its share gets in when the running quantum is over, at the latest.
            assert v["timers"] == 400 and v["early"] == 0
            assert cpus > 1 or v["mean"] < 1000, v
        assert m.poweroff() == 0


@CPUS
def test_run_states(boot, disk, cpus):
    """Beside hogs: how long the vCPU was kept waiting, by jumps of its clock, by its run states, by the trace, and by `vcpu-list`."""
    with boot(disk=disk, cpus=cpus, extra=clock(cpus)) as m:
        m.wait_prompt(120)
        create(m, BEAT)
        start_hogs(m, 2 * cpus)
        m.run("trace start 4M")
        figures = ticker(m, "cpu_weight=384", "count=150 burn_us=2000 max_us=2000")[0]
        m.run("trace stop")
        assert "bytes" in m.run("trace save t")
        row = re.search(r"^ticker +\d+ +0 +\S+ +\S+ +([\d.]+) ", m.run("vcpu-list ticker"), re.M)
        end(m)
        assert m.poweroff() == 0
    assert figures["waited"] > 100000
    if cpus == 1:  # else the host takes pCPUs away, too
        # It waited while it worked, or after a timer; only the former it sees itself.
        assert figures["away"] == pytest.approx(figures["waited"], rel=0.04)
    trace = tracefile.read(debugfs(disk, "cat t"))
    begin, length = figures["begin"] - trace.origin, figures["us"] * 1000
    vcpu, = [v for v in trace.stays if trace.names.get(v.domain) == "ticker"]
    part = tracefile.cut(trace, begin, begin + length)
    by_state = [sum(s.end - s.start for s in part.stays[vcpu] if s.state == state) / 1000 for state in range(4)]
    told = [figures["ran"], figures["waited"], figures["slept"], figures["offline"]]
    assert by_state == pytest.approx(told, rel=0.002, abs=50)
    ran = sum(s.end - s.start for s in trace.stays[vcpu] if s.state == tracefile.RUNNING) / 1e9
    assert float(row[1]) == pytest.approx(ran, abs=0.06)
