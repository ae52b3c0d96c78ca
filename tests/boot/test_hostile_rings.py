# SPDX-License-Identifier: MIT
"""Guests that attack domain 0's services over their rings: domain 0 answers, the others go on, nothing is left behind."""
import re
import time

import pytest

from audit import at_rest, nothing_left
from machine import SECOND

CPUS = 2


def ask(machine, name, disk=False, words="", options="", timeout=90):
    """Runs one question beside the witness; the guest's log with the hypervisor's. Domain 0 answers meanwhile."""
    machine.run("dmesg -c")
    disk = ' disk=["/disks/bad.img,raw,xvda,w"]' if disk else ""
    machine.run(f'create hostile name=bad cmdline="test={name}{options}"{disk} {words} on_crash="destroy" on_poweroff="destroy"')
    end = time.monotonic() + timeout * SECOND
    while time.monotonic() < end:
        before, worked = time.monotonic(), machine.worked()
        there = "bad" in machine.domains()
        waited, worked = time.monotonic() - before, (machine.worked() - worked) / CPUS
        assert worked < PATIENCE and waited < 10 * PATIENCE * SECOND, f"an answer took {waited} s, {worked} s of each processor"
        if not there:
            break
        time.sleep(0.02)
    else:
        log = machine.run("console --log bad")
        machine.run("destroy bad")
        pytest.fail(f"hostile {name} does not end: {log[-1000:]}")
    return machine.run("console --log bad") + machine.run("dmesg")


# Files of domain 0's own; the virtual disk gets its blocks as it is written to.
DISK = ["df", "penumbra_disk_free_blocks"]
# In a second domain 0 has answered, whatever a guest does. By the time that the machine's processors have worked: how often they get
# to do so is the host's.
PATIENCE = 3


def beside_a_good_one(machine, seed, rounds):
    """Everything of a disk written over, beside a guest that fills and verifies its own."""
    machine.run("disk-create good.img 6M")
    machine.run('create diskio name=good disk=["/disks/good.img,raw,xvda,w"]')
    log = ask(machine, "disk-fuzz", disk=True, options=f" seed={seed} rounds={rounds}", timeout=60 + rounds)
    assert "hostile: disk-fuzz survived" in log, log[-2000:]
    machine.gone("good", 180)
    assert re.search(r"diskio: boot \d+, verified 6 MiB", machine.run("console --log good"))
    machine.run("rm /disks/good.img")


@pytest.fixture(scope="module")
def clean(machine):
    """The figures before; the witness and the disk stay."""
    machine.run("disk-create bad.img 8M")
    machine.run("create hello name=witness")
    machine.run('create hostile name=bad cmdline="test=disk-flap" disk=["/disks/bad.img,raw,xvda,w"]')
    machine.gone("bad", 90)
    for name in ["store-watches", "store-txn", "fill-store", "disk-junk"]:  # tables grow to their largest need
        ask(machine, name, name.startswith("disk"))
    beside_a_good_one(machine, 0, 100)
    return {k: v for k, v in at_rest(machine).items() if k not in DISK}


@pytest.mark.parametrize("name", ["console-index", "store-index", "store-length", "store-half", "store-unread",
                                  "store-watches", "store-commit", "store-junk", "store-txn", "close-ports", "drop-rings"])
def test_rings_of_every_guest(machine, clean, name):
    log = ask(machine, name)
    assert f"hostile: {name} survived" in log, log[-2000:]
    nothing_left(machine, clean, 10)


@pytest.mark.parametrize("name", ["disk-requests", "disk-junk", "disk-index", "disk-aim", "disk-nodes", "disk-flap",
                                  "disk-revoke", "disk-balloon", "disk-port", "disk-leave"])
def test_block_back_end(machine, clean, name):
    log = ask(machine, name, disk=True)
    assert f"hostile: {name} survived" in log, log[-2000:]
    nothing_left(machine, clean, 10)


@pytest.mark.parametrize("seed", [1, 2])
def test_everything_written_over(machine, clean, seed):
    beside_a_good_one(machine, seed, 150)
    nothing_left(machine, clean, 10)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(10, 20))
def test_everything_written_over_for_long(machine, clean, seed):
    beside_a_good_one(machine, seed, 500)
    nothing_left(machine, clean, 10)


def test_forged_page_table_by_dma(machine, clean):
    log = ask(machine, "disk-forge", disk=True)
    assert "touching a forged entry" in log, log[-2000:]
    assert "hostile: 1 faults" in log or "a page-table entry names a frame" in log, log[-2000:]
    nothing_left(machine, clean, 10)


@pytest.mark.parametrize("vcpus", [1, 4])
def test_event_storm(machine, clean, vcpus):
    log = ask(machine, "storm", words=f"vcpus={vcpus}")
    assert "hostile: storm survived" in log, log[-2000:]
    nothing_left(machine, clean, 10)


def test_witness_is_well(machine, clean):
    machine.send("console witness\r")
    machine.expect_exact("hello: tick")
    machine.send("are you well\r")
    machine.expect_exact("you said: are you well")
    machine.send("\x1d")
    machine.wait_prompt()
