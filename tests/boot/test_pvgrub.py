# SPDX-License-Identifier: MIT
"""Debian's PV-GRUB, unmodified: it reads its disk, shows its menu, and starts the Linux that its grub.cfg names."""
import re
import struct
import subprocess

import pytest

from audit import at_rest
from linux import COMPLAINTS, need_packages
from machine import debugfs, fsck


@pytest.fixture(scope="module", autouse=True)
def packages(golden_disk):
    need_packages(golden_disk, "pvgrub")


def partitioned(image):
    """A disk with a master boot record and one ext2 partition from 1 MiB on, which holds a grub.cfg and nothing else."""
    stage = image.parent / "stage"
    (stage / "boot" / "grub").mkdir(parents=True)
    (stage / "boot" / "grub" / "grub.cfg").write_text(
        'set timeout=-1\nmenuentry "from the partition" {\n  ls\n  echo "root is $root"\n  sleep 1\n  halt\n}\n')
    part = image.with_suffix(".part")
    subprocess.run(["mke2fs", "-q", "-F", "-t", "ext2", "-d", str(stage), str(part), "3M"], check=True)
    entry = struct.pack("<B3sB3sII", 0x80, b"\x20\x21\x00", 0x83, b"\xfe\xff\xff", 2048, 3 * 2048)
    image.write_bytes(bytes(446) + entry + bytes(48) + b"\x55\xaa" + bytes(1024 * 1024 - 512) + part.read_bytes())
    return image


def menu(machine, config, entry):
    """Starts a guest with its console and waits for GRUB's menu, which has the entry."""
    machine.send(f"create -c {config}\r")
    machine.expect(r"GNU GRUB +version 2\.06", 60)
    machine.expect_exact(entry, 30)


def from_partition(machine):
    """GRUB alone: menu, its own commands, and off."""
    menu(machine, "pvgrub disk=['/disks/part.img,raw,xvda,r']", "from the partition")
    machine.send("\r")
    machine.expect_exact("(xen/xvda,msdos1)")
    machine.expect_exact("root is xen/xvda,msdos1")
    machine.wait_prompt(30)
    machine.gone("pvgrub")


def to_linux(machine):
    """The disk changes hands: GRUB's front end closes it, Linux' opens it."""
    menu(machine, "pvgrub", "Linux, to a BusyBox shell")
    machine.send("\r")
    machine.expect_exact("/ # ", 180)
    machine.send("mount | grep /mnt; cd /mnt; md5sum boot/vmlinuz boot/initrd.gz | tee sums\r")
    machine.expect(r"/dev/xvda on /mnt type ext4 \(rw")
    machine.expect_exact("/mnt # ")
    machine.send("poweroff\r")
    machine.wait_prompt(60)
    machine.gone("pvgrub")


def audited(values):
    """What must be the same after a guest, but for what may have grown to a first largest need: pages of domain 0's heap (its bytes
    are counted), and blocks that the guest has written where its disk's file had holes."""
    grown = ["penumbra_dom0_free_pages", "penumbra_disk_free_blocks", "df"]
    return {key: value for key, value in values.items() if key not in grown}


def test_menu_and_linux(boot, disk, tmp_path):
    subprocess.run(["debugfs", "-w", "-R", f"write {partitioned(tmp_path / 'part.img')} /disks/part.img", str(disk)],
                   check=True, capture_output=True)
    # One processor: GRUB reads a page at a time, and emulated processors are slow to wake each other.
    m = boot(disk=disk, cpus=1)
    m.wait_prompt()
    from_partition(m)
    before = at_rest(m)
    to_linux(m)
    assert audited(at_rest(m)) == audited(before)
    log = m.run("console --log pvgrub")
    assert "Run /init as init process" in log and not re.search(COMPLAINTS, log), log
    assert m.poweroff() == 0
    inner = tmp_path / "inner.img"
    debugfs(disk, f"dump /disks/pvgrub.img {inner}")
    assert fsck(inner) == []
    sums = subprocess.run("for f in boot/vmlinuz boot/initrd.gz; do debugfs -R \"cat /$f\" inner.img | md5sum; done",
                          shell=True, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    seen = debugfs(inner, "cat /sums").decode()
    assert re.findall(r"[0-9a-f]{32}", seen) == re.findall(r"[0-9a-f]{32}", sums)
