#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""
What a request to a virtual disk costs: instructions of domain 0 and of the guest, each with the hypervisor's work for it, for reads
and writes of 4 and 64 KiB, one at a time, to a raw image whose blocks are allocated. QEMU counts instructions; the guest is diskio
(guests/diskio/bench.c), without persistent grants. One processor.
"""
import argparse
import pathlib
import sys

from benchlib import ICOUNT_REAL, ROOT

sys.path.insert(0, str(ROOT / "tests" / "boot"))
from machine import Machine, copy_of_disk  # noqa: E402


def measure(m, kib, write, count):
    """Instructions a request: of domain 0, and of the guest."""
    m.send(f"create -c diskio name=b disk=['/disks/bench.img,raw,xvda,w'] cmdline='bench={count} kib={kib} write={write}'\r")
    m.expect_exact("bench begins", 600)
    m.send("\x1d")
    m.wait_prompt(120)
    before = m.info("penumbra_dom0_cpu_ns")
    m.send("console b\r")
    m.expect(r"bench ends, (\d+) ns each", 900)
    guest = int(m.child.match.group(1))
    m.send("\x1d")
    m.wait_prompt(120)
    after = m.info("penumbra_dom0_cpu_ns")
    m.gone("b", 120)
    return (after - before) // count, guest


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=3000, help="requests of each kind")
    options = parser.parse_args()
    with copy_of_disk() as disk, Machine(disk=pathlib.Path(disk), cpus=1, extra=ICOUNT_REAL) as m:
        m.wait_prompt(600)
        m.run("disk-create bench.img 4M", 300)
        print(f"{'request':<14}{'domain 0':>10}{'guest':>10}")
        for kib in (4, 64):
            for write in (0, 1):
                own, guest = measure(m, kib, write, options.count)
                print(f"{kib:>3} KiB {'write' if write else 'read':<6}{own:>10}{guest:>10}", flush=True)
        m.poweroff(300)


if __name__ == "__main__":
    main()
