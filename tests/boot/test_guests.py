# SPDX-License-Identifier: MIT
"""Every toy guest, with 1, 2 and 4 pCPUs; and the same ELF and disk through GRUB's ISO."""
import re
import struct

import pytest

from machine import debugfs

CPUS = pytest.mark.parametrize("cpus", [1, 2, 4])


@CPUS
def test_all_guests(boot, disk, cpus):
    with boot(disk=disk, cpus=cpus) as m:
        m.wait_prompt()
        assert m.info("nr_cpus") == cpus
        m.run("create hello")
        m.send("create -c smp vcpus=4\r")
        m.expect(r"smp: 4 vCPUs up, \d+ IPIs ok")
        m.wait_prompt()
        m.send("create -c diskio\r")
        m.expect(r"diskio: boot 1, verified \d+ MiB", 120)
        m.wait_prompt()
        m.send("create -c hog cmdline=seconds=2\r")
        m.expect(r"hog: \d+ Miter")
        m.wait_prompt()
        m.send("create -c rtcheck vcpus=3\r")
        m.expect(r"rtcheck: \d+ checks ok")
        m.wait_prompt()
        m.send("create -c shell\r")
        shell_session(m)
        m.wait_until(lambda: "hello: tick" in m.run("console --log hello"), "hello's first tick")
        assert m.poweroff() == 0


def test_notified_while_it_unmasks(boot, disk):
    """vCPU 1 has a pCPU for itself and never enters the hypervisor: nothing but the interrupt brings it its upcall."""
    with boot(disk=disk, cpus=2) as m:
        m.wait_prompt()
        m.run("vcpu-pin 0 all 0")
        m.run("create -p smp vcpus=2 cmdline=unmask=20000")
        m.run("vcpu-pin smp 0 0")
        m.run("vcpu-pin smp 1 1")
        m.run("unpause smp")
        m.gone("smp", 600)
        assert "smp: 20000 notifications, none lost" in m.run("console --log smp")
        assert m.poweroff() == 0


def test_fast_paths_change_nothing(boot, disk):
    """What guests print is the same with the assembly of arch/x86/fastpath.S and with its reference in C."""
    said = {}
    for fast, cpu in [("on", "Haswell"), ("on", "Haswell,+smap,+smep"), ("off", "Haswell")]:
        with boot(disk=disk, cpus=2, cpu=cpu, append=f"fastpath={fast}") as m:
            m.wait_prompt()
            for name in ("rtcheck", "smp", "shell"):
                m.send(f"create -c {name}\r")
                if name == "shell":
                    shell_session(m)
                else:
                    m.expect(rf"{name}: .* ok")
                    m.wait_prompt()
            text = m.run("console --log rtcheck") + m.run("console --log shell")
            said[fast, cpu] = re.sub(r"domain \d+|\d+ (us|ms|ns|KiB|s)\b", "N", text)
            assert m.poweroff() == 0
    assert len(set(said.values())) == 1 and "checks ok" in said["off", "Haswell"]


def shell_session(m):
    m.expect_exact("shell$ ")
    for line, answer in [("hello", "hello"), ("primes", "2"), ("memtest", "memtest"),
                         ("crash", "segmentation fault"), ("ps", "ps")]:
        m.send(line + "\r")
        m.expect(answer)
        m.expect_exact("shell$ ")
    m.send("exit\r")
    m.wait_prompt()


@pytest.mark.parametrize("cpu", ["Haswell", "qemu64"])
def test_iso(boot, disk, cpu):
    with boot(disk=disk, iso=True, cpu=cpu, cpus=2) as m:
        m.wait_prompt(120)
        m.send("create -c hello\r")
        m.expect_exact("hello: tick")
        m.send("quit\r")
        m.wait_prompt()
        assert m.poweroff() == 0


def test_disk_survives_power_off(boot, disk):
    for n in (1, 3):
        with boot(disk=disk, cpus=2) as m:
            m.wait_prompt()
            for k in (n, n + 1):
                m.send("create -c diskio\r")
                m.expect(rf"diskio: boot {k}, verified \d+ MiB", 120)
                m.wait_prompt()
            assert m.poweroff() == 0
    # The host finds the same bytes in the file: header, and the pattern of boot 4 in every sector behind.
    data = debugfs(disk, "cat /disks/diskio.img")
    magic, boots, seed, sectors, _ = struct.unpack_from("<8s4Q", data)
    assert (magic, boots, sectors * 512) == (b"diskio 1", 4, len(data))
    for sector in [8, 9, 511, 512, 2048, sectors // 2, sectors - 1]:
        assert data[sector * 512:(sector + 1) * 512] == pattern(seed, sector), sector


MASK = (1 << 64) - 1


def pattern(seed, sector):
    """guests/diskio/pattern.h, once more."""
    state = (seed ^ (sector + 1) * 0xd1342543de82ef95) & MASK or 1
    words = []
    for _ in range(64):
        state ^= state >> 12
        state = (state ^ state << 25) & MASK
        state ^= state >> 27
        words.append(state * 0x2545f4914f6cdd1d & MASK)
    return struct.pack("<64Q", *words)


def test_q35(boot, disk):
    with boot(disk=disk, cpus=2, extra=["-machine", "q35"]) as m:
        m.wait_prompt()
        assert "hello.elf" in m.run("ls /boot")
        assert m.poweroff() == 0
