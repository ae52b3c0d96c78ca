# SPDX-License-Identifier: MIT
"""What reading the hypervisor gave cause to ask: guests that found something once, and machines with too little memory."""
import pytest

from audit import at_rest, differences, nothing_left
from test_hostile import ask


@pytest.mark.parametrize("name, vcpus", [("gaps", 1), ("lent-pages", 2), ("copies", 4), ("ports", 1)])
def test_question(machine, name, vcpus):
    ask(machine, name, 90, vcpus)  # once for what grows to its largest need
    before = at_rest(machine)
    log, _ = ask(machine, name, 90, vcpus)
    assert f"hostile: {name} survived" in log, log[-2000:]
    nothing_left(machine, before)


def until_full(machine):
    """Creates guests of different sizes until the memory is used up; their names."""
    names = []
    # Domain 0 refuses what cannot fit; what nearly fits fails on the way, in the hypervisor.
    for size in ["16", "2 vcpus=32", "2", "1 vcpus=32"]:
        for _ in range(64):
            name = f"g{len(names)}"
            out = machine.run(f"create hello name={name} memory={size}")
            if name not in machine.domains():
                assert "memory" in out.lower(), out
                break
            names.append(name)
    return names


def test_memory_used_up(boot, disk):
    """Every creation fails with a word on memory and leaves nothing; what runs goes on; all of it comes back."""
    m = boot(disk=disk, mem="288M")
    m.wait_prompt()
    for name in until_full(m):  # once for what grows to its largest need
        m.run(f"destroy {name}")
    before = at_rest(m)
    names = until_full(m)
    assert names
    m.send(f"console {names[0]}\r")
    m.expect_exact("hello: tick")
    m.send("\x1d")
    m.wait_prompt()
    for name in reversed(names):
        m.run(f"destroy {name}")
    assert "Domain-0" in m.domains()
    assert differences(before, at_rest(m)) == {}
    assert m.poweroff() == 0
