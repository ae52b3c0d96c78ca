#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Random work at domain 0's prompt, which must leave nothing behind: `make soak [SEED=N] [MINUTES=N]`.

Every choice comes from the seed, none from what the machine answers, so a seed asks the same questions again; how they
fall in time is the machine's. The log of each run, build/logs/soak.SEED.CPUS.log, is the whole console.
"""
import argparse
import os
import pathlib
import random
import re
import subprocess
import sys
import time

import pexpect

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "boot"))
from audit import at_rest, counts  # noqa: E402
from machine import BUILD, SECOND, Machine, fsck  # noqa: E402

NAMES = [f"g{n}" for n in range(10)]
DISKS = [f"s{n}" for n in range(4)]
MODES = ["emulate", "drop", "refuse"]
SOURCES = pathlib.Path(__file__).resolve().parents[2] / "guests" / "hostile"
# Only a hang takes as long; a full disk's last flush and a flooded terminal take a while.
PATIENCE = 120
# What must be the same after everything is destroyed. Domain 0's pages are not in it: its malloc keeps some of them.
EXACT = ["free_pages", "penumbra_free_frames", "penumbra_domains", "penumbra_domain_structs", "penumbra_heap_bytes",
         "penumbra_event_ports", "penumbra_grant_maps", "penumbra_window_gfns", "penumbra_store_nodes", "penumbra_dom0_event_ports",
         "penumbra_dom0_grants", "penumbra_dom0_heap", "penumbra_disk_free_blocks"]


class Failure(Exception):
    pass


def questions():
    """The names that the hostile guest knows, from its source."""
    found = []
    for source in sorted(SOURCES.glob("*.c")):
        found += re.findall(r'^    \{"([a-z0-9-]+)", +"', source.read_text(), re.M)
        found += re.findall(r'^    \{"([a-z0-9-]+)",\n', source.read_text(), re.M)
    assert len(found) > 20
    return sorted(set(found))


class Soak:
    """One machine and one seed."""

    def __init__(self, machine, seed, cpus, echo=None):
        self.m = machine
        self.rng = random.Random(f"{seed}/{cpus}")
        self.cpus = cpus
        self.echo = echo
        self.questions = questions()
        self.steps = 0

    # ---- talking ----
    def ask(self, line):
        if self.echo:
            print(f"[{self.steps}] {line}", file=self.echo, flush=True)
        return self.m.run(line, PATIENCE)

    def session(self, line, texts):
        """A command that goes to a guest's console, if there is such a guest; typing; Ctrl-]."""
        if self.echo:
            print(f"[{self.steps}] {line} {texts}", file=self.echo, flush=True)
        self.m.send(line + "\r")
        for text in texts:
            time.sleep(self.rng.random() * 0.2)
            self.m.send(text)
        time.sleep(self.rng.random() * 0.3)
        self.m.send("\x1d")
        # The key is the guest's if the console attaches only now; nothing else ends a session.
        for _ in range(60):
            self.m.marks += 1
            self.m.send(f"\x15nosuch{self.m.marks}\r")
            try:
                self.m.expect_exact(f"unknown command 'nosuch{self.m.marks}'", 2)
                self.m.wait_prompt(PATIENCE)
                return
            except pexpect.TIMEOUT:
                self.m.send("\x1d")
        raise Failure(f"no prompt after {line}")

    def figures(self):
        values = counts(self.m.run("info", PATIENCE))
        if not set(EXACT) <= set(values):
            raise Failure(f"info is incomplete: {values}")
        return values

    # ---- the random part ----
    def cpulist(self):
        kind = self.rng.randrange(4)
        if kind == 0:
            return str(self.rng.randrange(self.cpus))
        if kind == 1:
            return f"0-{self.cpus - 1}"
        if kind == 2:
            return f"all,^{self.rng.randrange(self.cpus)}"
        return f"{self.cpus + self.rng.randrange(3)}"

    def settings(self):
        r, words = self.rng, []
        if r.random() < 0.5:
            words.append(f"vcpus={r.randint(1, 8)}")
        if r.random() < 0.3:
            words.append(f"cpu_weight={r.choice([1, 2, 100, 256, 512, 65535])}")
        if r.random() < 0.3:
            words.append(f"cap={r.choice([1, 5, 20, 50, 100, 150, 400])}")
        if r.random() < 0.3:
            words.append(f'cpus="{self.cpulist()}"')
        if r.random() < 0.3:
            words.append(f"memory={r.choice([4, 8, 16, 24, 48, 96, 200, 350, 700])}")
        if r.random() < 0.2:
            words.append(f'on_crash="{r.choice(["destroy", "preserve", "restart", "rename-restart"])}"')
        if r.random() < 0.2:
            words.append(f'on_poweroff="{r.choice(["destroy", "preserve", "restart"])}"')
        if r.random() < 0.3:
            words.append(f"pagetable_writes={r.choice(MODES)}")
        return words

    def guest(self):
        r = self.rng
        kind = r.choice(["hello", "hello", "hog", "smp", "smp", "shell", "diskio", "diskio", "diskio", "hostile", "hostile",
                         "hostile", "rtcheck"])
        words = []
        if kind == "diskio":
            if r.random() < 0.8:
                access = r.choice(["w", "w", "w", "r"])
                words.append(f"disk=[\"/disks/{r.choice(DISKS)},raw,xvda,{access}\"]")
            words.append(f'cmdline="stay={r.randrange(2)}"')
        elif kind == "hostile":
            words.append(f'cmdline="test={r.choice(self.questions)} entry={r.randrange(5)}"')
            words.append(f"vcpus={r.choice([1, 4])}")
            if r.random() < 0.6:
                words.append(f"disk=[\"/disks/{r.choice(DISKS)},raw,xvda,w\"]")
        elif kind == "smp":
            words.append(f'cmdline="stay={r.randrange(2)}"')
        elif kind == "hog":
            words.append(f'cmdline="seconds={r.choice([1, 3, 1000])}"')
        elif kind == "rtcheck":
            kind, words = "hello", ['kernel="/boot/rtcheck.elf"', "memory=32"]
        return [kind] + words + self.settings()

    def create(self):
        words = self.guest()
        words.insert(1, f"name={self.rng.choice(NAMES)}")
        how = self.rng.random()
        if how < 0.15:
            self.session("create -c " + " ".join(words), self.typing())
        elif how < 0.25:
            self.ask("create -p " + " ".join(words))
            if self.rng.random() < 0.5:
                self.ask("destroy " + words[1][5:])
        else:
            self.ask("create " + " ".join(words))
            if self.rng.random() < 0.2:
                time.sleep(self.rng.random() * 0.5)  # into its boot, or its disk's work
                self.ask("destroy " + words[1][5:])

    def typing(self):
        return [self.rng.choice(["hello\r", "primes\r", "memtest\r", "crash\r", "quit\r", "\r\r\r", "\x00\xff\x1b[A",
                                 "x" * 300 + "\r", "ps\r", "exit\r"]) for _ in range(self.rng.randrange(4))]

    def names(self, most=3):
        return " ".join(self.rng.sample(NAMES, self.rng.randint(1, most)))

    def walk(self):
        """A look at page tables, of a guest that may be in any state."""
        r = self.rng
        start = r.choice([0, 0x400000, 0x200000005000, 0xffff888000000000, 0xffffffff80000000])
        name, user = r.choice(NAMES + ["0"]), r.choice(["", " --user"])
        return f"pt {name} {start + r.randrange(64) * 4096:x} --vcpu {r.randrange(3)}{user}"

    def step(self):
        r = self.rng
        self.steps += 1
        what = r.choices(["create", "pause", "unpause", "destroy", "reboot", "shutdown", "console", "look", "disk", "mode"],
                         [30, 8, 10, 14, 4, 4, 8, 20, 6, 6])[0]
        if what == "create":
            self.create()
        elif what == "console":
            self.session(f"console {r.choice(NAMES)}", self.typing())
        elif what == "look":
            self.ask(r.choice(["list", "vcpu-list", "info", "dmesg", "df", "ls -l /disks", "help",
                               f"block-list {self.names()}", f"console --log {r.choice(NAMES)}",
                               f"vcpu-list {self.names()}", "cat /etc/xen/hello.cfg", "counters",
                               f"counters {r.choice(NAMES)}", self.walk(), self.walk(), self.walk()]))
        elif what == "mode":
            self.ask(f"pt-mode {r.choice(NAMES)} {r.choice(MODES)}")
        elif what == "disk":
            disk = r.choice(DISKS)
            self.ask(r.choice([f"disk-create {disk} {r.choice([1, 3, 8])}M", f"rm /disks/{disk}"]))
        else:
            self.ask(f"{what} {self.names()}")

    # ---- begin and end ----
    def clear(self):
        """Destroys everything, and removes the disks."""
        for _ in range(20):
            names = [n for n in self.m.domains() if n != "Domain-0" and n != "witness"]
            if not names:
                break
            self.ask("destroy " + " ".join(names))
        else:
            raise Failure(f"not destroyed: {names}")
        for disk in DISKS:
            self.ask(f"rm /disks/{disk}")

    def settle(self, before):
        """What is left, against what was there before; the last pages of the dead come back within a second."""
        for _ in range(20):
            after = self.figures()
            wrong = {k: (before[k], after[k]) for k in EXACT if before[k] != after[k]}
            if not wrong:
                return
            time.sleep(0.3 * SECOND)
        raise Failure(f"left behind (before, after): {wrong}; all: {before} {after}")

    def begin(self):
        self.ask("create hello name=witness")
        self.m.send("create -c diskio\r")  # takes the blocks of its disk, once
        self.m.expect("diskio: boot 1, verified", PATIENCE)
        self.m.wait_prompt(PATIENCE)
        return at_rest(self, Soak.figures)

    def witness(self):
        self.m.send("console witness\r")
        self.m.expect_exact("hello: tick", PATIENCE)
        self.m.send("are you well\r")
        self.m.expect_exact("you said: are you well", PATIENCE)
        self.m.send("\x1d")
        self.m.wait_prompt(PATIENCE)

    def run(self, steps=None, seconds=None):
        self.m.wait_prompt(PATIENCE)
        before = self.begin()
        end = time.monotonic() + (seconds or 1e9)
        while self.steps < (steps or 1e9) and time.monotonic() < end:
            self.step()
            if self.steps % 100 == 0:
                self.finish(before)
        self.finish(before)
        for _ in range(4):
            self.create()  # they are in the middle of something when the power goes
        status = self.m.poweroff(PATIENCE)
        if status != 0:
            raise Failure(f"QEMU ended with status {status}")

    def finish(self, before):
        self.clear()
        self.settle(before)
        self.witness()


def soak(seed, cpus, disk, log, steps=None, seconds=None, echo=None):
    """One run; raises Failure, with what QEMU last said, if anything is not as it must be."""
    with Machine(disk=disk, cpus=cpus, log=log) as m:
        s = Soak(m, seed, cpus, echo)
        try:
            s.run(steps, seconds)
        except pexpect.EOF:
            m.child.close()
            raise Failure(f"step {s.steps}: the machine stopped, status {m.child.exitstatus}: {m.child.before[-3000:]}") \
                from None
        except pexpect.TIMEOUT:
            raise Failure(f"step {s.steps}: no answer: {m.child.before[-3000:]}") from None
        except Failure as f:
            raise Failure(f"step {s.steps}: {f}") from None
    complaints = fsck(disk)
    if complaints:
        raise Failure(f"the disk after power-off: {complaints}")
    return s.steps


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--seed", type=int, help="of the first run; the next ones count on (default: the time)")
    p.add_argument("--minutes", type=float, default=10, help="in all")
    p.add_argument("--steps", type=int, default=300, help="of one run, at most")
    p.add_argument("--cpus", type=int, nargs="+", default=[1, 2, 4])
    p.add_argument("--once", action="store_true", help="one run for each number of pCPUs")
    p.add_argument("--verbose", action="store_true", help="print each command")
    a = p.parse_args()
    seed = int(time.time()) % 1000000 if a.seed is None else a.seed
    logs, golden, disk = BUILD / "logs", BUILD / f"soak-golden.{os.getpid()}.img", BUILD / f"soak.{os.getpid()}.img"
    logs.mkdir(exist_ok=True)
    golden.unlink(missing_ok=True)
    subprocess.run(["make", "-s", "disk", f"DISK={golden}"], check=True, cwd=BUILD.parent)
    end, failed = time.monotonic() + a.minutes * 60, []
    while True:
        for cpus in a.cpus:
            left = end - time.monotonic()
            if left < 10 and not a.once:
                break
            subprocess.run(["cp", "--sparse=always", golden, disk], check=True)
            name = logs / f"soak.{seed}.{cpus}.log"
            with open(name, "w", encoding="utf-8", buffering=1) as log:
                try:
                    steps = soak(seed, cpus, disk, log, a.steps, None if a.once else left, sys.stdout if a.verbose else None)
                    print(f"soak: seed {seed}, {cpus} pCPUs: {steps} steps, nothing left behind", flush=True)
                except Failure as f:
                    failed.append(f"--seed {seed} --cpus {cpus} --steps {a.steps} --once")
                    print(f"soak: seed {seed}, {cpus} pCPUs FAILED ({name}): {f}", flush=True)
        seed += 1
        if a.once or end - time.monotonic() < 10 or len(failed) >= 5:
            break
    golden.unlink()
    disk.unlink(missing_ok=True)
    for words in failed:
        print(f"again: {sys.argv[0]} {words}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
