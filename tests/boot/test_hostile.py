# SPDX-License-Identifier: MIT
"""Guests that break the rules die or starve alone, with a report that names the cause; the others go on."""
import pytest

from audit import free_pages

MACHINE_CPUS = [1, 2, 4]


def start(machine, test, vcpus):
    machine.run(f'create hostile name=bad cmdline="test={test}" vcpus={vcpus} on_crash="destroy" on_poweroff="destroy"')


def ends(machine, timeout):
    """What it said, and what the hypervisor said."""
    try:
        machine.gone("bad", timeout)
    except AssertionError:
        log = machine.run("console --log bad")
        machine.run("destroy bad")
        pytest.fail(f"the hostile guest does not end: {log[-1000:]}")
    return machine.run("console --log bad"), machine.run("dmesg")


def ask(machine, test, timeout=60, vcpus=1):
    start(machine, test, vcpus)
    return ends(machine, timeout)


@pytest.fixture(autouse=True, scope="module")
def witness(machine):
    """A guest beside, which must not notice anything."""
    machine.run("create hello name=witness")
    machine.wait_until(lambda: "hello: tick 2" in machine.run("console --log witness"), "the witness needs nothing new")
    ask(machine, "debug")  # what grows to its largest need grows now: domain 0's own table of maps
    free = free_pages(machine)
    yield
    machine.wait_until(lambda: free_pages(machine) == free, f"{free} pages are free again")
    machine.send("console witness\r")
    machine.expect_exact("hello: tick")
    machine.send("are you well\r")
    machine.expect_exact("you said: are you well")
    machine.send("\x1d")
    machine.wait_prompt()


@pytest.mark.parametrize("name", ["stack-switch", "privileged", "debug", "foreign-frames", "hv-slots",
                                  "writable-tables", "recursive", "superpages", "control",
                                  "flood", "forge", "fill-store"])
def test_survives(machine, name):
    log, _ = ask(machine, name)
    assert f"hostile: {name} survived" in log, log[-2000:]


@pytest.mark.parametrize("name, cause", [
    ("bad-stack", "stack"),
    ("no-handlers", "no handler"),
    ("triple-fault", "stack"),
    ("iret-rip", ""),
    ("iret-cs", "stack"),
    ("iret-user", "user page table"),
    ("iret-frame", "iret frame"),
    ("bad-root", ""),
])
def test_dies_alone(machine, name, cause):
    log, dmesg = ask(machine, name)
    assert f"hostile: {name}:" in log
    assert "survived" not in log
    assert "crashed" in dmesg and cause in dmesg


@pytest.mark.parametrize("name", ["iret-user", "iret-frame"])
def test_registers_of_a_death_in_a_hypercall(machine, name):
    """Hypercalls leave some in the processor: the report has them, from the guest."""
    _, dmesg = ask(machine, name)
    report = dmesg[dmesg.rindex("crashed"):]
    for register, value in [("rbx", 0xb0b0b0), ("rbp", 0xbbbb), ("r12", 0x1212), ("r13", 0x1313), ("r14", 0x1414),
                            ("r15", 0x1515)]:
        assert f"{register} {value:016x}" in report


@pytest.mark.parametrize("entry", range(5))
def test_forged_entry_is_of_no_use(machine, entry):
    """An entry that no hypercall would take, stored directly: it dies of it, or has a fault; it reaches nothing."""
    log, dmesg = ask(machine, f"forged entry={entry}")
    assert f"hostile: storing entry {entry}" in log
    if entry >= 3:  # its own frame 0 with every ignored bit, its own shared_info
        assert "hostile: 0 faults" in log and "survived" in log
    elif "survived" in log:
        assert "hostile: 1 faults" in log
    else:
        assert "crashed: a page-table entry names a frame" in dmesg


def test_starves_alone(machine):
    machine.run('create hostile name=bad cmdline="test=spin"')
    assert "bad" in machine.domains()

    def ticks():
        return machine.run("console --log witness").count("hello: tick")

    before = ticks()
    machine.wait_until(lambda: ticks() > before, "the witness goes on")
    assert "bad" in machine.domains()
    machine.run("destroy bad")
    assert "bad" not in machine.domains()


def test_forged_prompt_is_visible(machine):
    log, _ = ask(machine, "forge")
    assert "\ndom0> " not in log and "\x1b]" not in log
