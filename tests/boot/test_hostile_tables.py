# SPDX-License-Identifier: MIT
"""What a frame may be at the same time, and hypercalls by chance: one rule each, and nothing is left behind."""
import re

import pytest

from audit import at_rest, nothing_left
from test_hostile import ask

MACHINE_CPUS = [1, 2]
SURVIVED = ["ldt", "ldt-gone", "ldt-foreign", "ldt-context", "all-levels", "hole-stores", "pins", "exchange-used",
            "grant-places"]
# Accepted at least this often of 100, or a fuzzer tests nothing. What domain 0 alone may do is not here.
ACCEPTED = {"mmu_update": 10, "mmuext_op": 10, "update_va_mapping": 50, "memory_op": 10, "grant_table_op": 25,
            "event_channel_op": 25, "multicall": 90, "vcpu_op": 20, "update_descriptor": 15, "set_gdt": 5}
SEEDS = range(1, 5)


@pytest.fixture(scope="module")
def clean(machine):
    """The figures once everything has grown to its largest need."""
    machine.run("create hello name=witness")
    for name in SURVIVED + ["fuzz times=1000"]:
        ask(machine, name, vcpus=2)
    machine.wait_until(lambda: "hello: tick" in machine.run("console --log witness"), "the witness is awake")
    return at_rest(machine)


@pytest.mark.parametrize("name", SURVIVED)
def test_survives(machine, clean, name):
    log, _ = ask(machine, name, vcpus=2)
    assert f"hostile: {name} survived" in log, log[-3000:]
    nothing_left(machine, clean)


@pytest.mark.parametrize("name", ["balloon-root", "balloon-stack"])
def test_dies_alone(machine, clean, name):
    log, dmesg = ask(machine, name)
    assert "survived" not in log and "crashed" in dmesg
    nothing_left(machine, clean)


@pytest.mark.parametrize("seed", SEEDS)
def test_fuzz(machine, clean, seed):
    """A fixed number of calls, the same ones for each seed: longer and with others by `make fuzz`."""
    log, _ = ask(machine, f"fuzz seed={seed} times=20000 seconds=600", 300)
    assert "hostile: fuzz survived" in log, log[-3000:]
    for name, least in ACCEPTED.items():
        made, good = map(int, re.search(rf"hostile: {name}: (\d+) made, (\d+) accepted", log).groups())
        assert good * 100 >= made * least, (name, made, good)
    nothing_left(machine, clean)
