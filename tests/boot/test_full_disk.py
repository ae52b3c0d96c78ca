# SPDX-License-Identifier: MIT
"""Domain 0's disk where it is tight: full under guests that write, in fragments of one block, below images of a tebibyte, with ten
thousand files in a folder."""
import re
import subprocess

from machine import debugfs, fsck
from test_images import FORMATS, check_each_format, diskio, fmt, take, write_each_format

BLOCK = 4096


def free_blocks(disk):
    text = subprocess.run(["dumpe2fs", "-h", str(disk)], capture_output=True, text=True, check=True).stdout
    return int(re.search(r"Free blocks: +(\d+)", text).group(1))


def script(disk, lines, tmp_path):
    """debugfs does all of that."""
    path = tmp_path / "commands"
    path.write_text("\n".join(lines) + "\n")
    subprocess.run(["debugfs", "-w", "-f", str(path), str(disk)], check=True, capture_output=True)


def ballast(disk, name, blocks, tmp_path):
    path = tmp_path / "ballast"
    with open(path, "wb") as f:
        for _ in range(blocks // 256):
            f.write(b"\xa5" * (256 * BLOCK))
        f.write(b"\xa5" * (blocks % 256 * BLOCK))
    script(disk, [f"write {path} /disks/{name}"], tmp_path)
    path.unlink()


def verified(m, name, boot):
    found = m.wait_until(lambda: re.search(r"diskio: boot (\d+), verified|ERROR.*", m.run(f"console --log {name}")), "verified", 180)
    assert found.group(1) == str(boot), found.group(0)


def test_full_under_guests(boot, disk, tmp_path):
    """Three guests fill the disk: their writes fail, nothing that was there is lost, and when a file goes they go on."""
    ballast(disk, "spare", (34 << 20) // BLOCK, tmp_path)
    # Less than one of them wants: else the first might be done before the others began.
    ballast(disk, "ballast", free_blocks(disk) - (10 << 20) // BLOCK - 200, tmp_path)
    with boot(disk=disk) as m:
        m.wait_prompt()
        m.run("disk-create old.img 2M")
        assert diskio(m, "old", "old.img") == 1
        for name in FORMATS:
            assert m.run(f"disk-create {name} 16M") == ""
        for name in FORMATS:
            m.run(f"create diskio name={fmt(name)} cmdline='patient=1 mib=12' disk=['/disks/{name},{fmt(name)},xvda,w']")
        seen = []
        for name in FORMATS:
            m.wait_until(lambda name=name: seen.append(m.run(f"console --log {fmt(name)}")) or "cannot write, waiting" in seen[-1],
                         f"{name} is told", 120)
        assert re.search(r"blk: d\d+ xvda: write at byte \d+: no space left on the disk", "".join(seen))
        assert "a request failed" not in "".join(seen)  # said once
        # At the prompt: an error with its reason, and no file left.
        for command in ("disk-convert old.img new.qcow2", "disk-convert old.img new.img", "disk-convert old.img new.vmdk"):
            assert "no space left on the disk" in m.run(command)
        assert "new." not in m.run("ls /disks")
        # Who needs no room is not disturbed.
        assert diskio(m, "old", "old.img") == 2
        assert "rm:" not in m.run("rm /disks/spare")  # the guests' log may come between
        for name in FORMATS:
            verified(m, fmt(name), 1)
            m.gone(fmt(name))
        for name in FORMATS:
            assert diskio(m, "again", name, "cmdline='mib=12'") == 2
            assert "0 errors, 0 leaks" in m.run(f"disk-check {name}", 120)
        assert m.poweroff() == 0
    assert fsck(disk) == []
    check_each_format(disk, tmp_path)


def test_fragments(boot, disk, tmp_path):
    """No two free blocks lie side by side."""
    blocks = free_blocks(disk) - 600
    ballast(disk, "ballast", blocks, tmp_path)
    script(disk, [f"punch /disks/ballast {n} {n}" for n in range(1, 16384, 2)], tmp_path)
    ballast(disk, "rest", free_blocks(disk) - 8192, tmp_path)
    assert fsck(disk) == []
    with boot(disk=disk) as m:
        m.wait_prompt()
        write_each_format(m)
        assert m.run("rm /disks/ballast") == ""
        assert m.poweroff() == 0
    assert fsck(disk) == []
    check_each_format(disk, tmp_path)


def test_terabyte(boot, disk, tmp_path):
    """Disks of 1 TiB on a disk of 512 MiB, written at their end."""
    with boot(disk=disk) as m:
        m.wait_prompt()
        for name in FORMATS:
            assert m.run(f"disk-create {name} 1T", 120) == ""
            assert diskio(m, "d", name, "cmdline='at=1048572'") == 1
            assert diskio(m, "d", name, "cmdline='at=1048572'") == 2
            info = m.run(f"disk-info {name}")
            assert f"size     {1 << 40} bytes" in info
            assert int(re.search(r"on disk +(\d+)", info).group(1)) < 8 << 20, info
            assert "0 errors, 0 leaks" in m.run(f"disk-check {name}", 120)
        for name in FORMATS:
            assert m.run(f"disk-convert {name} copy-{fmt(name)}.qcow2", 120) == ""
        assert diskio(m, "d", "copy-raw.qcow2", "cmdline='at=1048572'") == 3
        assert m.poweroff() == 0
    assert fsck(disk) == []
    one, other, third = (take(disk, n, tmp_path) for n in ("t.qcow2", "copy-qcow2.qcow2", "copy-vmdk.qcow2"))
    for path in (other, third):
        subprocess.run(["qemu-img", "compare", "-f", "qcow2", "-F", "qcow2", str(one), str(path)], check=True)


FILES = 10000


def test_ten_thousand_files(boot, disk, tmp_path):
    (tmp_path / "empty").write_bytes(b"")
    script(disk, ["cd /disks"] + [f"write {tmp_path / 'empty'} a-disk-{n:05}.img" for n in range(FILES)], tmp_path)
    with boot(disk=disk) as m:
        m.wait_prompt()
        listed = m.run("ls /disks", 180).split()
        assert [n for n in listed if n.startswith("a-disk-")] == [f"a-disk-{n:05}.img" for n in range(FILES)]
        for n in range(20):
            assert m.run(f"disk-create b-disk-{n}.img 1M") == ""
        assert diskio(m, "d", "b-disk-7.img") == 1
        for n in range(0, FILES, 500):
            assert m.run("rm " + " ".join(f"/disks/a-disk-{n + i:05}.img" for i in range(0, 100, 10))) == ""
        assert "no such file" in m.run("cat /disks/a-disk-00500.img")
        listed = m.run("ls /disks", 180).split()
        assert len([n for n in listed if n.startswith("a-disk-")]) == FILES - FILES // 50
        assert m.poweroff() == 0
    assert fsck(disk) == []
    assert debugfs(disk, "ls /disks").count(b"b-disk-") == 20
