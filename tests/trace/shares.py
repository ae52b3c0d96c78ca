# SPDX-License-Identifier: MIT
"""
What each vCPU got against what it was promised.

The promise at any moment: those that want a pCPU, running or waiting for one, share the pCPUs by weight; nobody gets more than one
pCPU, a domain no more than its cap; what somebody cannot take goes to the others in proportion (water-filling). That is generalised
processor sharing (GPS), served without quanta: an ideal machine that is given the same work at the same moments. One that sleeps by
itself wants what it ran, and is done with it earlier or later there; one that is still awake at the end would have taken any amount.
The lag of a vCPU is what the ideal machine has done for it by then, less what the real one has: above 0 it is behind.
"""
import collections

from tracefile import OFFLINE, RUNNABLE, RUNNING

Result = collections.namedtuple(
    "Result", "vcpu name weight cap ran promised behind ahead wakes wait_mean wait_max wanted")


def fill(wanting, capacity):
    """wanting: {who: (weight, limit)}; {who: rate}, at most its limit, in proportion to weight below that, `capacity` in all."""
    rates, left = {}, dict(wanting)
    while left:
        total = sum(w for w, _ in left.values())
        level = capacity / total if total else 0
        full = [who for who, (w, limit) in left.items() if w * level >= limit]
        if not full:
            rates.update((who, w * level) for who, (w, _) in left.items())
            break
        for who in full:
            rates[who] = left.pop(who)[1]
            capacity -= rates[who]
        capacity = max(capacity, 0)
    return rates


def promise(wanting, params, pcpus):
    """Rates of these vCPUs, in pCPUs. params: {domain: (weight of each vCPU, cap in percent or 0)}."""
    rates, fixed, free = {}, {}, list(wanting)
    capacity = pcpus
    while True:
        rates = fill({v: (params[v.domain][0], 1) for v in free}, capacity)
        used = collections.Counter()
        for v, rate in rates.items():
            used[v.domain] += rate
        over = [d for d in used if params[d][1] and used[d] > params[d][1] / 100 + 1e-9]
        if not over:
            return {**rates, **fixed}
        # A domain that its cap holds back shares the cap among its own.
        for d in over:
            own = [v for v in free if v.domain == d]
            part = fill({v: (params[d][0], 1) for v in own}, params[d][1] / 100)
            fixed.update(part)
            capacity -= sum(part.values())
            free = [v for v in free if v.domain != d]


INFINITE = float("inf")


class Served:
    """One vCPU: what the ideal machine still owes it and has done for it, and what the real one has done."""

    def __init__(self):
        self.backlog = self.promised = self.ran = self.lag = self.behind = self.ahead = self.wanted = 0
        self.runs = False
        self.waits = []

    def advance(self, ns, rate):
        due = min(rate * ns, self.backlog)
        got = ns if self.runs else 0
        self.backlog = 0 if self.backlog - due < 1e-3 else self.backlog - due
        self.promised += due
        self.ran += got
        self.lag += due - got
        self.behind, self.ahead = max(self.behind, self.lag), max(self.ahead, -self.lag)


def busy_periods(trace, stays):
    """[(start, end, ns that it ran or INFINITE: it would have taken more)] of the times in which it wanted a pCPU."""
    periods = []
    for s in stays:
        wants = s.state in (RUNNING, RUNNABLE)
        if wants:
            work = s.end - s.start if s.state == RUNNING else 0
            if periods and periods[-1][1] == s.start:
                periods[-1][1:] = [s.end, periods[-1][2] + work]
            else:
                periods.append([s.start, s.end, work])
        elif s.state == OFFLINE and periods and periods[-1][1] == s.start:
            periods[-1][2] = INFINITE  # it did not stop by itself
    if periods and periods[-1][1] == trace.length:
        periods[-1][2] = INFINITE
    return periods


def events_of(trace, served):
    """[(time, order, function)]: what changes in the ideal and in the real machine."""
    def arrive(s, work):
        s.backlog += work

    def leave(s):
        s.backlog = 0

    def run(s, runs):
        s.runs = runs

    events = []
    for vcpu, stays in trace.stays.items():
        s = served[vcpu]
        for start, end, work in busy_periods(trace, stays):
            s.wanted += end - start
            events.append((start, 2, lambda s=s, work=work: arrive(s, work)))
            if work == INFINITE and end < trace.length:
                events.append((end, 1, lambda s=s: leave(s)))
        for stay in stays:
            if stay.state == RUNNING:
                events.append((stay.end, 0, lambda s=s: run(s, False)))
                events.append((stay.start, 1, lambda s=s: run(s, True)))
        s.waits = waits_of(stays)
    return events


def waits_of(stays):
    """ns from each wake-up to the run."""
    waits = []
    for before, s, after in zip(stays, stays[1:], stays[2:] + [None]):
        if before.state in (RUNNING, RUNNABLE):
            continue
        if s.state == RUNNING:
            waits.append(0)
        elif s.state == RUNNABLE and after is not None and after.state == RUNNING:
            waits.append(s.end - s.start)
    return waits


def evaluate(trace, pcpus=None):
    """[Result], all times in ns."""
    pcpus = pcpus or trace.pcpus
    served = {v: Served() for v in trace.stays}
    params = {v.domain: trace.params_of(v.domain, 0) for v in trace.stays}
    events = events_of(trace, served)
    for time, domain, weight, cap in trace.params:
        events.append((time, 0, lambda d=domain, p=(weight, cap): params.update({d: p})))
    events.append((trace.length, 3, lambda: None))
    events.sort(key=lambda e: e[:2])
    now, memo = 0, {}
    for time, _, act in events:
        while now < time:
            key = (tuple(v for v, s in served.items() if s.backlog), tuple(params.items()))
            if key not in memo:
                memo[key] = promise(key[0], params, pcpus)
            rates = memo[key]
            # Somebody's work may be done before the next event.
            step = min([time - now] + [max(served[v].backlog / r, 1e-3) for v, r in rates.items() if r > 0])
            for v, s in served.items():
                s.advance(step, rates.get(v, 0))
            now += step
            if time - now < 1e-3:
                now = time
        act()
    return [result(trace, v, s, params) for v, s in served.items()]


def result(trace, vcpu, s, params):
    weight, cap = params[vcpu.domain]
    mean = sum(s.waits) / len(s.waits) if s.waits else 0
    return Result(vcpu, trace.name(vcpu), weight, cap, s.ran, s.promised, s.behind, s.ahead, len(s.waits), mean,
                  max(s.waits, default=0), s.wanted)


def text(trace, results):
    """The report, for people."""
    ms = 1e6
    lines = [f"{trace.length / ms:.3f} ms on {trace.pcpus} pCPU(s), {trace.lost} records lost",
             "",
             f"{'vCPU':<16} {'weight':>6} {'cap':>5} {'ran ms':>10} {'promised':>10} {'off':>8} {'behind':>8} {'ahead':>8}"
             f" {'wake-ups':>8} {'mean ms':>8} {'max ms':>8}"]
    for r in results:
        off = f"{100 * (r.ran / r.promised - 1):+.2f} %" if r.promised else "-"
        lines.append(f"{r.name[:16]:<16} {r.weight:>6} {r.cap or '-':>5} {r.ran / ms:>10.3f} {r.promised / ms:>10.3f} {off:>8}"
                     f" {r.behind / ms:>8.3f} {r.ahead / ms:>8.3f} {r.wakes:>8} {r.wait_mean / ms:>8.3f} {r.wait_max / ms:>8.3f}")
    worst = max(results, key=lambda r: max(r.behind, r.ahead), default=None)
    if worst:
        lines += ["", f"largest lag: {worst.name}, {worst.behind / ms:.3f} ms behind, {worst.ahead / ms:.3f} ms ahead"]
    return "\n".join(lines) + "\n"
