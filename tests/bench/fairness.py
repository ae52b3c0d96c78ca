#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""
How one processor is shared between domains of different weights, and how a cap holds: guests that only burn time, and the work that
they report themselves for the same seconds of the clock. QEMU counts instructions (-icount), so the host's load plays no part; what is
typed comes at any time, so the last digits may differ from run to run.

Prints a table, and ends with status 1 if a share is off by more than --tolerance percent of what it should be.
"""
import argparse
import pathlib
import re
import shutil
import sys
import tempfile
import time

from benchlib import BUILD, ICOUNT, ROOT

sys.path.insert(0, str(ROOT / "tests" / "boot"))
from machine import Machine  # noqa: E402

WEIGHTS = (256, 512, 1024, 2048)
CAP = 25
SECONDS = 5
# The hog's loop has two instructions an iteration, the clock counts one instruction a nanosecond: Miter a second of a whole processor.
WHOLE = 500


def work(m, name):
    """{second since its start: Miter done by then}, as the hog has reported."""
    return {int(s): int(n) for n, s in re.findall(r"hog: (\d+) Miter, (\d+) s", m.run(f"console --log {name}"))}


def share(m, hogs, seconds):
    """Starts hogs {name: "key=value ..."} together; shares of the processor between second 1 and second 1 + seconds."""
    for name, keys in hogs.items():
        m.run(f"create -p hog name={name} {keys}")
    m.run("unpause " + " ".join(hogs))
    shares = {}
    for name in hogs:
        done = work(m, name)
        while 1 + seconds not in done:
            time.sleep(0.5)  # domain 0 wants the processor for a look, too
            done = work(m, name)
        shares[name] = (done[1 + seconds] - done[1]) / seconds / WHOLE
    m.run("destroy " + " ".join(hogs))
    while set(hogs) & set(m.domains()):
        pass
    return shares


def weighted(m, weights=WEIGHTS, seconds=SECONDS):
    """[(name, share, wanted share)] of guests of these weights that all want the processor."""
    shares = share(m, {f"w{w}": f"cpu_weight={w}" for w in weights}, seconds)
    return [(f"w{w}", shares[f"w{w}"], w / sum(weights)) for w in weights]


def capped_beside(m, cap=CAP, seconds=SECONDS):
    """The same of a guest with a cap, in percent of a processor, and a heavy weight, beside one without."""
    shares = share(m, {"capped": f"cap={cap} cpu_weight=2048", "free": "cpu_weight=256"}, seconds)
    return [("capped", shares["capped"], cap / 100), ("free", shares["free"], 1 - cap / 100)]


def capped_alone(m, cap=CAP, seconds=SECONDS):
    """The same of a capped guest on an otherwise idle machine."""
    return [("alone", share(m, {"alone": f"cap={cap}"}, seconds)["alone"], cap / 100)]


CASES = (weighted, capped_beside, capped_alone)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--seconds", type=int, default=SECONDS, help="measured time of each case")
    p.add_argument("--tolerance", type=float, default=5, help="percent")
    p.add_argument("--disk", type=pathlib.Path, default=BUILD / "dom0.img", help="domain 0's disk; a copy of it is used")
    p.add_argument("--log", type=argparse.FileType("w"), help="the console")
    options = p.parse_args()
    if not options.disk.is_file():
        sys.exit(f"{options.disk} is not there: `make disk` makes it")
    worst = 0
    print("| case | domain | share | should be | off by |\n|---|---|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as folder:
        disk = shutil.copy(options.disk, folder)
        with Machine(disk=disk, cpus=1, extra=ICOUNT, log=options.log) as m:
            m.wait_prompt(120)
            for case in CASES:
                for name, got, wanted in case(m, seconds=options.seconds):
                    off = got / wanted - 1
                    worst = max(worst, abs(off))
                    print(f"| {case.__name__} | {name} | {got:.4f} | {wanted:.4f} | {100 * off:+.2f} % |", flush=True)
            m.poweroff()
    if worst * 100 > options.tolerance:
        sys.exit(f"a share is off by {worst * 100:.1f} %")


if __name__ == "__main__":
    main()
