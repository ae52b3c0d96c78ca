# SPDX-License-Identifier: MIT
"""Domain 0 on an NVMe disk, and on nothing else; a second disk for import and export."""
import os
import subprocess

import pytest

from machine import debugfs, fsck


def nvme(image, *more):
    return ["-drive", f"file={image},format=raw,if=none,id=n0,cache=unsafe", "-device", ",".join(["nvme,drive=n0,serial=penumbra", *more])]


@pytest.mark.parametrize("more", [(), ("mdts=1",)], ids=["", "8K"])
def test_only_disk_is_nvme(boot, disk, more):
    """mdts=1: a command moves 8 KiB at most, so that requests become several."""
    with boot(extra=nvme(disk, *more)) as m:
        m.wait_prompt()
        assert "no MSI-X" not in m.child.before
        for turn in (1, 2):
            m.send("create -c diskio cmdline=mib=8\r")
            m.expect(r"diskio: boot (\d+), verified (\d+) MiB|ERROR[^\n]*", 180)
            assert m.child.match.group(1) == str(turn), m.child.match.group(0)
            m.wait_prompt()
            m.gone("diskio")
        assert m.run("disk-create n.qcow2 8M") == ""
        m.send("create -c flusher disk=['/disks/n.qcow2,,xvda,w'] cmdline=rounds=30\r")
        m.expect(r"flusher: 30 rounds|ERROR[^\n]*", 180)
        assert "rounds" in m.child.match.group(0)
        m.wait_prompt()
        m.gone("flusher")
        assert "0 errors" in m.run("disk-check n.qcow2")
        assert m.poweroff() == 0


def test_odd_nvme_disks(boot, golden_disk):
    with boot(extra=nvme(golden_disk, "logical_block_size=4096", "physical_block_size=4096") + ["-snapshot"]) as m:
        m.wait_prompt()
        assert "blocks are not of 512 bytes" in m.child.before
        assert "blocks are not of 512 bytes" in m.run("ls /")
        assert m.poweroff() == 0


@pytest.fixture
def host(tmp_path):
    """The host's drive: an ext2 file system with a file that has a hole."""
    stage, image = tmp_path / "stage", tmp_path / "host.img"
    (stage / "in").mkdir(parents=True)
    with open(stage / "in" / "data.img", "wb") as f:
        f.write(os.urandom(300000))
        f.seek(5 << 20)
        f.write(os.urandom(123457))
    subprocess.run(["mke2fs", "-q", "-t", "ext2", "-d", str(stage), str(image), "24M"], check=True)
    return stage / "in" / "data.img", image


def dumped(image, path, out):
    debugfs(image, f"dump {path} {out}")
    return out.read_bytes()


def test_import_and_export(boot, disk, tmp_path, host):
    source, image = host
    with boot(disk=disk, extra=nvme(image)) as m:
        m.wait_prompt()
        assert m.run("import /in/data.img", 120).endswith(f"{source.stat().st_size} bytes\n")
        assert "bytes" in m.run("import in/data.img two.img", 120)
        taken = int(m.run("ls -l /disks/two.img").split()[2])
        assert taken < 1 << 20  # the hole is one here, too
        assert "bytes" in m.run("export two.img", 120)
        assert "bytes" in m.run("export two.img /in/three.img", 120)
        assert "bytes" in m.run("export two.img /in/three.img", 120)  # over itself
        # Refusals, each with its reason; nothing is left of them.
        assert "no such file" in m.run("import /in/nosuch")
        assert "not a file" in m.run("import /in")
        assert "no such file" in m.run("export nosuch.img")
        m.run("create diskio disk=['/disks/diskio.img,raw,xvda,w'] cmdline=stay=1")
        assert "in use by domain diskio" in m.run("export diskio.img")
        assert "in use by domain diskio" in m.run("import /in/data.img diskio.img")
        m.run("destroy diskio")
        assert ".new" not in m.run("ls /disks")
        assert m.poweroff() == 0
    want = source.read_bytes()
    assert fsck(image) == []
    for path in ("/disks/data.img", "/disks/two.img"):
        assert dumped(disk, path, tmp_path / "got") == want
    for path in ("/two.img", "/in/three.img"):
        assert dumped(image, path, tmp_path / "got") == want


def test_import_and_export_of_a_whole_drive(boot, disk, tmp_path):
    image = tmp_path / "raw.img"
    before = os.urandom(2 << 20)
    image.write_bytes(before)
    with boot(disk=disk, extra=nvme(image)) as m:
        m.wait_prompt()
        assert "--raw takes the drive as it is" in m.run("import /x")
        assert f"{len(before)} bytes" in m.run("import --raw raw.img", 120)
        m.run("disk-create zero.img 1M")
        assert f"{1 << 20} bytes" in m.run("export --raw zero.img", 120)
        m.run("disk-create large.img 4M")
        assert "smaller than the file" in m.run("export --raw large.img")
        assert m.poweroff() == 0
    assert dumped(disk, "/disks/raw.img", tmp_path / "got") == before
    assert image.read_bytes() == bytes(1 << 20) + before[1 << 20:]


def test_no_drive_of_the_host(machine):
    assert "there is no drive of the host" in machine.run("import /x")
    assert "usage: export" in machine.run("export")
