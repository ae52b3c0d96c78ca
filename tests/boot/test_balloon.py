# SPDX-License-Identifier: MIT
"""Memory comes and goes: mem-set and mem-max, the guests' balloon driver, and what is in the pages that change hands."""
import re

import pytest

from audit import at_rest, differences, free_pages

SECRET = "0x5ec2e75ec2e7"


def settled(m, name, mib):
    """The guest has exactly so much, also by `list`."""
    m.wait_until(lambda: m.domains()[name][2] == str(mib), f"{name} has {mib} MiB")


def mem_set(m, name, size, mib):
    """What the command says, but for a guest whom the host stopped for the 2 s that it waits for a change; then by `list` alone."""
    out = m.run(f"mem-set {name} {size}")
    if not re.fullmatch(rf"mem-set: {name} (has not answered|is not there) yet: it has \d+ KiB, its target is {mib * 1024} KiB .*\n", out):
        assert out == "" and m.domains()[name][2] == str(mib), out  # it comes back when all is done
    settled(m, name, mib)


def ask(m, name, line, answer):
    """Types a line into a guest's console and waits for its answer."""
    m.send(f"console {name}\r")
    m.send(line + "\r")
    m.expect(answer)
    found = m.child.match
    m.send("\x1d")
    m.wait_prompt()
    return found


@pytest.mark.parametrize("vcpus", [1, 4])
def test_down_and_up(machine, vcpus):
    """What is given back is the host's, and after any number of rounds nothing is missing."""
    down_and_up(machine, vcpus)  # domain 0's own tables grow to their largest need
    before = at_rest(machine)
    down_and_up(machine, vcpus)
    assert differences(before, at_rest(machine)) == {}


def down_and_up(machine, vcpus):
    machine.run(f"create balloon vcpus={vcpus}")
    ask(machine, "balloon", "", r"balloon: fill WORD")
    free = free_pages(machine)
    mem_set(machine, "balloon", 16, 16)
    assert 4096 - 64 < free_pages(machine) - free <= 4096  # the guest has 16 MiB less
    for mib in [64, 8, 33, 16, 64, 12, 32]:
        mem_set(machine, "balloon", mib, mib)
        ask(machine, "balloon", "fill 0x1234", r"balloon: (\d+) pages filled")
    assert abs(free_pages(machine) - free) < 256  # tables for the memory that it had in between
    assert "panic" not in machine.run("console --log balloon")
    machine.run("destroy balloon")


def test_units_and_list(machine):
    machine.run("create balloon")
    for size, mib in [("24", 24), ("20480k", 20), ("25165824b", 24), ("48M", 48), ("32MiB", 32)]:
        mem_set(machine, "balloon", size, mib)
    machine.run("destroy balloon")


def test_secrets_stay(boot, disk):
    """Pages full of a secret are given back; a guest that takes them and one that is made of them find zeros."""
    with boot(disk=disk, cpus=2, mem="384M") as m:
        m.wait_prompt()
        m.run("create balloon name=a memory=64")
        m.run("create balloon name=b memory=8 maxmem=512")
        filled = int(ask(m, "a", f"fill {SECRET}", r"balloon: (\d+) pages filled").group(1))
        assert filled > 12000
        found = ask(m, "a", "look", r"balloon: (\d+) pages seen: \d+ words zero, (\d+) the word, (\d+) others")
        assert int(found.group(2)) >= filled * 508  # it can see a secret where there is one
        ask(m, "b", "hold", r"balloon: (\d+) pages held")
        m.run("mem-set a 8")
        settled(m, "a", 8)
        # b takes all that the machine has: so what a has given back is in it.
        grown = 8 + m.info("free_memory") - 4
        m.run(f"mem-set b {grown}")
        settled(m, "b", grown)
        found = ask(m, "b", f"look {SECRET}", r"balloon: (\d+) pages seen: \d+ words zero, (\d+) the word, (\d+) others")
        assert int(found.group(1)) > (grown - 10) * 256
        assert found.group(2, 3) == ("0", "0")
        m.run("destroy b")
        m.run(f"create balloon name=c memory={grown - 10} maxmem=512")
        found = ask(m, "c", f"look {SECRET}", r"balloon: (\d+) pages seen: \d+ words zero, (\d+) the word, (\d+) others")
        assert int(found.group(1)) > (grown - 14) * 256
        assert found.group(2) == "0" and int(found.group(3)) < 1024  # what its own start has left there
        assert m.poweroff() == 0


def test_under_load(machine):
    """Demand paging goes on while the memory goes down and up: programs may be refused memory, never given wrong pages."""
    machine.run("create shell maxmem=48")
    for mib in [12, 40, 16, 48, 10, 32]:
        machine.send("console shell\r")
        machine.send("memtest\r")
        machine.expect(r"memtest\r")  # the line has ended
        machine.send("\x1d")
        machine.wait_prompt()
        machine.run(f"mem-set shell {mib}")
        settled(machine, "shell", mib)
        machine.wait_until(lambda: machine.run("console --log shell").endswith("shell$ \n"), "memtest has ended")
    log = machine.run("console --log shell")
    assert "panic" not in log and "FAILED" not in log and log.count("stack ok") > 2
    machine.run("destroy shell")


def test_keeps_enough_for_itself(machine):
    """A target that it cannot reach is no end of it; and it does not promise what is not there."""
    machine.run("create balloon memory=16")
    out = machine.run("mem-set balloon 4M")
    if out:
        assert re.search(r"mem-set: balloon (is not there|has not answered) yet: it has \d+ KiB, its target is 4096 KiB", out)
    ask(machine, "balloon", "look", r"balloon: \d+ pages seen")
    machine.run("mem-set balloon 16")
    settled(machine, "balloon", 16)
    machine.run("destroy balloon")


def test_refusals(machine):
    machine.run("create -p balloon name=r memory=16 maxmem=32")
    assert "mem-set: r: 3 MiB is less than a domain can live with: 4 MiB at least" in machine.run("mem-set r 3")
    assert "mem-set: r: 33 MiB is more than its maximum of 32 MiB: raise that first, with mem-max" in machine.run("mem-set r 33")
    assert "mem-set: r has not answered yet: it has 16384 KiB, its target is 8192 KiB" in machine.run("mem-set r 8")
    assert "mem-max: r: 7 MiB is less than its target of 8 MiB" in machine.run("mem-max r 7")
    assert machine.run("mem-max r 2G") == ""
    assert "not enough free memory: it has 16 MiB, 1984 MiB more are wanted" in machine.run("mem-set r 2000")
    assert "more than a domain can have" in machine.run("mem-max r 9T")
    for size in ["banana", "1.5", "-3", "0", "12x"]:
        assert f"bad size '{size}': write MiB" in machine.run(f"mem-set r {size}")
    assert "usage: mem-set DOMAIN SIZE" in machine.run("mem-set r")
    assert "there is no domain 'nobody'" in machine.run("mem-set nobody 16")
    assert "its memory is fixed at boot" in machine.run("mem-set Domain-0 64")
    machine.run("unpause r")
    settled(machine, "r", 8)  # it obeys as soon as it runs
    machine.run("destroy r")


def test_mem_max(machine):
    machine.run("create balloon name=g memory=16 maxmem=16")
    machine.run("mem-max g 100")
    machine.run("mem-set g 100")
    settled(machine, "g", 100)
    ask(machine, "g", "fill 1", r"balloon: (\d+) pages filled")
    machine.run("destroy g")


def test_shadow_pool_refusals(machine):
    for keys, text in [("shadow_pages=63", "63 shadow tables are too few for 1 vCPU: write shadow_pages = 64 or more"),
                       ("shadow_pages=135 vcpus=4", "135 shadow tables are too few for 4 vCPUs: write shadow_pages = 136 or more"),
                       ("shadow_memory=1 vcpus=2", "64 shadow tables are too few for 2 vCPUs")]:
        assert text in machine.run(f"create hello name=few {keys}")
    assert "few" not in machine.domains()
