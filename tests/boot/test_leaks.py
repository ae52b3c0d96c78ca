# SPDX-License-Identifier: MIT
"""After 200 domains came and went, everything is exactly what it was."""
from audit import at_rest, differences

GUESTS = ["hello", "smp vcpus=2", "hog", "diskio", "hostile cmdline=test=no-handlers"]
CYCLES = 200


def one(machine, number):
    machine.run(f"create {GUESTS[number % len(GUESTS)]} name=g on_crash=preserve on_poweroff=preserve")
    machine.run("destroy g")


def test_nothing_leaks(machine):
    # What is made once and kept: the blocks of the virtual disk, tables that grow to their largest need.
    machine.send("create -c diskio\r")
    machine.expect("diskio: boot 1, verified", 120)
    machine.wait_prompt()
    for n in range(5 * len(GUESTS)):
        one(machine, n)
    before = at_rest(machine)
    assert len(before) > 4, before
    for n in range(CYCLES):
        one(machine, n)
    assert list(machine.domains()) == ["Domain-0"]
    assert differences(before, at_rest(machine)) == {}
