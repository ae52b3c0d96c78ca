# SPDX-License-Identifier: MIT
"""Several vCPUs of one guest against each other: the hypervisor lives, the others go on, nothing is left behind."""
import random
import time

import pytest

import test_hostile
from audit import at_rest, nothing_left

pytestmark = pytest.mark.long
MACHINE_CPUS = [2, 4]
RACES = ["race-entries", "race-tables", "race-memory", "race-grants", "race-all", "race-events", "race-vcpus", "race-poll",
         "race-gdt", "fuzz"]


# Memory that is a page table and given back, or written over, may be the end of the guest: its own fault.
MAY_DIE = ["race-memory", "race-all", "race-tables", "fuzz"]


def start(machine, name, vcpus, words=""):
    machine.run("dmesg -c")
    test_hostile.start(machine, f"{name} {words}", vcpus)


def wait(machine, timeout=120):
    return "".join(test_hostile.ends(machine, timeout))


@pytest.fixture(scope="module")
def clean(machine):
    machine.run("create hello name=witness")
    start(machine, "race-events", 4, "times=100")
    wait(machine)
    machine.wait_until(lambda: "hello: tick" in machine.run("console --log witness"), "the witness is awake")
    return at_rest(machine)


@pytest.mark.parametrize("vcpus", [3, 8])
@pytest.mark.parametrize("name", RACES)
def test_race(machine, clean, name, vcpus):
    for seed in range(3 if name in MAY_DIE else 1):
        start(machine, name, vcpus, f"seed={seed}")
        log = wait(machine)
        ended = "crashed: " in log or "guest kernel panic" in log or name == "fuzz"  # a chance call may be its poweroff
        assert f"hostile: {name} survived" in log or (name in MAY_DIE and ended), log[-3000:]
    nothing_left(machine, clean)


def test_end_in_hypercalls(machine, clean):
    for _ in range(5):
        start(machine, "race-end", 8)
        assert "race-end survived" in wait(machine)
    nothing_left(machine, clean)


@pytest.mark.parametrize("name", RACES)
def test_destroyed_in_the_middle(machine, clean, name):
    rng = random.Random(name)
    for _ in range(4):
        start(machine, name, rng.choice([2, 4, 8]), "times=100000000 seconds=1000")
        time.sleep(rng.random() * 0.5)
        machine.run("destroy bad")
    assert "bad" not in machine.domains()
    nothing_left(machine, clean)


def test_witness_is_well(machine, clean):
    machine.send("console witness\r")
    machine.expect_exact("hello: tick")
    machine.send("are you well\r")
    machine.expect_exact("you said: are you well")
    machine.send("\x1d")
    machine.wait_prompt()
