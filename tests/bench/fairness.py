#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""
How pCPUs are shared: guests of several weights that only burn time, caps, and guests that sleep and wake beside them. What each got is
in the scheduler's own trace, and is checked against the work that the guests themselves report for the same moments. What each was
promised is what an ideal machine would have done (tests/trace/shares.py).

QEMU counts instructions (-icount), so the host's load plays no part; its clock counts those of all pCPUs together, so "two seconds" of
four busy pCPUs are half a second of work on each.

Prints a table, and ends with status 1 if a share is off by more than --tolerance percent of the promise and more than --slack ms.
"""
import argparse
import collections
import pathlib
import re
import shutil
import sys
import tempfile
import time

from benchlib import BUILD, ICOUNT_REAL, ROOT

sys.path[:0] = [str(ROOT / "tests" / "boot"), str(ROOT / "tests" / "trace")]
import shares  # noqa: E402
import tracefile  # noqa: E402
from machine import Machine, debugfs  # noqa: E402

SECONDS = 2
WEIGHTS = (256, 512, 1024, 2048)
# The hog's loop has two instructions an iteration, the clock counts one instruction a nanosecond.
NS_PER_ITERATION = 2

# guests: {name: (configuration, its words)}
Case = collections.namedtuple("Case", "name cpus guests")


def hogs(count):
    """Weights in turn, so that the order of the names is not that of the weights."""
    return {f"h{i}-{w}": ("hog", f"cpu_weight={w}") for i, w in ((i, WEIGHTS[i % len(WEIGHTS)]) for i in range(count))}


# QEMU lets one pCPU run at a time, and changes over when a timer is due; where a guest has a pCPU for itself there is none for
# 50 ms. So on several pCPUs this one sets timers all the time, which takes a hundredth of one.
BEAT = {"beat": ("ticker", 'cmdline="count=1000000000 max_us=500"')}


def matrix(cpus):
    """More guests than pCPUs: others share nothing, and QEMU then leaves domain 0 waiting."""
    return [Case(f"{n} hogs", cpus, {**hogs(n), **(BEAT if cpus > 1 else {})}) for n in (2, 4, 8, 16) if n > cpus]


CAPS = [Case("cap alone", 1, {"capped": ("hog", "cap=25")}),
        Case("cap of two vCPUs", 2, {"capped": ("hog", "vcpus=2 cap=60")}),
        Case("cap beside another", 1, {"capped": ("hog", "cap=25 cpu_weight=2048"), "free": ("hog", "")})]
TICKER = ("ticker", 'cmdline="count=1000000"')
SLEEPERS = [Case("sleeper alone", 1, {"ticker": TICKER}),
            Case("sleeper beside 4 hogs", 1, {"ticker": TICKER, **hogs(4)}),
            Case("sleeper beside 16 hogs", 2, {"ticker": TICKER, **hogs(16)})]
WHOLE = [case for cpus in (1, 2, 4) for case in matrix(cpus)] + CAPS + SLEEPERS


def traced_ms(m):
    return float(re.search(r"records of ([\d.]+) ms", m.run("trace"))[1])


def record(m, case, file, seconds=SECONDS):
    """Runs the case; the trace of a little more than `seconds` goes to domain 0's disk. {name: what it printed}."""
    for name, (config, words) in case.guests.items():
        m.run(f"create -p {config} name={name} {words}")
    m.run("trace start 4M")
    m.run("unpause " + " ".join(case.guests))
    while traced_ms(m) < seconds * 1000 + 600:
        time.sleep(1)  # domain 0 wants a processor for the look, too
    m.run("trace stop")
    said = {name: m.run(f"console --log {name}") for name in case.guests}
    m.run("pause " + " ".join(case.guests))  # the disk's interrupts shall find a processor
    answer = m.run(f"trace save {file}")
    m.run("destroy " + " ".join(case.guests))
    m.wait_until(lambda: not set(case.guests) & set(m.domains()), "they are gone")
    assert "bytes" in answer, answer
    return said


def window(image, file, seconds=SECONDS):
    """The last `seconds` of a saved trace."""
    trace = tracefile.read(debugfs(image, f"cat {file}"))
    assert not trace.lost
    return tracefile.cut(trace, trace.length - seconds * 1e9, trace.length)


def guests_of(trace, results=None):
    """{name: [result of each vCPU]} of the guests."""
    found = collections.defaultdict(list)
    for r in results or shares.evaluate(trace):
        if r.vcpu.domain and r.wanted:
            found[trace.names[r.vcpu.domain]].append(r)
    return found


def reported(text):
    """[(ns, iterations)] as a hog has said."""
    return [(int(ns), int(n)) for n, ns in re.findall(r"\((\d+) iterations at (\d+) ns\)", text)]


def ran_between(trace, name, begin, end):
    """ns that its vCPUs ran, by the trace, between two times of the clock."""
    return sum(max(0, min(s.end + trace.origin, end) - max(s.start + trace.origin, begin))
               for vcpu, stays in trace.stays.items() if trace.names[vcpu.domain] == name
               for s in stays if s.state == tracefile.RUNNING)


def work_against_trace(trace, said):
    """{name: work that it reports / what the trace has it run for}, of all that reported twice. On one pCPU: several take turns in QEMU."""
    ratios = {}
    for name, text in said.items():
        done = [d for d in reported(text) if d[0] >= trace.origin]
        if len(done) >= 2:
            (begin, first), (end, last) = done[0], done[-1]
            ratios[name] = (last - first) * NS_PER_ITERATION / ran_between(trace, name, begin, end)
    return ratios


def off(r):
    return r.ran / r.promised - 1 if r.promised else 0


def is_off(r, tolerance, slack_ms):
    """By more than the tolerance (a part of the promise) and more than the slack: the lag counts at both ends of the window."""
    return abs(r.ran - r.promised) > max(tolerance * r.promised, slack_ms * 1e6)


def print_case(case, trace, results):
    for name, parts in sorted(guests_of(trace, results).items()):
        for r in parts:
            ms = 1e6
            wakes = f"{r.wait_mean / 1e3:.0f} / {r.wait_max / 1e3:.0f}" if r.wakes else ""
            print(f"| {case.name} | {case.cpus} | {name} | {r.weight} | {r.cap or ''} | {100 * r.ran / trace.length:.2f} | "
                  f"{100 * r.promised / trace.length:.2f} | {100 * off(r):+.2f} % | {r.behind / ms:.2f} | {r.ahead / ms:.2f} | {wakes} |", flush=True)


HEAD = ("| case | pCPUs | guest | weight | cap | got, % | promised, % | off | behind, ms | ahead, ms | wake-up to run, us, mean / max |\n"
        "|---|--:|---|--:|--:|--:|--:|--:|--:|--:|--:|")


def boot_and_run(cpus, cases, options, folder):
    """[(case, trace, what was said)]; one machine for all of them, and its disk is read when it is off."""
    disk = shutil.copy(options.disk, folder)
    said = {}
    with Machine(disk=disk, cpus=cpus, extra=ICOUNT_REAL, log=options.log) as m:
        m.wait_prompt(120)
        for i, case in enumerate(cases):
            said[i] = record(m, case, f"/case{i}", options.seconds)
        m.poweroff()
    if options.keep:
        options.keep.mkdir(parents=True, exist_ok=True)
        for i, case in enumerate(cases):
            name = f"{case.cpus}-{case.name.replace(' ', '-')}.trace"
            (options.keep / name).write_bytes(debugfs(disk, f"cat /case{i}"))
    return [(case, window(disk, f"/case{i}", options.seconds), said[i]) for i, case in enumerate(cases)]


def by_reports(m, case, seconds):
    """{name: its part of the pCPUs' time}, from the guests' own reports alone: on any hypervisor. All of them want all they can get."""
    for name, (config, words) in case.guests.items():
        m.run(f"create -p {config} name={name} {words}")
    m.run("unpause " + " ".join(case.guests))
    rates, waiting = {}, {name for name, (config, _) in case.guests.items() if config == "hog"}
    while waiting:
        time.sleep(2)  # domain 0 wants a processor for the look, too
        for name in sorted(waiting):
            done = reported(m.run(f"console --log {name}"))
            late = [d for d in done if d[0] - done[0][0] >= seconds * 1e9]
            if late:
                rates[name] = (late[0][1] - done[0][1]) / (late[0][0] - done[0][0])
                waiting.discard(name)
    m.run("destroy " + " ".join(case.guests))
    m.wait_until(lambda: not set(case.guests) & set(m.domains()), "they are gone")
    total = sum(rates.values())
    return {name: rate / total * min(case.cpus, len(rates)) for name, rate in rates.items()}


def promised_to(case):
    """{name: pCPUs} by weight, for one-vCPU guests that never sleep."""
    weights = {name: int(re.search(r"cpu_weight=(\d+)", words)[1]) for name, (config, words) in case.guests.items() if config == "hog"}
    return shares.fill({name: (w, 1) for name, w in weights.items()}, min(case.cpus, len(weights)))


def compare(options):
    """The same hogs on whatever hypervisor, by their own reports. On one pCPU: QEMU does not give several the same number of instructions."""
    print("| case | guest | got, % | promised, % | off |\n|---|---|--:|--:|--:|")
    rows = []
    cases = [c for c in matrix(1) if options.only in c.name]
    with tempfile.TemporaryDirectory() as folder:
        disk = shutil.copy(options.disk, folder)
        modules = [BUILD / "dom0.elf"] if options.xen else None
        with Machine(disk=disk, cpus=1, extra=ICOUNT_REAL, log=options.log, kernel=options.xen, modules=modules, append=options.append) as m:
            m.wait_prompt(300)
            for case in cases:
                got, promised = by_reports(m, case, options.seconds), promised_to(case)
                for name in got:
                    print(f"| {case.name} | {name} | {100 * got[name]:.2f} | {100 * promised[name]:.2f} | "
                          f"{100 * (got[name] / promised[name] - 1):+.2f} % |", flush=True)
                errors = [got[n] / promised[n] - 1 for n in got]
                rows.append((case, max(errors, key=abs), (sum(e * e for e in errors) / len(errors)) ** 0.5))
            m.poweroff()
    print("\n| case | worst | root mean square |\n|---|--:|--:|")
    for case, worst, rms in rows:
        print(f"| {case.name} | {100 * worst:+.1f} % | {100 * rms:.1f} % |")


def summary(rows):
    print("\n| case | pCPUs | worst share | off by ms | largest lag, ms |\n|---|--:|--:|--:|--:|")
    for case, results in rows:
        steady = [r for r in results if r.vcpu.domain and r.wanted]
        worst = max(steady, key=lambda r: abs(off(r)))
        print(f"| {case.name} | {case.cpus} | {100 * off(worst):+.2f} % | {max(abs(r.ran - r.promised) for r in steady) / 1e6:.2f} | "
              f"{max(max(r.behind, r.ahead) for r in steady) / 1e6:.2f} |")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--seconds", type=int, default=SECONDS, help="measured time of each case")
    p.add_argument("--tolerance", type=float, default=2, help="percent")
    p.add_argument("--slack", type=float, default=2, help="ms")
    p.add_argument("--disk", type=pathlib.Path, default=BUILD / "dom0.img", help="domain 0's disk; a copy of it is used")
    p.add_argument("--only", default="", help="cases whose name has this in it")
    p.add_argument("--cpus", type=int, help="cases with that many pCPUs")
    p.add_argument("--keep", type=pathlib.Path, help="put the traces into this folder")
    p.add_argument("--reports", action="store_true", help="measure by the guests' own reports, without a trace")
    p.add_argument("--xen", type=pathlib.Path, help="the same on that Xen (`make test-xen` leaves one in build/xen/xen)")
    p.add_argument("--append", default="console=com1 com1=115200 dom0_mem=128M dom0_max_vcpus=1", help="its boot line")
    p.add_argument("--log", type=argparse.FileType("w"), help="the console")
    options = p.parse_args()
    if not options.disk.is_file():
        sys.exit(f"{options.disk} is not there: `make disk` makes it")
    if options.xen or options.reports:
        options.append = options.append if options.xen else ""
        compare(options)
        return
    wrong, rows = [], []
    print(HEAD)
    for cpus in (1, 2, 4):
        cases = [c for c in WHOLE if c.cpus == cpus and options.only in c.name and options.cpus in (None, cpus)]
        if not cases:
            continue
        with tempfile.TemporaryDirectory() as folder:
            for case, trace, said in boot_and_run(cpus, cases, options, folder):
                results = shares.evaluate(trace)
                rows.append((case, results))
                print_case(case, trace, results)
                wrong += [f"{case.name}, {cpus} pCPUs: {r.name}" for r in results
                          if r.vcpu.domain and is_off(r, options.tolerance / 100, options.slack)]
    summary(rows)
    if wrong:
        sys.exit("shares that are off: " + "; ".join(wrong))


if __name__ == "__main__":
    main()
