# SPDX-License-Identifier: MIT
"""What run.py, fairness.py and the boot test of the benchmark guest share: machines, device trees, lines."""
import os
import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"
OUT = BUILD / "bench"
GUEST = OUT / "pvbench.elf"

# The TSC counts instructions, the clock follows it, and nothing comes in from outside.
ICOUNT = ["-icount", "shift=0,sleep=off", "-rtc", "base=2024-01-01,clock=vm", "-seed", "1"]
# The same, but an idle machine waits for real time to pass: else its clock flies, and a disk of the host's seems to be dead.
ICOUNT_REAL = ["-icount", "shift=0,sleep=on", *ICOUNT[2:]]


def boot_tree(vcpus):
    """The boot device tree with that many vCPUs for domain 0."""
    source = (ROOT / "hv" / "boot.dts").read_text(encoding="utf-8")
    source, count = re.subn(r"\bcpus = <\d+>", f"cpus = <{vcpus}>", source)
    if count != 1:
        raise SystemExit("hv/boot.dts: no 'cpus = <N>' to change")
    OUT.mkdir(parents=True, exist_ok=True)
    tree = OUT / f"boot-{vcpus}.dtb"
    made = subprocess.run(["dtc", "-q", "-I", "dts", "-O", "dtb", "-"], input=source.encode(), stdout=subprocess.PIPE, check=True)
    fresh = OUT / f"boot-{vcpus}.{os.getpid()}"  # others may read the one that is there
    fresh.write_bytes(made.stdout)
    fresh.replace(tree)
    return tree


def parse(text):
    """{name: (value, unit)} of the lines `BENCH name value unit`; names keep their .min, .med and .max."""
    figures = {}
    for line in text.splitlines():
        match = re.match(r"BENCH (\S+) (-?[\d.]+) (\S+)\s*$", line)
        if match:
            figures[match[1]] = (float(match[2]), match[3])
    return figures


def complaints(text, vcpus):
    """What is wrong with a run: no end, a panic, or something refused. With one vCPU there is no second to measure."""
    wrong = [] if re.search(r"^BENCH done\s*$", text, re.M) else ["no 'BENCH done'"]
    for line in text.splitlines():
        match = re.match(r"BENCH (\S+) (panic|unsupported)?", line)
        if match and match[1] == "panic":
            wrong.append(line.strip())
        elif match and match[2] and not (vcpus == 1 and re.match(r"(vcpu|sched)\b", match[1])):
            wrong.append(line.strip())
    return wrong
