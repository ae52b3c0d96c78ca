# SPDX-License-Identifier: MIT
"""
The runtime, the guests and the control kernel obey Xen: they are started, the same ELF files, by Debian's stock Xen 4.17, which
refuses every page table entry and every call that its rules do not allow.
"""
import re

import pytest

# What Xen says when a guest has broken its rules; it goes on otherwise.
COMPLAINT = re.compile(r"\(XEN\).*(Bad |Domain 0 crashed|d0v\d.*[Ff]ault|unhandled|Error while|Attempt to)")


@pytest.fixture(autouse=True)
def no_complaints(request):
    """Nothing that Xen has to say about domain 0 on the way."""
    yield
    from machine import BUILD
    name = re.sub(r"[^\w.-]+", "_", request.node.name)
    log = BUILD / "logs" / f"test_xen.{name}.log"
    if log.exists():
        text = log.read_text(encoding="utf-8", errors="replace")
        assert [line for line in text.splitlines() if COMPLAINT.search(line)] == []


def wait_halt(m):
    """A domain 0 that ends makes Xen stop the processors, not the machine: only ACPI's S5 does that."""
    m.expect_exact("Hardware Dom0 halted: halting machine")


@pytest.mark.parametrize("cpus", [1, 2])
def test_hello(xen, cpus):
    with xen("guests/hello.elf", cpus=cpus) as m:
        m.expect(r"hello: on hypervisor 4\.17")
        m.expect_exact("hello: tick 1")
        m.expect_exact("hello: tick 2")
        m.send("does it hear\r")
        m.expect_exact("hello: you said: does it hear")
        m.send("quit\r")
        wait_halt(m)


@pytest.mark.parametrize("vcpus", [1, 2, 4])
def test_smp(xen, vcpus):
    with xen("guests/smp.elf", vcpus=vcpus, cpus=2) as m:
        m.expect(rf"smp: {vcpus} vCPUs up, \d+ IPIs ok")
        wait_halt(m)


@pytest.mark.parametrize("vcpus", [1, 2, 4])
def test_rtcheck(xen, vcpus):
    with xen("guests/rtcheck.elf", vcpus=vcpus) as m:
        assert m.expect([r"rtcheck: \d+ checks ok", "rtcheck: FAILED[^\r\n]*"]) == 0
        wait_halt(m)


def test_shell(xen):
    with xen("guests/shell.elf") as m:
        for line, answer in [("hello", "hello"), ("primes", "2"), ("crash", "segmentation fault")]:
            m.expect_exact("shell$ ")
            m.send(line + "\r")
            m.expect(answer)
        m.expect_exact("shell$ ")
        m.send("exit\r")
        wait_halt(m)


@pytest.mark.parametrize("cpus", [1, 2])
def test_dom0(xen, disk, cpus):
    """The control kernel is Xen's domain 0: domains, the store, consoles and disks by Xen's own control interface."""
    with xen("dom0.elf", cpus=cpus, disk=disk) as m:
        m.wait_prompt(90)
        assert re.search(r"^Domain-0 +0 +128 +1 ", m.run("list"), re.M)
        assert m.info("nr_cpus") == cpus
        m.run("create hello")
        m.send("console hello\r")
        m.expect_exact("hello: tick")
        m.send("on both\r")
        m.expect_exact("hello: you said: on both")
        m.send("\x1d")
        m.wait_prompt()
        m.send("create -c diskio\r")
        m.expect(r"diskio: boot 1, verified 16 MiB", 120)
        m.wait_prompt()
        m.send("create -c smp vcpus=2\r")
        m.expect(r"smp: 2 vCPUs up, \d+ IPIs ok")
        m.wait_prompt()
        m.send("create -c rtcheck\r")  # not as domain 0: another's rights
        m.expect(r"rtcheck: \d+ checks ok")
        m.wait_prompt()
        assert set(m.domains()) == {"Domain-0", "hello"}
        for command in ["counters", "counters hello", "pt hello 0", "pt-mode hello", "pt-mode hello drop"]:
            assert "this hypervisor has no shadow page tables" in m.run(command), command
        assert "pagetable_writes: this hypervisor has no such modes" in m.run("create hello name=b pagetable_writes=drop")
        assert m.poweroff() == 0


@pytest.mark.parametrize("vcpus", [1, 2])
def test_ptlab(xen, vcpus):
    """Xen lets L1 tables be stored to, and is as exact in everything that the laboratory looks at."""
    with xen(f"guests/ptlab.elf rounds={4 // vcpus ** 2} steps=200", vcpus=vcpus, cpus=vcpus) as m:
        for way in ["hypercall", "store", "xchg", "cmpxchg", "lockand", "bts"]:
            assert m.expect([rf"ptlab: way {way}: \d+ changes, \d+ checks, ok", "panic[^\r\n]*"]) == 0
        assert m.expect([r"ptlab: worst: \d+ instructions, ok", "panic[^\r\n]*"]) == 0
        m.expect_exact("ptlab: done")
        wait_halt(m)


def test_balloon(xen, disk):
    """Xen takes pages back only from a guest that has unmapped them, and has its own table of who they are."""
    with xen("dom0.elf", cpus=2, disk=disk) as m:
        m.wait_prompt(90)
        m.run("create balloon vcpus=2")
        for mib in [8, 64, 16, 48]:
            m.run(f"mem-set balloon {mib}")
            m.wait_until(lambda: m.domains()["balloon"][2] == str(mib), f"{mib} MiB")
            m.send("console balloon\rfill 0x77\r")
            m.expect(r"balloon: \d+ pages filled")
            m.send("\x1d")
            m.wait_prompt()
        assert "panic" not in m.run("console --log balloon")
        assert m.poweroff() == 0


def test_dom0_gives_everything_back(xen, disk):
    """Xen itself counts free pages: no frame of a dead domain stays behind."""
    with xen("dom0.elf", cpus=2, disk=disk) as m:
        m.wait_prompt(90)
        counts = []
        for _ in range(3):
            m.send("create -c diskio\r")
            m.expect(r"diskio: boot \d+, verified 16 MiB", 120)
            m.wait_prompt()
            m.run("list")
            counts.append(m.info("free_pages"))
        assert counts[1] == counts[2], counts
        assert m.poweroff() == 0
