# SPDX-License-Identifier: MIT
"""Debian's Linux, unmodified, started by domain 0: its shell, its disk, its vCPUs, its end; and hard work whose results are compared
with the same kernel on the bare machine."""
import hashlib
import re
import subprocess

import pytest

from linux import bare_stress, check_log, need_packages, put, results, stress_ramdisk
from machine import debugfs, fsck

SHELL = "/ # "


@pytest.fixture(scope="module", autouse=True)
def packages(golden_disk):
    need_packages(golden_disk, "linux")


def start(m, words="", timeout=180):
    """A Linux guest, up to its shell, with its console attached."""
    m.send(f"create -c linux {words}\r")
    m.expect_exact(SHELL, timeout)


def shell(m, line, timeout=60):
    """One line at the guest's shell; what it printed. Sums mark it: the echo, which the terminal may wrap, does not have them."""
    m.send(f"echo =$((3 * 7))=; {line}; echo =$((6 * 7))=\r")
    m.expect("=21=", timeout)
    m.expect("=42=", timeout)
    text = m.child.before.replace("\r", "")
    m.expect_exact(SHELL, timeout)
    return re.sub(r"^\[ *\d+\.\d+\] .*\n?", "", text, flags=re.M).strip()  # without what the kernel said meanwhile


def leave(m):
    m.send("\x1d")
    m.wait_prompt()


def enter(m, name="linux"):
    m.send(f"console {name}\r\r")
    m.expect_exact(SHELL)
    m.send("\r")
    m.expect_exact(SHELL)


def states(m, name="linux"):
    """vcpu-list's column: r, b or - runs, waits, neither; p is down."""
    return [line.split()[4][-1] for line in m.run(f"vcpu-list {name}").splitlines()[1:] if line]


def number(m):
    """The domain's number, None between two lives."""
    return m.domains().get("linux", [None, None])[1]


def write_and_verify(m):
    """Data goes to the disk by way of the page cache, with a flush; what comes back has not been kept in memory."""
    assert "write back" in shell(m, "cat /sys/block/xvda/queue/write_cache")
    assert re.search(r"/dev/xvda on /mnt type ext4 \(rw", shell(m, "mount"))
    wrote = shell(m, "cd /mnt; seq 300000 > numbers; dd if=/dev/urandom of=noise bs=1M count=6 conv=fsync 2>/dev/null; sync;"
                     " md5sum numbers noise; cd /", 120)
    shell(m, "echo 3 > /proc/sys/vm/drop_caches")
    assert shell(m, "cd /mnt; md5sum numbers noise; cd /", 120) == wrote
    shell(m, "mkdir /mnt/tree; for i in $(seq 50); do mkdir /mnt/tree/$i; cp /bin/busybox /mnt/tree/$i/b; rm /mnt/tree/$i/b; done", 120)
    return dict(reversed(line.split()) for line in wrote.splitlines())


def plug(m):
    """vcpu-set: down, up again, beyond the end."""
    leave(m)
    assert [s == "p" for s in states(m)] == [False, False, True]
    for count in [1, 3, 2]:
        told = m.run(f"vcpu-set linux {count}")
        assert told == "" or f"{count} are wanted" in told, told  # the command waits for some seconds, of a clock that is the host's
        m.wait_until(lambda count=count: [s == "p" for s in states(m)] == [n >= count for n in range(3)], f"{count} vCPUs are up", 60)
        assert m.run(f"vcpu-set linux {count}") == ""
    assert "linux has 3 vCPU(s), 4 are wanted: create it with maxvcpus=4" in m.run("vcpu-set linux 4")
    assert "a number of vCPUs from 1 to 3 is wanted" in m.run("vcpu-set linux 0")
    enter(m)
    m.wait_until(lambda: shell(m, "cat /sys/devices/system/cpu/online") == "0-1", "Linux has them", 60)


def test_life(boot, disk, tmp_path):
    """From start to shutdown, with all that a person does in between."""
    m = boot(disk=disk, cpus=2)
    m.wait_prompt()
    m.run("create hello")
    start(m, "vcpus=2 maxvcpus=3")
    assert shell(m, "nproc") == "2"
    sums = write_and_verify(m)
    plug(m)
    shell(m, "sync")
    leave(m)
    check_log(m, "linux")
    first = number(m)
    assert "Rebooting domain" in m.run("reboot -w linux", 120)
    m.wait_until(lambda: number(m) not in (first, None), "its next life", 60)
    enter_after_boot(m)
    assert shell(m, "cd /mnt; md5sum numbers noise; cd /", 120) == "\n".join(f"{v}  {k}" for k, v in sums.items())
    leave(m)
    assert "Shutting down domain" in m.run("shutdown -w linux", 120)
    m.gone("linux")
    check_log(m, "linux")
    m.wait_until(lambda: "hello: tick" in m.run("console --log hello"), "hello's first tick")
    assert m.poweroff() == 0
    inner = tmp_path / "inner.img"
    debugfs(disk, f"dump /disks/linux.img {inner}")
    assert fsck(inner) == []
    assert hashlib.md5(debugfs(inner, "cat /numbers")).hexdigest() == sums["numbers"]
    assert hashlib.md5(debugfs(inner, "cat /noise")).hexdigest() == sums["noise"]


def enter_after_boot(m):
    m.send("console linux\r")
    m.expect_exact("'poweroff' ends it", 180)
    m.send("\r")
    m.expect_exact(SHELL)
    m.send("\r")
    m.expect_exact(SHELL)


def stress(m, ramdisk_name, words):
    m.send(f"create -c linux ramdisk=/boot/{ramdisk_name} cmdline='console=hvc0 rdinit=/test/init' {words}\r")
    m.expect(r"stress: end, \d+ CPUs", 400)
    m.wait_prompt()
    m.gone("linux")
    log = check_log(m, "linux")
    assert "clocksource xen, read without system calls" in log
    return results(log)


def test_stress(boot, disk, tmp_path):
    ramdisk = stress_ramdisk(tmp_path)
    put(disk, ramdisk, "/boot/stress.gz")
    m = boot(disk=disk, cpus=2)
    m.wait_prompt()
    seen = stress(m, "stress.gz", "vcpus=2")
    assert m.poweroff() == 0
    assert len(seen) == 9 and not [line for line in seen if "FAILED" in line], seen
    assert seen == bare_stress(ramdisk, 2)
