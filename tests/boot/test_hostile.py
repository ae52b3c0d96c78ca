# SPDX-License-Identifier: MIT
"""Guests that break the rules die or starve alone, with a report that names the cause; the others go on."""
import pytest

CPUS = 2


def ask(machine, name, timeout=60):
    machine.run(f'create hostile name=bad cmdline="test={name}" on_crash="destroy" on_poweroff="destroy"')
    for _ in range(100):
        if "bad" not in machine.domains():
            break
    else:
        pytest.fail(f"hostile {name} does not end")
    return machine.run("console --log bad"), machine.run("dmesg")


@pytest.fixture(autouse=True, scope="module")
def witness(machine):
    """A guest beside, which must not notice anything."""
    machine.run("create hello name=witness")
    free = machine.info("free_pages")
    yield
    assert machine.info("free_pages") == free
    machine.send("console witness\r")
    machine.expect_exact("hello: tick")
    machine.send("are you well\r")
    machine.expect_exact("you said: are you well")
    machine.send("\x1d")
    machine.wait_prompt()


@pytest.mark.parametrize("name", ["stack-switch", "privileged", "debug", "foreign-frames", "hv-slots",
                                  "forged", "writable-tables", "recursive", "superpages", "fuzz", "control",
                                  "flood", "forge", "fill-store"])
def test_survives(machine, name):
    log, _ = ask(machine, name)
    assert f"hostile: {name} survived" in log, log[-2000:]


@pytest.mark.parametrize("name, cause", [
    ("bad-stack", "stack"),
    ("no-handlers", "no handler"),
    ("triple-fault", "stack"),
    ("iret-rip", "IRET"),
    ("iret-cs", "IRET"),
    ("iret-user", "user page table"),
    ("iret-frame", "iret frame"),
    ("bad-root", ""),
])
def test_dies_alone(machine, name, cause):
    log, dmesg = ask(machine, name)
    assert f"hostile: {name}:" in log
    assert "survived" not in log
    assert "crashed" in dmesg and cause in dmesg


def test_starves_alone(machine):
    machine.run('create hostile name=bad cmdline="test=spin"')
    assert "bad" in machine.domains()
    assert "hello: tick" in machine.run("console --log witness")
    machine.run("destroy bad")
    assert "bad" not in machine.domains()


def test_forged_prompt_is_visible(machine):
    log, _ = ask(machine, "forge")
    assert "\ndom0> " not in log and "\x1b]" not in log
