#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""
Runs the benchmark guest as the only domain of a hypervisor in QEMU and prints its figures beside those of Xen 4.17.

QEMU counts instructions (-icount shift=0,sleep=off): a figure is the number of instructions that one operation takes, the
hypervisor's and the guest's few around it. Virtual time and the seed are fixed too, so two runs of the same images agree to
the last digit; each machine is run twice and this is checked (--once saves the time). A difference of one instruction between
two builds is real. What the count cannot see: misses of caches and TLB, and that a write of CR3, an exception or a SYSRET costs
more than an addition. Time in which all processors sleep is skipped at once but counted; with two of them a figure is what both
have executed.

Machines: 1p1v has one processor and one vCPU, 2p2v two of each (vcpu.* figures), 1p4v one processor and four vCPUs (sched.*).
"""
import argparse
import csv
import pathlib
import re
import subprocess
import sys
import tempfile

from benchlib import GUEST, ICOUNT, OUT, ROOT, boot_tree, complaints, parse

MACHINES = {"1p1v": (1, 1), "2p2v": (2, 2), "1p4v": (1, 4)}
# Which figures mean something new on which machine.
SHOWN = {"1p1v": r"(?!calib\.|total)", "2p2v": r"vcpu\.", "1p4v": r"sched\."}
REFERENCE = pathlib.Path(__file__).with_name("reference.csv")


def command(hv, guest, pcpus, vcpus):
    xen = b"dom0_max_vcpus" in pathlib.Path(hv).read_bytes()
    if xen:
        modules = str(guest)
        append = f"console=com1 com1=115200 dom0_mem=128M dom0_max_vcpus={vcpus} xpti=no spec-ctrl=no"
    else:
        modules, append = f"{boot_tree(vcpus)},{guest}", ""
    return ["qemu-system-x86_64", "-accel", "tcg", "-cpu", "Haswell", "-smp", str(pcpus), "-m", "512", *ICOUNT,
            "-display", "none", "-monitor", "none", "-no-reboot", "-nic", "none", "-serial", "stdio",
            "-device", "isa-debug-exit,iobase=0xf4,iosize=0x04",
            "-kernel", str(hv), "-initrd", modules, "-append", append]


def run(options, name, count):
    """`count` runs of a machine at a time: {figure: (value, unit)}. Ends the program if they fail or differ."""
    pcpus, vcpus = MACHINES[name]
    texts = []
    with tempfile.TemporaryDirectory() as folder:
        runs = []
        for i in range(count):
            out = open(pathlib.Path(folder) / f"{i}", "w+", encoding="utf-8", errors="replace")
            runs.append((out, subprocess.Popen(command(options.hv, options.guest, pcpus, vcpus), stdout=out,
                                               stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)))
        for out, qemu in runs:
            try:
                qemu.wait(options.timeout)
            except subprocess.TimeoutExpired:
                for _, other in runs:
                    other.kill()
                qemu.wait()
            out.seek(0)
            texts.append(out.read())
            out.close()
    (OUT / f"{name}.log").write_text(texts[0], encoding="utf-8")
    for text in texts:
        wrong = complaints(text, vcpus)
        if wrong:
            sys.exit(f"{name}: " + "; ".join(wrong) + f" (see {OUT / (name + '.log')})")
    figures = parse(texts[0])
    for text in texts[1:]:
        other = parse(text)
        differ = [k for k in figures if figures[k] != other.get(k)]
        if differ or len(other) != len(figures):
            sys.exit(f"{name}: two runs differ in {len(differ)} of {len(figures)} figures: "
                     + ", ".join(f"{k} {figures[k][0]} and {other.get(k, ('-',))[0]}" for k in differ[:5]))
    if count > 1:
        print(f"{name}: {count} runs agree in all {len(figures)} figures", file=sys.stderr)
    return figures


def medians(figures, pattern):
    """[(name, value, unit)]: the median of each figure, or its only value."""
    rows = []
    for name, (value, unit) in figures.items():
        base, _, kind = name.rpartition(".")
        if kind in ("min", "max"):
            continue
        name = base if kind == "med" else name
        if re.match(pattern, name):
            rows.append((name, value, unit))
    return rows


def load_reference():
    with open(REFERENCE, encoding="utf-8") as f:
        rows = csv.DictReader(line for line in f if not line.startswith("#"))
        return {(r["machine"], r["figure"]): r for r in rows}


def number(text):
    return float(text) if text else None


def plain(value):
    return str(int(value)) if value == int(value) else str(value)


def show(value):
    if value is None:
        return "-"
    return f"{value:,.0f}" if value == int(value) or value >= 1000 else f"{value:,.1f}"


def table(machine, rows, reference, title):
    """Prints one machine's figures; returns [(value / goal, machine, figure, value, goal)]."""
    against = []
    print(f"\n| {machine}: figure | unit | {title} | Xen 4.17 (fast) | ratio | goal | of goal |")
    print("|---|---|---:|---:|---:|---:|---:|")
    for name, value, unit in rows:
        known = reference.get((machine, name), {})
        xen, goal = number(known.get("xen")), number(known.get("goal"))
        ratio = f"{value / xen:.2f}" if xen else "-"
        of_goal = ""
        if goal:
            of_goal = f"{value / goal:.2f}"
            against.append((value / goal, machine, name, value, goal))
        print(f"| {name} | {unit} | {show(value)} | {show(xen)} | {ratio} | {show(goal)} | {of_goal} |")
    return against


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--hv", default=str(ROOT / "build" / "penumbra.elf"),
                   help="the hypervisor's image: ours, or a gunzipped Xen, which gets xpti=no spec-ctrl=no")
    p.add_argument("--guest", default=str(GUEST), help="another benchmark guest")
    p.add_argument("--machine", action="append", choices=list(MACHINES), help="only this one; may be repeated")
    p.add_argument("--once", action="store_true", help="one run each: do not check that a second one is the same")
    p.add_argument("--reference", action="store_true", help="print lines for reference.csv, without goals, and no table")
    p.add_argument("--timeout", type=float, default=300, help="seconds that a run may take")
    options = p.parse_args()
    for image in (options.hv, options.guest):
        if not pathlib.Path(image).is_file():
            sys.exit(f"{image} is not there: `make` and `make bench` build it")
    OUT.mkdir(parents=True, exist_ok=True)

    image = pathlib.Path(options.hv)
    title = "Penumbra" if image.name == "penumbra.elf" else image.name
    reference, against, lines = load_reference(), [], []
    for machine in options.machine or MACHINES:
        figures = run(options, machine, 1 if options.once else 2)
        rows = medians(figures, SHOWN[machine])
        if options.reference:
            print("\n".join(f"{machine},{name},{unit},{plain(value)}," for name, value, unit in rows))
            continue
        against += table(machine, rows, reference, title)
        lines += [(machine, name, value, unit) for name, (value, unit) in figures.items()]
    if options.reference:
        return
    with open(OUT / "results.csv", "w", encoding="utf-8", newline="") as f:
        f.write(f"# {options.hv}\n")
        csv.writer(f, lineterminator="\n").writerows(
            [("machine", "figure", "value", "unit"), *((m, n, plain(v), u) for m, n, v, u in lines)])
    against.sort(reverse=True)
    met = sum(a[0] <= 1 for a in against)
    print(f"\n{met} of {len(against)} goals met. Farthest from theirs:")
    for of_goal, machine, name, value, goal in against[:5]:
        print(f"  {of_goal:5.2f}  {machine} {name}: {show(value)}, goal {show(goal)}")
    print(f"All figures: {OUT / 'results.csv'}")


if __name__ == "__main__":
    main()
