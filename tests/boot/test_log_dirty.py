# SPDX-License-Identifier: MIT
"""The log of dirty frames, seen from the command line: what the guest `dirtier` says it wrote is in it, the rest is not."""
import re

WAYS = ["stores", "tables", "hypercalls"]


def frames(line):
    """The frame numbers at the end of a line of dirtier's."""
    return {int(n, 16) for n in line.split()}


def log(machine, word):
    """What `log-dirty dirtier show` or `clean` prints: frames, and page faults for it."""
    lines = machine.run(f"log-dirty dirtier {word}").splitlines()
    match = re.fullmatch(r"(\d+) frames? written, (\d+) page faults? for it", lines[0])
    found = set()
    for line in lines[1:]:
        first, _, last = line.partition("-")
        found |= set(range(int(first, 16), int(last or first, 16) + 1))
    assert len(found) == int(match[1])
    return found, int(match[2])


def write(machine):
    """Has the guest write; the frames that it says it wrote."""
    machine.send("console dirtier\r")
    machine.send("write\r")
    wrote = set()
    for way in WAYS:
        machine.expect(rf"dirtier: {way}((?: [0-9a-f]+)+)\r", 20)
        wrote |= frames(machine.child.match.group(1))
    machine.expect(r"dirtier: round \d+ done", 20)
    machine.send("\x1d")
    machine.wait_prompt()
    return wrote


def test_log_dirty(machine):
    machine.run("create dirtier")
    machine.wait_until(lambda: "dirtier: ready" in machine.run("console --log dirtier"), "the guest is ready")
    text = machine.run("console --log dirtier")
    never = frames(re.search(r"dirtier: untouched(.*)", text)[1]) | frames(re.search(r"dirtier: only read(.*)", text)[1])

    machine.run("log-dirty dirtier on")
    before, _ = log(machine, "show")
    wrote = write(machine)
    assert len(wrote) == 14 and not wrote & never
    assert not before & wrote
    found, faults = log(machine, "show")
    assert wrote <= found
    assert not never & found
    assert faults >= 8  # the plain stores: a page fault each

    # Looked at, it stays; cleaned, it begins anew, and the next writes are found again.
    assert wrote <= log(machine, "clean")[0]
    assert not wrote & log(machine, "show")[0]
    again = write(machine)
    found, _ = log(machine, "clean")
    assert len(again) == 13 and again < wrote  # A is set once
    assert again <= found and not never & found
    machine.run("log-dirty dirtier off")
    write(machine)
    assert log(machine, "show") == (set(), 0)
    machine.run("destroy dirtier")


def test_log_dirty_refusals(machine):
    machine.run("create hello name=logged")
    assert "usage: log-dirty" in machine.run("log-dirty logged")
    assert "usage: log-dirty" in machine.run("log-dirty logged maybe")
    assert "Domain-0 cannot log its own memory" in machine.run("log-dirty 0 on")
    assert "no domain 'nobody'" in machine.run("log-dirty nobody on")
    assert machine.run("log-dirty logged on") == ""
    assert "is logged already" in machine.run("log-dirty logged on")
    machine.send("log-dirty log\t off\r")
    machine.wait_prompt()
    assert machine.run("log-dirty logged on") == ""
    free = machine.info("free_pages")
    machine.run("destroy logged")
    machine.gone("logged")
    assert machine.info("free_pages") > free
