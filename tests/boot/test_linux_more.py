# SPDX-License-Identifier: MIT
"""More of Linux, for `make test-linux`: every number of vCPUs, every packing of the kernel, the clock, stolen time, guests that
are killed at work."""
import pathlib
import random
import re
import struct
import subprocess
import sys
import time

import pytest

from audit import at_rest
from linux import bare_stress, check_log, need_packages, put, put_text, stress_ramdisk
from machine import BUILD, debugfs
from test_linux import SHELL, enter, enter_after_boot, leave, number, shell, start, stress
from test_pvgrub import audited

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "trace"))
import tracefile  # noqa: E402

pytestmark = pytest.mark.linux


@pytest.fixture(scope="module", autouse=True)
def packages(golden_disk):
    need_packages(golden_disk, "linux")


@pytest.mark.parametrize("cpus,vcpus", [(1, 1), (1, 2), (2, 4), (4, 1), (4, 2), (4, 4)])
def test_stress(boot, disk, tmp_path, cpus, vcpus):
    ramdisk = stress_ramdisk(tmp_path)
    put(disk, ramdisk, "/boot/stress.gz")
    m = boot(disk=disk, cpus=cpus)
    m.wait_prompt()
    seen = stress(m, "stress.gz", f"vcpus={vcpus}")
    assert m.poweroff() == 0
    assert not [line for line in seen if "FAILED" in line], seen
    assert seen == bare_stress(ramdisk, vcpus)


def repack(target, command):
    """Debian's bzImage with its kernel packed in another way, as the kernel's Makefile would."""
    image = bytearray((BUILD / "debian" / "vmlinuz").read_bytes())
    elf = (BUILD / "linux" / "boot" / "vmlinux").read_bytes()
    packed = subprocess.run(command.split(), input=elf, capture_output=True, check=True).stdout
    if not command.startswith("gzip"):
        packed += struct.pack("<I", len(elf))
    offset = struct.unpack_from("<I", image, 0x248)[0]
    struct.pack_into("<I", image, 0x24c, len(packed))
    target.write_bytes(bytes(image[:(image[0x1f1] + 1) * 512 + offset]) + packed + bytes(512))
    return target


@pytest.mark.parametrize("command", ["gzip -9 -n", "xz --check=crc32 --x86 --lzma2=dict=32MiB", "xz -1 --check=crc64", "zstd -19",
                                     "zstd -22 --ultra -T2"])
def test_bzimage(boot, disk, tmp_path, command):
    put(disk, repack(tmp_path / "kernel", command), "/boot/kernel")
    m = boot(disk=disk, cpus=2)
    m.wait_prompt()
    before = m.info("penumbra_dom0_heap")
    report = m.run("check /boot/kernel", 180)
    assert f"payload              {command.split()[0]}, " in report and "verdict: can be started here" in report
    assert m.info("penumbra_dom0_heap") == before
    start(m, "kernel=/boot/kernel", 400)
    leave(m)
    check_log(m, "linux")
    assert m.poweroff() == 0


def test_bzimage_refused(boot, disk, tmp_path):
    """A packing that is not known, a damaged one, and a file that ends too early: nothing is left of the domain."""
    kernel = bytearray((BUILD / "debian" / "vmlinuz").read_bytes())
    start_of = (kernel[0x1f1] + 1) * 512 + struct.unpack_from("<I", kernel, 0x248)[0]
    for name, at, patch, size in [("lz4", start_of, b"\x02\x21\x4c\x18", None), ("bad", start_of + 3000000, b"wrong", None),
                                  ("short", 0, b"", 4000000)]:
        copy = kernel[:size]
        copy[at:at + len(patch)] = patch
        (tmp_path / name).write_bytes(copy)
        put(disk, tmp_path / name, f"/boot/{name}")
    m = boot(disk=disk, cpus=1)
    m.wait_prompt()
    m.run("create linux kernel=/boot/bad", 180)
    before = at_rest(m)
    assert "compressed with lz4, which cannot be unpacked here (gzip, xz and zstd can)" in m.run("create linux kernel=/boot/lz4")
    assert "compressed with xz and cannot be unpacked: " in m.run("create linux kernel=/boot/bad", 180)
    assert "is a bzImage that is truncated" in m.run("create linux kernel=/boot/short")
    assert "verdict: cannot be started here: kernel /boot/lz4 is compressed with lz4" in m.run("check /boot/lz4")
    assert list(m.domains()) == ["Domain-0"]
    assert audited(at_rest(m)) == audited(before)
    assert m.poweroff() == 0


def test_clock(boot, disk):
    """The guest's clocks run as the machine's does: what passes between two looks lies between what passed outside of them."""
    m = boot(disk=disk, cpus=2)
    m.wait_prompt()
    start(m, "vcpus=2")
    looks = []
    for _ in range(3):
        before = time.monotonic()
        up, wall = shell(m, "cat /proc/uptime; date +%s").splitlines()
        looks.append((before, float(up.split()[0]), int(wall), time.monotonic()))
        time.sleep(20)
    # Domain 0's clock is the battery's, which QEMU sets to the host's time in whole seconds.
    up, wall = shell(m, "cat /proc/uptime; date +%s").splitlines()
    assert -2 <= int(wall) - time.time() <= 1, (wall, time.time())
    for a, b in zip(looks, looks[1:]):
        least, most = b[0] - a[3], b[3] - a[0]
        assert least * 0.999 - 0.02 <= b[1] - a[1] <= most * 1.001 + 0.02, looks
        assert least - 1 <= b[2] - a[2] <= most + 1, looks
    assert shell(m, "cat /sys/devices/system/clocksource/clocksource0/current_clocksource") == "xen"
    leave(m)
    check_log(m, "linux")
    first = number(m)
    enter(m)
    m.send("reboot\r")  # by itself: a new domain, whose clock begins anew
    m.wait_prompt(120)
    m.wait_until(lambda: number(m) not in (first, None), "its next life", 60)
    enter_after_boot(m)
    assert float(shell(m, "cat /proc/uptime").split()[0]) < time.monotonic() - looks[-1][3]
    leave(m)
    assert m.poweroff() == 0


BUSY = r"""
n=0
while :; do
    dd if=/dev/urandom of=/tmp/blob bs=1M count=6 2> /dev/null
    md5sum /tmp/blob > /tmp/sum
    cat /tmp/blob /bin/busybox > /tmp/more
    md5sum -c /tmp/sum > /dev/null && n=$((n + 1)) && echo $n > /tmp/next || echo "=lost="
    mv /tmp/next /tmp/rounds  # at once: a reader finds the one or the other
done
"""


def test_memory(boot, disk):
    """mem-set while it works: what Linux counts and what `list` shows change by the same, and nothing that it holds is lost."""
    m = boot(disk=disk, cpus=2)
    m.wait_prompt()
    start(m, "vcpus=2 maxmem=384")
    put_text(m, "/busy", BUSY, SHELL)
    first = int(shell(m, "echo 0 > /tmp/rounds; sh /busy & grep MemTotal /proc/meminfo | tr -dc 0-9"))
    for mib in [160, 384, 144, 256]:
        leave(m)
        m.run(f"mem-set linux {mib}", 180)
        m.wait_until(lambda: m.domains()["linux"][2] == str(mib), f"it has {mib} MiB", 120)
        enter(m)
        seen = shell(m, "cat /sys/devices/system/xen_memory/xen_memory0/info/current_kb; grep MemTotal /proc/meminfo | tr -dc 0-9")
        assert [int(word) for word in seen.split()] == [mib * 1024, first + (mib - 256) * 1024]
        before = int(shell(m, "cat /tmp/rounds"))
        m.wait_until(lambda: int(shell(m, "usleep 300000; cat /tmp/rounds")) > before + 1, "it works on", 60)
    leave(m)
    assert "=lost=" not in check_log(m, "linux").split("END-OF-FILE")[-1]
    assert "Shutting down domain" in m.run("shutdown -w linux", 120)
    assert m.poweroff() == 0


def test_killed_at_work(boot, disk, tmp_path):
    """Linux beside the toy guests, ended at moments that nobody chose: nothing is left, and the others notice nothing."""
    rng = random.Random(7)
    put(disk, stress_ramdisk(tmp_path), "/boot/stress.gz")
    m = boot(disk=disk, cpus=2)
    m.wait_prompt()
    m.run("create hello")
    before = None
    for n in range(8):
        m.run(f"create linux name=a vcpus={rng.randint(1, 4) if n else 4}")
        m.run("create linux name=b vcpus=2 disk=[] ramdisk=/boot/stress.gz cmdline='console=hvc0 rdinit=/test/init'")
        m.run(f"create {rng.choice(['shell', 'smp vcpus=4', 'hog'])} name=toy")
        time.sleep(rng.random() * (4 + 5 * n) if n else 20)
        m.run("destroy " + " ".join(rng.sample(["a", "b"], 2)))
        if "toy" in m.domains():
            m.run("destroy toy")
        m.gone("toy")
        # The first round is the largest: what grows once has grown then.
        before = before or at_rest(m)
    now = at_rest(m)
    assert audited(now) == audited(before)
    assert "hello: tick" in m.run("console --log hello")
    start(m)
    leave(m)
    check_log(m, "linux")
    assert not re.search("panic", m.run("dmesg"))
    assert m.poweroff() == 0


def test_beside_each_other(boot, disk):
    """Three of them at once, each at its shell, with a read-only disk in common."""
    m = boot(disk=disk, cpus=2, mem="2G")
    m.wait_prompt()
    for n in range(3):
        start(m, f"name=l{n} vcpus=2 disk=['/disks/linux.img,raw,xvda,r']", 400)
        leave(m)
    for n in range(3):
        m.send(f"console l{n}\r\r")
        m.expect_exact(SHELL)
        shell(m, "true")
        assert "ro" in shell(m, "grep xvda /proc/mounts")
        leave(m)
        check_log(m, f"l{n}")
    assert m.poweroff(120) == 0


def between_sleeps(stays):
    """Of a vCPU's stays those between its two long sleeps that are farthest apart."""
    sleeps = [s for s in stays if s.state == tracefile.BLOCKED and s.end - s.start > 5e7]  # it looks at its console ten times a second
    begin, end = max(((a.end, b.start) for a, b in zip(sleeps, sleeps[1:])), key=lambda span: span[1] - span[0])
    return [s for s in stays if begin <= s.start < end]


def test_steal(boot, disk):
    """Beside hogs, what Linux shows as stolen (`st` in its top) is what it waited for a processor by the scheduler's trace."""
    m = boot(disk=disk, cpus=1)
    m.wait_prompt()
    start(m, "vcpus=1 cpu_weight=512")
    leave(m)
    m.run("create hog name=h0")
    m.run("create hog name=h1")
    m.run("trace start 4M")
    enter(m)
    # /proc/stat has hundredths of a second in the order user, nice, system, idle, iowait, irq, softirq, steal.
    text = shell(m, "read -t 2 x; read a < /proc/stat; (while :; do :; done) & p=$!; read -t 8 x; read b < /proc/stat; kill $p; read -t 2 x;"
                    " echo $a; echo $b", 200)
    leave(m)
    m.run("trace stop")
    m.run("destroy h0 h1")
    assert "bytes" in m.run("trace save t")
    check_log(m, "linux")
    assert m.poweroff() == 0
    before, after = [int(line.split()[8]) for line in re.findall(r"^cpu .*", text, re.M)]
    trace = tracefile.read(debugfs(disk, "cat t"))
    assert not trace.lost
    vcpu, = [v for v in trace.stays if trace.names.get(v.domain) == "linux"]
    waited = sum(s.end - s.start for s in between_sleeps(trace.stays[vcpu]) if s.state == tracefile.RUNNABLE) / 1e9
    assert waited > 2
    assert (after - before) / 100 == pytest.approx(waited, rel=0.04)
