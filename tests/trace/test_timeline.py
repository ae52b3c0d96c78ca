# SPDX-License-Identifier: MIT
"""The tool that reads traces, by traces of schedules that are known."""
import json
import pathlib
import struct
import subprocess
import sys
import xml.etree.ElementTree

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import shares  # noqa: E402
import picture  # noqa: E402
import tracefile  # noqa: E402
from tracefile import BLOCKED, OFFLINE, RUNNABLE, RUNNING, Stay, VCpu  # noqa: E402

MS = 1_000_000
A, B, C = VCpu(1, 0), VCpu(2, 0), VCpu(3, 0)


class Maker:
    """Writes the bytes that domain 0 would."""

    def __init__(self, pcpus=1, lost=0):
        self.head = self.record(tracefile.FILE_HEAD, None, 1, pcpus, lost, 0)
        self.rings = {p: [] for p in range(pcpus)}

    @staticmethod
    def record(event, time, *words):
        if time is None:
            return struct.pack(f"<I{len(words)}I", event | len(words) << 28, *words)
        return struct.pack(f"<IQ{len(words)}I", 1 << 31 | event | len(words) << 28, time, *words)

    def name(self, domain, text):
        self.head += self.record(tracefile.FILE_NAME, None, domain, *struct.unpack("<4I", text.encode().ljust(16, b"\0")))

    def add(self, pcpu, event, time, *words):
        self.rings[pcpu].append(self.record(event, int(time), *words))

    def change(self, pcpu, time, vcpu, old, new):
        self.add(pcpu, tracefile.RUNSTATE | old << 8 | new << 4, time, vcpu.domain << 16 | vcpu.number)

    def state(self, pcpu, time, vcpu, state, since):
        self.add(pcpu, tracefile.STATE, time, vcpu.domain << 16 | vcpu.number, state << 16 | pcpu, since & 0xFFFFFFFF, since >> 32)

    def params(self, time, domain, weight, cap=0):
        self.add(0, tracefile.PARAMS, time, domain, weight, cap)

    def bytes(self):
        pieces = [(0, self.head)] + [(p, b"".join(ring)) for p, ring in self.rings.items() if ring]
        return b"".join(self.record(tracefile.CPU_CHANGE, None, p, len(b)) + b for p, b in pieces)


def turns(m, pcpu, order, quantum, end, start=0):
    """The vCPUs of `order` run in turn, for ever, all awake."""
    for v in set(order) - {order[0]}:
        m.state(pcpu, start, v, RUNNABLE, start)
    m.change(pcpu, start, order[0], RUNNABLE, RUNNING)
    time, i = start, 0
    while time + quantum < end:
        time += quantum
        old, new = order[i % len(order)], order[(i + 1) % len(order)]
        i += 1
        if old != new:
            m.change(pcpu, time, old, RUNNING, RUNNABLE)
            m.change(pcpu, time, new, RUNNABLE, RUNNING)
    for v in set(order):
        m.state(pcpu, end, v, RUNNABLE, time)
    return m


def results(trace, **more):
    return {r.vcpu: r for r in shares.evaluate(trace, **more)}


# ---- reading ----

def test_stays():
    m = Maker(pcpus=2)
    m.name(1, "alpha")
    m.state(0, 100, A, BLOCKED, 5)
    m.change(1, 200, A, BLOCKED, RUNNABLE)
    m.change(0, 250, A, RUNNABLE, RUNNING)
    m.add(0, tracefile.STOP, 400, A.domain << 16, 3, 150, 0)
    m.change(0, 400, A, RUNNING, RUNNABLE)
    m.state(1, 500, A, RUNNABLE, 400)
    t = tracefile.read(m.bytes())
    assert (t.pcpus, t.lost, t.origin, t.length) == (2, 0, 100, 400)
    assert t.name(A) == "alpha.0"
    assert t.stays == {A: [Stay(BLOCKED, 0, 100, None, None), Stay(RUNNABLE, 100, 150, None, None),
                           Stay(RUNNING, 150, 300, 0, "quantum over"), Stay(RUNNABLE, 300, 400, None, None)]}


def test_state_before_the_first_record_is_known_from_it():
    m = Maker()
    m.state(0, 1000, B, BLOCKED, 10)
    m.change(0, 1500, A, RUNNING, BLOCKED)
    t = tracefile.read(m.bytes())
    assert t.stays[A] == [Stay(RUNNING, 0, 500, 0, None)]
    assert t.stays[B] == [Stay(BLOCKED, 0, 500, None, None)]


def test_lost_records_move_the_begin():
    m = Maker(pcpus=2, lost=7)
    m.state(0, 1000, A, RUNNING, 0)
    m.change(1, 4000, B, RUNNING, BLOCKED)  # this ring lost what came before
    m.state(0, 9000, A, RUNNING, 0)
    t = tracefile.read(m.bytes())
    assert t.lost == 7 and t.origin == 4000
    assert t.stays[A] == [Stay(RUNNING, 0, 5000, 0, None)]


def test_xens_own_file():
    """No head; the idle domain is nobody; time stamps are those of the TSC."""
    m = Maker()
    m.head = b""
    idle = VCpu(tracefile.IDLE_DOMAIN, 0)
    m.change(0, 1000, idle, RUNNING, RUNNABLE)
    m.change(0, 1000, A, RUNNABLE, RUNNING)
    m.change(0, 3000, A, RUNNING, BLOCKED)
    m.change(0, 3000, idle, RUNNABLE, RUNNING)
    data = m.bytes().replace(Maker.record(tracefile.CPU_CHANGE, None, 0, 0), b"", 1)
    t = tracefile.read(data, ns_per_tick=0.5)
    assert list(t.stays) == [A] and t.length == 1000
    assert sum(s.end - s.start for s in t.stays[A] if s.state == RUNNING) == 1000


@pytest.mark.parametrize("data, problem", [
    (b"", "nothing was recorded"),
    (b"\x7fELF" * 100, "this is no trace"),
    (Maker().bytes(), "nothing was recorded"),
    (turns(Maker(), 0, [A, B], MS, 10 * MS).bytes()[:-3], "a record is cut off"),
])
def test_bad_files(tmp_path, data, problem):
    with pytest.raises(tracefile.BadTrace, match=problem):
        tracefile.read(data)
    file = tmp_path / "t"
    file.write_bytes(data)
    done = subprocess.run([sys.executable, str(HERE / "timeline.py"), str(file)], capture_output=True, text=True)
    assert done.returncode == 1 and problem in done.stderr and "Traceback" not in done.stderr


# ---- the promise ----

@pytest.mark.parametrize("weights, caps, pcpus, rates", [
    ([1, 1], [0, 0], 1, [0.5, 0.5]),
    ([256, 512, 1024], [0, 0, 0], 1, [1 / 7, 2 / 7, 4 / 7]),
    ([1, 1, 1000], [0, 0, 0], 2, [0.5, 0.5, 1]),       # nobody has more than a pCPU
    ([1, 2, 4, 100], [0, 0, 0, 0], 4, [1, 1, 1, 1]),
    ([2, 3, 100], [0, 0, 0], 2, [0.4, 0.6, 1]),
    ([1000, 1], [25, 0], 1, [0.25, 0.75]),             # what a cap leaves goes to the others
    ([1, 1, 1], [10, 0, 0], 2, [0.1, 0.95, 0.95]),
    ([1], [30], 4, [0.3]),
    ([1, 1000], [50, 50], 1, [0.5, 0.5]),
])
def test_promise(weights, caps, pcpus, rates):
    vcpus = [VCpu(i, 0) for i in range(len(weights))]
    got = shares.promise(vcpus, {i: (w, c) for i, (w, c) in enumerate(zip(weights, caps))}, pcpus)
    assert [got[v] for v in vcpus] == pytest.approx(rates)


def test_a_cap_is_a_domains():
    vcpus = [VCpu(1, 0), VCpu(1, 1), VCpu(2, 0)]
    got = shares.promise(vcpus, {1: (256, 60), 2: (256, 0)}, 2)
    assert [got[v] for v in vcpus] == pytest.approx([0.3, 0.3, 1])


# ---- shares and lag ----

def test_fair_turns_have_a_lag_below_a_quantum():
    t = tracefile.read(turns(Maker(), 0, [A, B], MS, 100 * MS).bytes())
    r = results(t)
    for v in (A, B):
        assert r[v].ran == pytest.approx(50 * MS) and r[v].promised == pytest.approx(50 * MS)
        assert max(r[v].behind, r[v].ahead) == pytest.approx(MS / 2)
        assert r[v].wakes == 0


def test_weights_are_served():
    m = Maker()
    m.params(0, A.domain, 256)
    m.params(0, B.domain, 768)
    r = results(tracefile.read(turns(m, 0, [A, B, B, B], MS, 400 * MS).bytes()))
    assert (r[A].weight, r[B].weight) == (256, 768)
    assert r[A].promised == pytest.approx(100 * MS) and r[A].ran == pytest.approx(100 * MS)
    assert r[B].behind <= 3 / 4 * MS + 1


def test_an_unfair_schedule_is_seen():
    """B has the weight of A and half of its time."""
    r = results(tracefile.read(turns(Maker(), 0, [A, A, B], MS, 300 * MS).bytes()))
    assert r[A].ran == pytest.approx(200 * MS)
    assert r[B].promised == pytest.approx(150 * MS)
    assert r[B].behind == pytest.approx(50 * MS, rel=0.02) and r[A].ahead == pytest.approx(50 * MS, rel=0.02)


def test_weight_that_changes():
    m = Maker()
    m.params(0, A.domain, 256)
    m.params(0, B.domain, 256)
    m.params(100 * MS, B.domain, 768)
    r = results(tracefile.read(turns(m, 0, [A, B], MS, 200 * MS).bytes()))
    assert r[A].promised == pytest.approx((50 + 25) * MS)


def test_a_sleeper_is_promised_what_it_wants():
    """B sleeps 9 ms, waits 1 ms, runs 1 ms: the ideal machine has it done at half speed."""
    m = Maker()
    m.state(0, 0, A, RUNNING, 0)
    m.state(0, 0, B, BLOCKED, 0)
    for i in range(10):
        at = (11 * i + 9) * MS
        m.add(0, tracefile.WAKE, at, B.domain, B.number)
        m.change(0, at, B, BLOCKED, RUNNABLE)
        m.change(0, at + MS, A, RUNNING, RUNNABLE)
        m.change(0, at + MS, B, RUNNABLE, RUNNING)
        m.change(0, at + 2 * MS, B, RUNNING, BLOCKED)
        m.change(0, at + 2 * MS, A, RUNNABLE, RUNNING)
    t = tracefile.read(m.bytes())
    r = results(t)
    assert r[B].wakes == 10 and r[B].wait_mean == r[B].wait_max == MS
    assert r[B].ran == pytest.approx(10 * MS) and r[B].promised == pytest.approx(10 * MS)
    assert r[B].behind == pytest.approx(MS / 2)
    assert len(t.wakes) == 10


def test_one_that_goes_is_not_owed_for_ever():
    m = Maker()
    m.state(0, 0, A, RUNNING, 0)
    m.state(0, 0, B, RUNNABLE, 0)
    m.change(0, 10 * MS, B, RUNNABLE, OFFLINE)
    m.state(0, 20 * MS, A, RUNNING, 0)
    r = results(tracefile.read(m.bytes()))
    assert r[B].ran == 0 and r[B].promised == pytest.approx(5 * MS)
    assert r[A].promised == pytest.approx(15 * MS)


def test_two_pcpus():
    m = Maker(pcpus=2)
    for v, w in ((A, 10000), (B, 1), (C, 1)):
        m.params(0, v.domain, w)
    m.state(0, 0, A, RUNNING, 0)
    turns(m, 1, [B, C], MS, 100 * MS)
    r = results(tracefile.read(m.bytes()))
    assert [r[v].promised for v in (A, B, C)] == pytest.approx([100 * MS, 50 * MS, 50 * MS])
    assert r[A].behind == 0


# ---- cutting, pictures ----

def test_cut():
    t = tracefile.read(turns(Maker(), 0, [A, B], MS, 100 * MS).bytes())
    part = tracefile.cut(t, 10.5e6, 20.5e6)
    assert part.length == 10 * MS
    for stays in part.stays.values():
        assert stays[0].start == 0 and stays[-1].end == part.length
        assert all(x.end == y.start for x, y in zip(stays, stays[1:]))
    assert sum(r.ran for r in shares.evaluate(part)) == pytest.approx(10 * MS)


def test_outputs(tmp_path):
    m = Maker()
    m.name(1, "<a> & co")
    m.params(0, 1, 512, 40)
    file, svg, events = tmp_path / "t", tmp_path / "t.svg", tmp_path / "t.json"
    file.write_bytes(turns(m, 0, [A, B], MS, 500 * MS).bytes())
    done = subprocess.run([sys.executable, str(HERE / "timeline.py"), str(file), "--svg", str(svg), "--json", str(events)],
                          capture_output=True, text=True, check=True)
    assert "largest lag" in done.stdout and "<a> & co" in done.stdout
    text = "".join(xml.etree.ElementTree.parse(svg).getroot().itertext())
    assert "<a> & co" in text and "weight 512, cap 40 %" in text and "pCPU 0" in text
    parsed = json.loads(events.read_text())["traceEvents"]
    on_pcpu = [e for e in parsed if e["ph"] == "X" and e["pid"] == 1]
    assert len(on_pcpu) == 500 and all(e["dur"] == 1000 for e in on_pcpu)
    done = subprocess.run([sys.executable, str(HERE / "timeline.py"), str(file), "--from", "900"], capture_output=True, text=True)
    assert done.returncode == 1 and "500 ms long" in done.stderr


def test_a_picture_of_many_switches_stays_small():
    t = tracefile.read(turns(Maker(), 0, [A, B, C], MS // 100, 100 * MS).bytes())
    assert len(picture.draw(t, shares.evaluate(t), "many")) < 500_000
