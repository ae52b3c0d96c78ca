#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Linux, PV-GRUB with a Linux of its own, and toy guests beside each other, each at work on a disk, ended at random points:
`make soak [SEED=N] [MINUTES=N]`. Nothing may be lost on any disk, and nothing may be left of a guest.

A round starts what is not there, works for a while, and ends all but the witness: in the last round by a shutdown, before by
`destroy`, at moments that come from the seed. The first round, which does without PV-GRUB, is the one to whose counts all others are
compared.
"""
import argparse
import hashlib
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import time

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent), str(pathlib.Path(__file__).resolve().parents[1] / "boot")]
from audit import at_rest  # noqa: E402
from linux import COMPLAINTS, put_text  # noqa: E402
from machine import BUILD, Machine, debugfs, fsck  # noqa: E402
from test_pvgrub import audited, menu  # noqa: E402

SHELL = "/ # "

# Files come, are read again once no cache has them, and go, each announced a round before it does: so the last words of a guest that
# is killed say what its disk must have.
KEEPER = r"""
mkdir -p /mnt/kept && cd /mnt/kept
n=$1 old=
while :; do
    n=$((n + 1))
    rm -f $old
    dd if=/dev/urandom of=new bs=32k count=$((n % 7 + 1)) conv=fsync 2> /dev/null
    mv new $n && sync
    set -- $(md5sum $n)
    echo "$1  $n" >> /tmp/sums
    echo "=kept $n $1="
    echo 3 > /proc/sys/vm/drop_caches
    md5sum -c /tmp/sums > /tmp/said 2>&1 || echo "=lost $(grep -v ': OK' /tmp/said)="
    old=
    if [ $(wc -l < /tmp/sums) -gt 5 ]; then
        read sum old < /tmp/sums
        sed -i 1d /tmp/sums
        echo "=gone $old="
    fi
    usleep 100000
done
"""


class Failure(Exception):
    pass


class Keeper:
    """A Linux at work on its disk, and what is known of the disk."""

    def __init__(self, machine, name, image, start):
        self.m, self.name, self.image, self.start_it = machine, name, image, start
        self.files, self.last = {}, 0  # number: sum, of those that must be there

    def start(self):
        self.start_it(self.name)
        self.m.expect_exact(SHELL, 240)
        put_text(self.m, "/keeper", KEEPER, SHELL)
        self.m.send(f"sh /keeper {self.last} &\r")
        self.m.expect("=kept", 120)
        self.m.send("\x1d")
        self.m.wait_prompt()

    def read(self):
        """What it has said until now, which is looked at often enough for its log to have all."""
        log = self.m.run(f"console --log {self.name}")
        for kept, total, gone in re.findall(r"^=(?:kept (\d+) ([0-9a-f]{32})|gone (\d+))=", log, re.M):
            if gone:
                self.files.pop(gone, None)
            elif int(kept) > self.last:
                self.files[kept], self.last = total, int(kept)
        found = re.search(COMPLAINTS + r"|^=lost \d", log, re.M)
        if found:
            raise Failure(f"{self.name}: {log[max(0, found.start() - 800):found.end() + 800]}")

    def check(self, disk):
        """The disk, from outside, once nobody uses it; its journal may have to be replayed."""
        with tempfile.TemporaryDirectory() as folder:
            inner = pathlib.Path(folder) / "inner.img"
            debugfs(disk, f"dump {self.image} {inner}")
            subprocess.run(["e2fsck", "-p", str(inner)], capture_output=True, check=False)
            if fsck(inner):
                raise Failure(f"{self.image}: {fsck(inner)}")
            for name, total in self.files.items():
                if hashlib.md5(debugfs(inner, f"cat /kept/{name}")).hexdigest() != total:
                    raise Failure(f"{self.image}: file {name} is not what was written")
        if not self.files:
            raise Failure(f"{self.image}: no file was kept")


class Beside:
    """One machine and one seed."""

    def __init__(self, machine, seed):
        self.m, self.rng = machine, random.Random(seed)
        self.direct = Keeper(machine, "direct", "/disks/linux.img", self.start_direct)
        self.grub = Keeper(machine, "grub", "/disks/pvgrub.img", self.start_grub)
        self.base, self.rounds = None, 0

    def start_direct(self, name):
        self.m.send(f"create -c linux name={name} vcpus={self.rng.randint(1, 3)}\r")

    def start_grub(self, name):
        menu(self.m, f"pvgrub name={name} vcpus=2", "Linux, to a BusyBox shell")
        self.m.send("\x1b[B\r")  # the second entry: quietly

    # ---- the toys ----
    def diskio(self):
        """It verifies what it wrote before, also where it was killed at that."""
        if "diskio" in self.m.domains():
            if self.rng.random() < 0.3:
                self.m.run("destroy diskio")
            return
        log = self.m.run("console --log diskio")
        if "ERROR" in log:
            raise Failure(f"diskio: {log}")
        self.m.run("create diskio")

    def shell(self):
        if "shell" not in self.m.domains():
            self.m.send("create -c shell\r")
        else:
            self.m.send("console shell\r\r")
        self.m.expect_exact("shell$ ")
        for line in self.rng.sample(["hello", "primes", "memtest", "ps"], 2):
            self.m.send(line + "\r")
            self.m.expect_exact("shell$ ")
        self.m.send("\x1d")
        self.m.wait_prompt()

    def witness(self):
        self.m.send("console witness\r")
        self.m.expect_exact("hello: tick")
        self.m.send("are you well\r")
        self.m.expect_exact("you said: are you well")
        self.m.send("\x1d")
        self.m.wait_prompt()

    # ---- rounds ----
    def work(self, seconds, keepers):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.rng.choice([self.diskio, self.diskio, self.shell, self.witness])()
            for keeper in keepers:
                keeper.read()

    def finish(self, keepers, last):
        """All but the witness go, one after the other."""
        linuxes = [keeper.name for keeper in keepers]
        for name in self.rng.sample(linuxes + ["shell", "diskio"], len(linuxes) + 2):
            if last and name in linuxes:
                self.m.run(f"shutdown -w {name}", 120)
            elif name in self.m.domains():
                self.m.run(f"destroy {name}")
            time.sleep(self.rng.random() * 0.3)
        for keeper in keepers:
            self.m.gone(keeper.name)
            keeper.read()

    def audit(self):
        """What is left of them."""
        now = audited(at_rest(self.m))
        self.base = self.base or now
        wrong = {key: (self.base[key], now[key]) for key in now if now[key] != self.base[key]}
        if wrong:
            raise Failure(f"round {self.rounds}: left behind (before, after): {wrong}")

    def round(self, seconds, keepers, last=False):
        self.rounds += 1
        for keeper in keepers:
            keeper.start()
            self.diskio()
        self.work(seconds * (0.5 + self.rng.random()), keepers)
        self.finish(keepers, last)
        self.audit()


def beside(seed, disk, log, seconds, work=20):
    """Rounds for so many seconds, `work` of each beside the starting; their number."""
    with Machine(disk=disk, cpus=2, log=log) as m:
        m.wait_prompt()
        m.run("create hello name=witness")
        b = Beside(m, seed)
        end = time.monotonic() + seconds
        b.round(work, [b.direct])
        while time.monotonic() < end:
            b.round(work, [b.direct, b.grub])
        b.round(work, [b.direct, b.grub], last=True)
        b.witness()
        if m.poweroff() != 0:
            raise Failure("QEMU's status")
    if fsck(disk):
        raise Failure(f"the disk after power-off: {fsck(disk)}")
    for keeper in (b.direct, b.grub):
        keeper.check(disk)
    return b.rounds


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--seed", type=int, default=int(time.time()) % 1000000)
    p.add_argument("--minutes", type=float, default=10)
    a = p.parse_args()
    disk = BUILD / f"beside.{os.getpid()}.img"
    subprocess.run(["make", "-s", "disk", f"DISK={disk}"], check=True, cwd=BUILD.parent)
    (BUILD / "logs").mkdir(exist_ok=True)
    with open(BUILD / "logs" / f"beside.{a.seed}.log", "w", encoding="utf-8", buffering=1) as log:
        if b"pvgrub.cfg" not in debugfs(disk, "ls /etc/xen") or b"linux.cfg" not in debugfs(disk, "ls /etc/xen"):
            print("beside: SKIPPED: Debian's packages are not on the disk")
        else:
            try:
                rounds = beside(a.seed, disk, log, a.minutes * 60)
            except BaseException:
                print(f"beside: FAILED ({log.name}); again: {sys.argv[0]} --seed {a.seed} --minutes {a.minutes}")
                raise
            print(f"beside: seed {a.seed}: {rounds} rounds, nothing lost, nothing left behind")
    disk.unlink()


if __name__ == "__main__":
    main()
