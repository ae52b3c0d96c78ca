# SPDX-License-Identifier: MIT
"""A Linux guest's ext4 on an image of each format, under random work against copies in memory; and what is found there from outside."""
import re
import subprocess
import zlib

import pytest

from linux import HERE, build, check_log, need_packages, put, ramdisk_with
from machine import debugfs, fsck
from test_images import as_raw, take
from test_linux import leave, shell, start

pytestmark = pytest.mark.linux

# Made from /disks/linux.img, an empty ext4.
DISKS = {"raw": ("fsx.img", "disk-convert linux.img fsx.img"),
         "qcow2": ("fsx.qcow2", "disk-convert linux.img fsx.qcow2"),
         "child": ("fsx.qcow2", "disk-create fsx.qcow2 --base linux.img"),
         "vmdk": ("fsx.vmdk", "disk-convert linux.img fsx.vmdk")}
STEPS = 600


@pytest.fixture(scope="module", autouse=True)
def packages(golden_disk):
    need_packages(golden_disk, "linux")


def flat(disk, name, folder):
    """The guest's disk as a raw file; a child's base lies beside it."""
    if name.endswith(".qcow2"):
        take(disk, "linux.img", folder)
    path = take(disk, name, folder)
    if not name.endswith(".img"):
        as_raw(path)
        path = path.with_suffix(".flat")
    return path


@pytest.mark.parametrize("kind,seed", [("raw", 1), ("qcow2", 2), ("child", 3), ("vmdk", 4)])
def test_fsx(boot, disk, tmp_path, kind, seed):
    name, command = DISKS[kind]
    build(HERE / "linux_guest" / "fsx", tmp_path / "stage" / "test" / "fsx")
    put(disk, ramdisk_with(tmp_path / "stage", tmp_path / "fsx.gz"), "/boot/fsx.gz")
    m = boot(disk=disk, cpus=2)
    m.wait_prompt()
    assert m.run(command, 120) == ""
    start(m, f"vcpus=2 ramdisk='/boot/fsx.gz' disk=['/disks/{name},,xvda,w']")
    shell(m, "umount /mnt")
    said = shell(m, f"/test/fsx /dev/xvda /mnt {seed} {STEPS}", 900)
    assert said.endswith(f"fsx: {STEPS} steps"), said
    leave(m)
    check_log(m, "linux")
    info = m.run(f"disk-info {name}")
    assert int(re.search(r"(\d+) discarded", info).group(1)) > 0 and ", 0 failed" in info, info
    assert "Shutting down domain" in m.run("shutdown -w linux", 120)
    m.gone("linux")
    assert "0 errors, 0 leaks" in m.run(f"disk-check {name}", 120)
    assert m.poweroff() == 0
    inner = flat(disk, name, tmp_path)
    assert fsck(inner) == []
    files = re.findall(r"fsx: (file\d) (\d+) ([0-9a-f]{8})", said)
    assert len(files) > 2
    for file, size, crc in files:
        data = debugfs(inner, f"cat /{file}")
        assert (len(data), f"{zlib.crc32(data):08x}") == (int(size), crc)
    subprocess.run(["rm", str(inner)], check=True)
