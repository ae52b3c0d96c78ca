# SPDX-License-Identifier: MIT
"""
A scheduler trace, read: `trace save` of domain 0 writes it, in the form of Xen's xentrace, which is read as well (-e 0x0002f000).

read() gives a Trace: for each vCPU the stays in its states, one after the other without a gap, and the weights and caps of domains.
"""
import collections
import struct

RUNNING, RUNNABLE, BLOCKED, OFFLINE = range(4)
STATES = ["running", "runnable", "blocked", "offline"]

# <xen/trace.h>
CPU_CHANGE, LOST, RUNSTATE, WAKE = 0x1F003, 0x1F001, 0x21001, 0x28004
CYCLES = 1 << 31
IDLE_DOMAIN = 32767
# hv/public/trace.h
OWN = 0x22000 | 6 << 9
STOP, KICK, RELEASE, PARAMS, STATE, CREATED, DESTROYED = (OWN | n for n in range(1, 8))
FILE_HEAD, FILE_NAME = 0x08001001, 0x08001002
REASONS = ["blocked", "paused", "yielded", "quantum over", "preempted", "cap used up", "moved"]
WEIGHT = 256  # of a domain that the trace says nothing of

Record = collections.namedtuple("Record", "time pcpu event words")
Stay = collections.namedtuple("Stay", "state start end pcpu why")  # pcpu: of running ones; why: how a running one ended, or None
VCpu = collections.namedtuple("VCpu", "domain number")


class BadTrace(Exception):
    """The file is no trace; the message says what is wrong."""


class Trace:
    """Times are ns from `origin` on, the first moment from which nothing is missing."""

    def __init__(self):
        self.names = {0: "Domain-0"}
        self.pcpus = 0
        self.lost = 0
        self.origin = 0
        self.length = 0
        self.stays = {}    # VCpu: [Stay]
        self.params = []   # (time, domain, weight, cap), by time
        self.wakes = []    # (time, VCpu)

    def name(self, vcpu):
        return f"{self.names.get(vcpu.domain, f'domain {vcpu.domain}')}.{vcpu.number}"

    def params_of(self, domain, time):
        """(weight, cap) as they were at that time; before the first that is known, those."""
        known = [p for p in self.params if p[1] == domain]
        before = [p for p in known if p[0] <= time]
        return (before[-1] if before else known[0] if known else (0, 0, WEIGHT, 0))[2:]


def records(data):
    """Yields (pCPU, event, time or None, words) in the order of the file."""
    at, pcpu = 0, 0
    while at < len(data):
        start = at
        if at + 4 > len(data):
            raise BadTrace(f"byte {start}: a record is cut off")
        header, = struct.unpack_from("<I", data, at)
        event, extra = header & 0x0FFFFFFF, header >> 28 & 7
        at += 4
        time = None
        need = 4 * extra + (8 if header & CYCLES else 0)
        if at + need > len(data):
            raise BadTrace(f"byte {start}: a record is cut off")
        if header & CYCLES:
            time, = struct.unpack_from("<Q", data, at)
            at += 8
        words = struct.unpack_from(f"<{extra}I", data, at)
        at += 4 * extra
        if start == 0 and event != CPU_CHANGE:
            raise BadTrace("this is no trace: it does not begin as those of `trace save` and xentrace do")
        if event == CPU_CHANGE:
            if not words:
                raise BadTrace(f"byte {start}: no pCPU is named")
            pcpu = words[0] & 0xFFFF
        else:
            yield pcpu, event, time, words


def vcpu_of(word):
    return VCpu(word >> 16, word & 0xFFFF)


def load(data, trace, ns_per_tick):
    """[Record] with a time, by time; what has none is noted in `trace`."""
    timed = []
    parts = collections.defaultdict(bytes)
    for pcpu, event, time, words in records(data):
        trace.pcpus = max(trace.pcpus, pcpu + 1)
        if event == FILE_HEAD:
            trace.pcpus = max(trace.pcpus, words[1])
            trace.lost += words[2] | words[3] << 32
        elif event == FILE_NAME:
            parts[words[0]] += struct.pack(f"<{len(words) - 1}I", *words[1:])
        elif event == LOST:
            trace.lost += words[0]
        elif time is not None:
            timed.append(Record(time * ns_per_tick, pcpu, event, words))
    for domain, text in parts.items():
        trace.names[domain] = text.rstrip(b"\0").decode("utf-8", "replace")
    timed.sort(key=lambda r: r.time)  # stable: each pCPU's own order stays
    if not timed:
        raise BadTrace("nothing was recorded in it")
    return timed


class Builder:
    """Puts the stays together. Running and leaving a pCPU are recorded on that pCPU."""

    def __init__(self, trace):
        self.trace = trace
        self.now = {}     # VCpu: (state, since, pCPU)
        self.why = {}     # VCpu: reason of the end of its present run
        self.gone = set()

    def close(self, vcpu, end):
        state, since, pcpu = self.now[vcpu]
        since = max(since, self.trace.origin)
        why = self.why.pop(vcpu, None)
        if end > since:
            self.trace.stays.setdefault(vcpu, []).append(
                Stay(state, since - self.trace.origin, end - self.trace.origin, pcpu if state == RUNNING else None,
                     why if state == RUNNING else None))

    def enter(self, vcpu, state, time, pcpu):
        self.now[vcpu] = (state, time, pcpu)

    def change(self, r):
        vcpu, old, new = vcpu_of(r.words[0]), r.event >> 8 & 15, r.event >> 4 & 15
        if vcpu.domain == IDLE_DOMAIN:
            return
        if vcpu not in self.now:  # the trace begins in the middle of this stay
            self.enter(vcpu, old, self.trace.origin, r.pcpu)
        self.close(vcpu, r.time)
        self.enter(vcpu, new, r.time, r.pcpu)

    def state(self, r):
        vcpu = vcpu_of(r.words[0])
        if vcpu not in self.now:
            self.enter(vcpu, r.words[1] >> 16, r.words[2] | r.words[3] << 32, r.words[1] & 0xFFFF)

    def take(self, r):
        t = r.time - self.trace.origin
        if r.event & ~0xFF0 == RUNSTATE:
            self.change(r)
        elif r.event == STATE:
            self.state(r)
        elif r.event == STOP:
            self.why[vcpu_of(r.words[0])] = REASONS[r.words[1]] if r.words[1] < len(REASONS) else None
        elif r.event == PARAMS:
            self.trace.params.append((max(t, 0), *r.words[:3]))
        elif r.event == WAKE and t >= 0:
            self.trace.wakes.append((t, VCpu(*r.words[:2])))


def complete_since(timed, lossy):
    """A ring that lost records knows nothing of the time before its oldest one; which of them lost is not told, so take the worst."""
    first = {}
    for r in timed:
        first.setdefault(r.pcpu, r.time)
    return max(first.values()) if lossy else min(first.values())


def read(data, ns_per_tick=1):
    trace = Trace()
    timed = load(data, trace, ns_per_tick)
    trace.origin, end = complete_since(timed, trace.lost), timed[-1].time
    trace.length = end - trace.origin
    b = Builder(trace)
    for r in timed:
        b.take(r)
    for vcpu in list(b.now):
        b.close(vcpu, end)
    trace.stays = dict(sorted(trace.stays.items()))
    return trace


def cut(trace, start, end):
    """The same trace with nothing outside of start .. end, in ns."""
    part = Trace()
    part.names, part.pcpus, part.lost = trace.names, trace.pcpus, trace.lost
    part.origin, part.length = trace.origin + start, end - start
    part.params = [(max(t - start, 0), d, w, c) for t, d, w, c in trace.params if t < end]
    part.wakes = [(t - start, v) for t, v in trace.wakes if start <= t < end]
    for vcpu, stays in trace.stays.items():
        kept = [s._replace(start=max(s.start, start) - start, end=min(s.end, end) - start)
                for s in stays if s.end > start and s.start < end]
        if kept:
            part.stays[vcpu] = kept
    return part
