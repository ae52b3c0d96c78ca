# SPDX-License-Identifier: MIT
"""The laboratory for page tables: every way of changing an entry, on 1, 2 and 4 vCPUs, in every mode, with the smallest pool."""
import random
import re
import subprocess
import time

import pytest

from audit import at_rest, differences
from machine import BUILD, make
from test_pagetables import counters

WAYS = ["hypercall", "store", "xchg", "cmpxchg", "lockand", "bts", "other"]
STORES = {"store": "stores_mov", "xchg": "stores_xchg", "cmpxchg": "stores_cmpxchg", "lockand": "stores_logic",
          "bts": "stores_bit"}
WORST = 28  # instructions; some more where the processor gathers


def smallest(vcpus):
    return 64 + 24 * (vcpus - 1)


def ended(m, name, timeout=120):
    """Waits for a guest's end, which is preserved; its output."""
    m.wait_until(lambda: "s" in m.domains()[name][4], f"{name} has ended", timeout)
    return m.run(f"console --log {name}")


def ptlab(m, options="", config=""):
    """Runs it to its end: changes by way, and its counters."""
    m.run(f"create ptlab name=lab on_poweroff=preserve on_crash=preserve cmdline='{options}' {config}")
    log = ended(m, "lab")
    changes = {way: int(n) for way, n in re.findall(r"ptlab: way (\w+): (\d+) changes, \d+ checks, ok", log)}
    worst = re.search(r"ptlab: worst: (\d+) instructions, ok", log)
    assert "ptlab: done" in log and worst and int(worst.group(1)) >= WORST, log[-1500:]
    found = counters(m, "lab")
    m.run("destroy lab")
    return changes, found


@pytest.mark.parametrize("cpus, vcpus", [(1, 1), (1, 4), (2, 2), (2, 4)])
def test_ways(boot, disk, cpus, vcpus):
    with boot(disk=disk, cpus=cpus) as m:
        m.wait_prompt()
        changes, _ = ptlab(m, f"rounds={4 // vcpus} seed={vcpus}", f"vcpus={vcpus}")
        assert list(changes) == WAYS
        # The same work for all; some ways need several changes for one.
        if vcpus == 1:
            assert changes["hypercall"] == changes["store"] == changes["xchg"] == changes["cmpxchg"] // 2
        assert m.poweroff() == 0


def test_four_processors(boot, disk):
    """All at once; with fewer real processors each flush waits for the host to run the others, so little of it."""
    with boot(disk=disk, cpus=4) as m:
        m.wait_prompt()
        changes, _ = ptlab(m, "way=store rounds=1 steps=100", "vcpus=4")
        assert changes["store"] > 1000
        assert m.poweroff() == 0


@pytest.mark.parametrize("way", WAYS)
def test_counters_tell_the_ways_apart(machine, way):
    changes, found = ptlab(machine, f"way={way} rounds=2")
    assert list(changes) == [way]
    for other, counter in STORES.items():
        assert found[counter] == (changes[way] if other == way else 0), counter
    assert (found["tables_dropped"] > 0) == (way == "other")
    assert (found["updates"] >= changes[way]) == (way == "hypercall" or found["updates"] > changes[way])
    assert found["stores_refused"] == 0


@pytest.mark.parametrize("mode", ["emulate", "drop", "refuse"])
def test_modes(machine, mode):
    """Tables that their kernel may write to work in every mode: stores are emulated, or shadows dropped."""
    changes, found = ptlab(machine, "rounds=1 writable=1", f"pagetable_writes={mode}")
    assert list(changes) == WAYS
    emulated = sum(found[counter] for counter in STORES.values())
    assert (emulated > 0) == (mode == "emulate")
    assert found["tables_dropped"] > (0 if mode == "emulate" else 100)


def test_read_only_tables_by_mode(machine):
    """With the assist, stores through read-only entries are emulated in two modes and the guest's own fault in the third."""
    _, found = ptlab(machine, "way=store rounds=1", "pagetable_writes=drop")
    assert found["stores_mov"] > 0
    machine.run("create ptlab name=lab on_crash=preserve cmdline='way=store' pagetable_writes=refuse")
    assert "page fault" in ended(machine, "lab")
    machine.run("destroy lab")


@pytest.mark.parametrize("vcpus", [1, 2, 4])
def test_smallest_pool(machine, vcpus):
    """A small pool makes a guest slow, never wrong: no instruction starves, however many tables it needs."""
    pool = f"vcpus={vcpus} shadow_pages={smallest(vcpus)}"
    changes, found = ptlab(machine, f"rounds={4 // vcpus}", pool)
    assert list(changes) == WAYS
    assert found["pool"] == smallest(vcpus) and found["shadows"] <= found["pool"]
    assert found["shadows_reclaimed"] > 100  # how many depends on who runs when
    for guest, words in [("rtcheck", r"rtcheck: \d+ checks ok"), ("smp", rf"smp: {vcpus} vCPUs up, \d+ IPIs ok")]:
        machine.run(f"create {guest} name=small on_poweroff=preserve on_crash=preserve {pool}")
        assert re.search(words, ended(machine, "small"))
        machine.run("destroy small")


def test_shell_in_the_smallest_pool(machine):
    machine.run("create shell name=small memory=96 shadow_pages=64")
    machine.send("console small\r")
    for line, words in [("memtest 48", "memtest: 48 MiB of heap and 200 KiB of stack ok"), ("spawntest", "spawntest: .*ok"),
                        ("memtest 48", "memtest: 48 MiB of heap and 200 KiB of stack ok")]:
        machine.send(line + "\r")
        machine.expect(words)
    machine.send("\x1d")
    machine.wait_prompt()
    assert counters(machine, "small")["shadows_reclaimed"] > 0
    machine.run("destroy small")


def test_fork_benchmark_in_the_smallest_pool(boot, disk):
    """A kernel that shares no code with the others, as a guest."""
    make("build/bench/pvbench.elf")
    subprocess.run(["debugfs", "-w", "-R", f"write {BUILD / 'bench/pvbench.elf'} boot/pvbench.elf", str(disk)],
                   check=True, capture_output=True)
    with boot(disk=disk, cpus=1) as m:
        m.wait_prompt()
        m.run("create hello name=pv kernel=/boot/pvbench.elf memory=64 shadow_pages=64 on_reboot=preserve on_crash=preserve")
        log = ended(m, "pv", 180)  # by a reboot, as its way is
        assert re.search(r"BENCH fork\.total256\.med \d+", log), log[-2000:]
        assert "BENCH done" in log and "panic" not in log
        assert counters(m, "pv")["pool"] == 64
        assert m.poweroff() == 0


def test_killed_at_random(machine):
    """Whatever it is doing to its tables, everything of it comes back."""
    pick = random.Random(1)
    for turn in range(24):
        if turn == 12:  # what grows once has grown: the logs of the dead among it
            before = at_rest(machine)
        vcpus = pick.choice([1, 2, 4])
        pool = pick.choice([smallest(vcpus), 512])
        machine.run(f"create ptlab name=lab vcpus={vcpus} shadow_pages={pool} cmdline='rounds=1000 seed={turn}'")
        time.sleep(pick.random() * 0.5)
        machine.run("destroy lab")
    assert differences(before, at_rest(machine)) == {}
