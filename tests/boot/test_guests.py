# SPDX-License-Identifier: MIT
"""Every toy guest, with 1, 2 and 4 pCPUs; and the same ELF and disk through GRUB's ISO."""
import re

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
        m.send("create -c shell\r")
        shell_session(m)
        assert "hello: tick" in m.run("console --log hello")
        assert m.poweroff() == 0


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
    # The host finds what the guest wrote: the header sector counts the boots.
    data = debugfs(disk, "cat /disks/diskio.img")
    assert re.search(rb"boot|diskio", data[:512], re.I) or data[:512] != bytes(512)
    assert len(data) == 16 << 20


def test_q35(boot, disk):
    with boot(disk=disk, cpus=2, extra=["-machine", "q35"]) as m:
        m.wait_prompt()
        assert "hello.elf" in m.run("ls /boot")
        assert m.poweroff() == 0
