# SPDX-License-Identifier: MIT
"""Shadow page tables as they are seen and switched from the command line: counters, pt, pt-mode, pagetable_writes."""
import re
import subprocess

import pytest

from audit import free_pages
from machine import BUILD

KEYS = ["faults_guest", "faults_fill", "faults_store", "faults_ad", "stores_mov", "stores_xchg", "stores_cmpxchg",
        "stores_logic", "stores_bit", "stores_refused", "tables_dropped", "updates", "hypercalls", "shadows",
        "shadows_made", "shadows_reclaimed", "pool", "flushes", "flushes_avoided"]
KERNEL = "ffffffff80000000"  # where the toy guests are linked


def counters(machine, name=""):
    """All of them, by key."""
    rows = machine.run(f"counters {name}").splitlines()
    return {row.split()[0]: int(row.split()[1]) for row in rows if not row.startswith("(")}


def levels(text):
    """The lines of a walk's levels, as lists: level, slot, table, then the rest."""
    lines = text.partition("Shadow's entry\n")[2].partition("\nFrame ")[0].splitlines()
    return [line.split(None, 3) for line in lines]


def rtcheck(machine, name, *words):
    """Runs rtcheck to its end and keeps it; its counters."""
    machine.run(f'create -p rtcheck name={name} on_poweroff="preserve" {" ".join(words)}')
    yield
    machine.run(f"unpause {name}")
    machine.wait_until(lambda: "s" in machine.domains()[name][4], f"{name} has ended", 60)
    # Its last lines may be in the ring yet.
    ended = machine.wait_until(lambda: re.search(r"rtcheck: (\d+ checks ok|FAILED.*)", machine.run(f"console --log {name}")),
                               f"{name} says how it ended")
    assert "ok" in ended.group(), ended.string[-1500:]
    found = counters(machine, name)
    machine.run(f"destroy {name}")
    yield found


@pytest.fixture(scope="module", autouse=True)
def no_leak(machine):
    # What domain 0 needs for its maps of a guest grows to its largest need now.
    machine.run("create -p hostile name=large")
    machine.run("destroy large")
    free = free_pages(machine)
    yield
    for name in machine.domains():
        if name != "Domain-0":
            machine.run(f"destroy {name}")
    machine.wait_until(lambda: free_pages(machine) == free, f"{free} pages are free again")


def test_counters(machine):
    machine.run("create hello name=counted")
    machine.wait_until(lambda: "tick" in machine.run("console --log counted"), "counted runs")
    lines = machine.run("counters counted").splitlines()
    assert [line.split()[0] for line in lines] == KEYS
    assert all(re.match(r"\w+ +\d+  \w", line) and line[31:33] == "  " for line in lines), lines
    one, all_of_them = counters(machine, "counted"), counters(machine)
    assert one["hypercalls"] > 0 and one["shadows"] > 0 and one["faults_fill"] > 0
    assert one["shadows"] <= one["shadows_made"] and one["shadows"] <= one["pool"]
    assert all(all_of_them[key] >= one[key] for key in KEYS)
    assert int(machine.run("counters counted pool")) == one["pool"]
    assert int(machine.run("counters counted hypercalls")) >= one["hypercalls"]
    # What the sum has more is domain 0's, which works at this very moment.
    assert int(machine.run("counters 0 hypercalls")) > 0
    machine.run("destroy counted")


def test_counters_errors(machine):
    assert "no counter 'faults_storr': did you mean 'faults_store'?" in machine.run("counters Domain-0 faults_storr")
    assert "there is no domain 'nosuch'" in machine.run("counters nosuch")
    assert "usage: counters [DOMAIN [KEY]]" in machine.run("counters -x")
    assert "usage:" in machine.run("counters 0 pool more")


def test_pt_shows_the_first_touch(machine):
    """Paused before its first instruction a guest has tables and no shadow; afterwards both, and they agree."""
    machine.run("create -p hello name=seen")
    before = machine.run(f"pt seen {KERNEL}")
    rows = levels(before)
    assert [row[:2] for row in rows] == [["4", "511"], ["3", "510"], ["2", "0"], ["1", "0"]]
    assert all("this table has no shadow" in row[3] for row in rows), before
    machine.run("unpause seen")
    machine.wait_until(lambda: "tick" in machine.run("console --log seen"), "seen runs")
    after = machine.run(f"pt seen 0x{KERNEL}")
    rows = levels(after)
    shadows = []
    for row in rows:
        found = re.fullmatch(r"[0-9a-f]+( (P|RW|US|A|D|NX))+ +([0-9a-f]+) +([0-9a-f]+)( (P|RW|US|A|D|NX))+ *", row[3])
        assert found, row
        shadows.append((found.group(3), found.group(4)))
    # Each shadow's entry names the next one's frame, and the last one's the page's.
    assert [entry for _, entry in shadows[:3]] == [table for table, _ in shadows[1:]]
    page = re.search(r"^Frame .*\n(?:.*\n){4}(\w+) +(\w+)", after, re.M)
    assert page.group(2) == shadows[3][1] and int(page.group(1), 16) < 16 << 8
    assert "page table of level 4, pinned" in after and "page table of level 1" in after
    machine.run("destroy seen")


def test_pt_of_domain_0_and_of_a_dead_one(machine):
    assert [row[0] for row in levels(machine.run(f"pt Domain-0 {KERNEL}"))] == ["4", "3", "2", "1"]
    machine.run('create hello name=dead on_poweroff="preserve"')
    machine.run("shutdown -w dead", 60)
    machine.wait_until(lambda: "s" in machine.domains()["dead"][4], "dead has ended")
    text = machine.run(f"pt dead {KERNEL}")
    assert [row[0] for row in levels(text)] == ["4", "3", "2", "1"], text
    assert counters(machine, "dead")["hypercalls"] > 0
    machine.run("destroy dead")


def test_pt_of_user_mode(machine):
    """A program's page in the program's tables, and in the kernel's, which are others."""
    machine.run("create shell name=sh")
    machine.send("console sh\r")
    machine.expect_exact("shell$ ")
    machine.send("cat\r")
    machine.send("hello\r")
    machine.expect(r"hello\s+hello")
    machine.send("\x1d")
    machine.wait_prompt()
    user, kernel = levels(machine.run("pt sh 400000 --user")), levels(machine.run("pt sh 400000"))
    assert len(user) == len(kernel) == 4
    assert user[0][2] != kernel[0][2]  # two roots
    assert user[3] == kernel[3]        # one page below them
    assert "nothing here" in levels(machine.run(f"pt sh {KERNEL} --user"))[-1][3]
    machine.run("pause sh")
    assert levels(machine.run("pt sh 400000 --user")) == user
    machine.run("destroy sh")


def test_pt_says_why_a_table_is_read_only(machine):
    """A guest that mapped one of its tables writable, at an address that this table translates."""
    machine.run('create hostile name=bad on_poweroff="preserve" cmdline="test=writable-tables"')
    machine.wait_until(lambda: "s" in machine.domains()["bad"][4], "bad has ended", 60)
    text = machine.run("pt bad 200000005000")
    leaf = levels(text)[3][3]
    assert re.match(r"[0-9a-f]+ P RW ", leaf), text
    assert "read-only: a page table of level 1, stores to it are caught" in leaf
    assert int(machine.run("counters bad stores_mov")) > 10000
    machine.run("destroy bad")


def test_pt_says_that_a_frame_is_logged(machine):
    symbols = subprocess.run(["nm", BUILD / "guests/hello.elf"], capture_output=True, text=True, check=True).stdout
    variable = re.search(r"^(\w+) [bB] start_info$", symbols, re.M).group(1)
    machine.run("create hello name=logged")
    machine.wait_until(lambda: "tick" in machine.run("console --log logged"), "logged runs")
    machine.run("pause logged")
    assert "logged" not in machine.run(f"pt logged {variable}").partition("\n")[2]
    machine.run("log-dirty logged on")
    text = machine.run(f"pt logged {variable}")
    assert "read-only: logged, the first store is noted" in levels(text)[3][3], text
    assert text.splitlines()[-1].endswith("memory, logged")
    machine.run("destroy logged")


def test_pt_errors(machine):
    machine.run("create -p hello name=h")
    assert "pt: zz: no address: write up to 16 hexadecimal digits" in machine.run("pt h zz")
    assert "must all be equal" in machine.run("pt h 800000000000")
    assert "the hypervisor's part" in machine.run("pt h 0xffff800000001000")
    assert "there is no domain 'nosuch'" in machine.run("pt nosuch 0")
    assert "h has no vCPU 7: `vcpu-list` shows" in machine.run("pt h 0 --vcpu 7")
    for bad in ["--vcpu", "--vcpu x", "--vcpu 32", "--vcpu 1x", "--vcpu -1"]:
        assert "--vcpu: a number from 0 to 31" in machine.run(f"pt h 0 {bad}"), bad
    assert "vCPU 0 of h has no user page tables" in machine.run("pt h 0 --user")
    for bad in ["pt", "pt h", "pt h 0 1", "pt h 0 --kernel"]:
        assert "usage: pt DOMAIN ADDRESS [--vcpu N] [--user]" in machine.run(bad), bad
    machine.run("destroy h")


def test_stores_are_emulated_by_default(machine):
    run = rtcheck(machine, "emulated")
    next(run)
    assert machine.run("pt-mode emulated") == "emulate (the guest's assist is off)\n"
    c = next(run)
    # Through a read-only entry with the assist, and through a writable one.
    assert c["stores_mov"] == c["stores_cmpxchg"] == 4 and c["stores_logic"] == 8, c
    assert c["stores_xchg"] == 104  # a hundred to the table that maps the guest's own text
    assert c["stores_bit"] == 2 and c["tables_dropped"] == 0
    assert c["stores_refused"] == 2  # without the assist
    assert c["faults_store"] == 124


def test_stores_drop_the_shadow(machine):
    run = rtcheck(machine, "dropped", "pagetable_writes=drop")
    next(run)
    c = next(run)
    assert c["tables_dropped"] >= 100, c
    assert c["stores_mov"] == c["stores_xchg"] == c["stores_cmpxchg"] == 2  # read-only: dropping would not help
    assert c["stores_refused"] == 2


def test_stores_are_refused(machine):
    """The mode is changed by command; the guest's assist has no effect then."""
    run = rtcheck(machine, "refused", "cmdline=stores=0")
    next(run)
    assert machine.run("pt-mode refused refuse") == ""
    assert machine.run("pt-mode refused").startswith("refuse ")
    c = next(run)
    assert c["stores_refused"] == 3 and c["tables_dropped"] >= 100, c
    assert all(c[key] == 0 for key in KEYS if re.match("stores_(?!refused)", key)), c


def test_modes_can_be_changed_under_a_running_guest(machine):
    machine.run("create shell name=sh")
    machine.send("console sh\r")
    machine.expect_exact("shell$ ")
    for mode in ["drop", "refuse", "emulate"]:
        machine.send("\x1d")
        machine.wait_prompt()
        machine.run(f"pt-mode sh {mode}")
        assert machine.run("pt-mode sh").split()[0] == mode
        machine.send("console sh\r")
        machine.send("spawntest\r")
        machine.expect(r"spawntest: (\d+ rounds|FAILED)")
        assert machine.child.match.group(1) != "FAILED"
        machine.expect_exact("shell$ ")
    machine.send("exit\r")
    machine.wait_prompt()


def test_mode_errors(machine):
    assert "there is no domain 'nosuch'" in machine.run("pt-mode nosuch drop")
    assert "unknown mode 'drap': known are emulate, drop, refuse" in machine.run("pt-mode Domain-0 drap")
    assert "usage: pt-mode" in machine.run("pt-mode")
    assert "usage: pt-mode" in machine.run("pt-mode 0 drop more")
    out = machine.run("create hello pagetable_writes=drap")
    assert 'unknown word "drap", did you mean "drop"? Known are emulate, drop, refuse' in out
    assert machine.run("pt-mode 0") == "emulate (the guest's assist is on)\n"


def test_no_shadow_fault_in_the_steady_state(machine):
    """A guest that works, and is interrupted, on tables that do not change takes no page fault at all."""
    machine.run("create hog name=steady")

    def seconds():
        """That it says. Whom nobody let run for a while leaves some out."""
        said = re.findall(r", (\d+) s \(", machine.run("console --log steady"))
        return int(said[-1]) if len(said) > 1 else 0

    begin = machine.wait_until(seconds, "it has said everything, twice")
    before = counters(machine, "steady")
    machine.wait_until(lambda: seconds() >= begin + 3, "it worked three seconds more")
    after = counters(machine, "steady")
    machine.run("destroy steady")
    assert after["hypercalls"] > before["hypercalls"]
    changed = {k: after[k] - before[k] for k in KEYS if k.startswith(("faults_", "shadows_", "updates", "tables_"))}
    assert not any(changed.values()), changed
