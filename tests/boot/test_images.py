# SPDX-License-Identifier: MIT
"""Virtual disks as raw, qcow2 and VMDK images: guests on them, layers, and qemu-img's word about what dom0 has written."""
import re
import subprocess

import pytest

from machine import debugfs, fsck

FORMATS = ["t.img", "t.qcow2", "t.vmdk"]


def fmt(name):
    return {"img": "raw"}.get(name.split(".")[-1], name.split(".")[-1])


def diskio(m, name, disk, *more):
    """One run of the guest that verifies what the run before wrote; its boot's number."""
    m.send(f"create -c diskio name={name} disk=['/disks/{disk},{fmt(disk)},xvda,w'] {' '.join(more)}\r")
    m.expect(r"diskio: boot (\d+), verified (\d+) MiB|ERROR[^\n]*", 180)
    found = m.child.match
    assert found.group(1), found.group(0)
    m.wait_prompt()
    m.gone(name)
    return int(found.group(1))


def take(image, name, tmp_path):
    """A file out of domain 0's disk, judged by qemu-img."""
    out = tmp_path / name
    debugfs(image, f"dump /disks/{name} {out}")
    if fmt(name) != "raw":
        done = subprocess.run(["qemu-img", "check", "-f", fmt(name), str(out)], capture_output=True, text=True)
        assert done.returncode == 0 and "No errors" in done.stdout, done.stdout + done.stderr
    return out


def as_raw(path):
    out = path.with_suffix(".flat")
    subprocess.run(["qemu-img", "convert", "-f", fmt(path.name), "-O", "raw", str(path), str(out)], check=True)
    return out.read_bytes()


def boots(data):
    assert data[:8] == b"diskio 1"
    return int.from_bytes(data[8:16], "little")


def put(image, source, name):
    subprocess.run(["debugfs", "-w", "-R", f"write {source} /disks/{name}", str(image)], check=True, capture_output=True)


def write_each_format(m):
    """A disk of each format, written by one guest, verified and written over by a second."""
    for name in FORMATS:
        m.run(f"disk-create {name} 6M")
        assert diskio(m, "d", name) == 1
        assert diskio(m, "d", name) == 2
        assert "0 errors, 0 leaks" in m.run(f"disk-check {name}", 120)


def check_each_format(disk, tmp_path):
    """The machine is off: what two guests wrote is in each of them."""
    for name in FORMATS:
        assert boots(as_raw(take(disk, name, tmp_path))) == 2


def test_guests_on_each_format(boot, disk, tmp_path):
    with boot(disk=disk) as m:
        m.wait_prompt()
        write_each_format(m)
        assert m.poweroff() == 0
    assert fsck(disk) == []
    check_each_format(disk, tmp_path)


def test_images_of_qemu(boot, disk, tmp_path):
    """Compressed, with small clusters, in an old version: what a guest wrote there before is verified, and written over."""
    with boot(disk=disk) as m:
        m.wait_prompt()
        m.run("disk-create first.img 4M")
        assert diskio(m, "d", "first.img") == 1
        assert m.poweroff() == 0
    first = take(disk, "first.img", tmp_path)
    made = {"c.qcow2": ["-c", "-O", "qcow2"], "z.qcow2": ["-c", "-O", "qcow2", "-o", "compression_type=zstd"],
            "s.qcow2": ["-O", "qcow2", "-o", "cluster_size=512"], "o.qcow2": ["-O", "qcow2", "-o", "compat=0.10"],
            "v.vmdk": ["-O", "vmdk"]}
    for name, options in made.items():
        subprocess.run(["qemu-img", "convert", "-f", "raw", *options, str(first), str(tmp_path / name)], check=True)
        put(disk, tmp_path / name, name)
    with boot(disk=disk) as m:
        m.wait_prompt()
        for name in made:
            assert diskio(m, "d", name) == 2
        assert m.poweroff() == 0
    for name in made:
        assert boots(as_raw(take(disk, name, tmp_path))) == 2


def test_two_guests_on_one_base(boot, disk, tmp_path):
    with boot(disk=disk) as m:
        m.wait_prompt()
        m.run("disk-create base.qcow2 4M")
        assert diskio(m, "d", "base.qcow2") == 1
        free = m.info("penumbra_disk_free_blocks")
        for child in ("one.qcow2", "two.qcow2"):
            assert m.run(f"disk-create {child} --base base.qcow2") == ""
        assert free - m.info("penumbra_disk_free_blocks") < 32  # "in a few blocks"
        assert "it is the base of /disks/" in m.run(
            "create diskio name=x disk=['/disks/base.qcow2,qcow2,xvda,w']")
        # Both at once; what one writes, the other does not see.
        m.run("create diskio name=a disk=['/disks/one.qcow2,,xvda'] cmdline=stay=1")
        m.run("create diskio name=b disk=['/disks/two.qcow2,,xvda'] cmdline=stay=1")
        for name in "ab":
            text = m.wait_until(lambda name=name: re.search(r"boot (\d+), verified.*|ERROR.*",
                                                            m.run(f"console --log {name}")), "verified", 180)
            assert text.group(1) == "2", text.group(0)
        info = m.run("disk-info one.qcow2")
        assert "/disks/base.qcow2" in info and "in use   by domain a" in info
        assert "in use by domain a" in m.run("rm /disks/one.qcow2")
        assert "in use by domain" in m.run("disk-commit one.qcow2")
        m.run("destroy a")
        m.run("destroy b")
        assert diskio(m, "a", "one.qcow2") == 3
        assert "is the base of" in m.run("disk-info base.qcow2")
        assert m.poweroff() == 0
    base, one, two = (take(disk, n, tmp_path) for n in ("base.qcow2", "one.qcow2", "two.qcow2"))
    assert [boots(as_raw(p)) for p in (base, one, two)] == [1, 3, 2]


def test_info_counts_all_files(boot, disk, tmp_path):
    """A VMDK image of two files: the space of the extent counts, not only that of the descriptor."""
    raw = tmp_path / "f.img"
    raw.write_bytes(bytes(range(1, 256)) * 8192)
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "vmdk", "-o", "subformat=monolithicFlat", str(raw),
                    str(tmp_path / "f.vmdk")], check=True)
    for name in ("f.vmdk", "f-flat.vmdk"):
        put(disk, tmp_path / name, name)
    with boot(disk=disk) as m:
        m.wait_prompt()
        taken = int(re.search(r"on disk +(\d+)", m.run("disk-info f.vmdk")).group(1))
        assert raw.stat().st_size <= taken <= raw.stat().st_size + (64 << 10)
        assert m.poweroff() == 0


@pytest.mark.parametrize("kind", ["qcow2", "vmdk"])
def test_layers(boot, disk, tmp_path, kind):
    with boot(disk=disk) as m:
        m.wait_prompt()
        m.run(f"disk-create web.{kind} 3M")
        assert diskio(m, "d", f"web.{kind}") == 1
        assert m.run(f"disk-snapshot web.{kind} monday.{kind}", 120) == ""
        assert diskio(m, "d", f"web.{kind}") == 2
        assert m.run(f"disk-snapshot web.{kind} tuesday.{kind}", 120) == ""
        assert diskio(m, "d", f"web.{kind}") == 3
        assert m.run(f"disk-info web.{kind}").count("stands on") == 2
        assert m.run(f"disk-convert web.{kind} copy.img", 120) == ""
        assert "it is the base of" in m.run(f"disk-commit tuesday.{kind}")
        assert m.run(f"disk-commit web.{kind}", 120) == ""  # tuesday is boot 3 now
        assert diskio(m, "d", f"web.{kind}") == 4
        assert m.run(f"disk-flatten web.{kind}", 120) == ""
        assert "stands on" not in m.run(f"disk-info web.{kind}")
        assert diskio(m, "d", f"web.{kind}") == 5
        for name in ("web", "monday", "tuesday"):
            assert "0 errors, 0 leaks" in m.run(f"disk-check {name}.{kind}", 120)
        assert m.poweroff() == 0
    assert fsck(disk) == []
    monday, tuesday, web, copy = (take(disk, n, tmp_path) for n in (f"monday.{kind}", f"tuesday.{kind}", f"web.{kind}",
                                                                    "copy.img"))
    assert [boots(as_raw(p)) for p in (monday, tuesday, web, copy)] == [1, 3, 5, 3]


@pytest.mark.parametrize("name", FORMATS)
def test_power_goes_while_a_guest_writes(boot, disk, tmp_path, name):
    """QEMU is killed: the image is whole, and holds the pattern before or the one that was being written."""
    with boot(disk=disk) as m:
        m.wait_prompt()
        m.run(f"disk-create {name} 48M")
        m.send(f"create -c diskio disk=['/disks/{name},{fmt(name)},xvda,w'] cmdline=mib=12\r")
        m.expect("diskio: boot 1, verified 12 MiB", 180)
        m.wait_prompt()
        m.gone("diskio")
        m.run(f"create diskio disk=['/disks/{name},{fmt(name)},xvda,w']")
        # The header that says "I write" is flushed; then it writes, and has 34 MiB more to write and 48 to read before it is done.
        m.wait_until(lambda: int(re.search(r"on disk +(\d+)", m.run(f"disk-info {name}")).group(1)) > 13 << 20, "writes", 120)
        m.child.kill(9)
    done = subprocess.run(["e2fsck", "-p", str(disk)], capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    with boot(disk=disk) as m:
        m.wait_prompt()
        assert " 0 errors" in m.run(f"disk-check {name}", 120)
        m.send(f"create -c diskio disk=['/disks/{name},{fmt(name)},xvda,w'] cmdline=mib=12\r")
        m.expect(r"diskio: boot 2 was cut off while it wrote", 180)
        m.expect(r"diskio: boot 2, verified 12 MiB|ERROR[^\n]*", 180)
        assert "verified" in m.child.match.group(0)
        m.wait_prompt()
        assert m.poweroff() == 0


def test_refusals(boot, disk, tmp_path):
    subprocess.run(["qemu-img", "create", "-f", "qcow2", str(tmp_path / "snap.qcow2"), "4M"], check=True)
    subprocess.run(["qemu-img", "snapshot", "-c", "s", str(tmp_path / "snap.qcow2")], check=True)
    put(disk, tmp_path / "snap.qcow2", "snap.qcow2")
    (tmp_path / "bad.qcow2").write_bytes(b"QFI\xfb" + bytes(1000))
    put(disk, tmp_path / "bad.qcow2", "bad.qcow2")
    put(disk, tmp_path / "bad.qcow2", "trick.img")
    create = "create diskio name=x disk=['/disks/{},{},xvda,{}']"
    with boot(disk=disk) as m:
        m.wait_prompt()
        assert "can only be read: it has 1 internal snapshots" in m.run(create.format("snap.qcow2", "qcow2", "w"))
        assert "is not known here" in m.run(create.format("bad.qcow2", "qcow2", "w"))
        assert "no qcow2 image" in m.run(create.format("diskio.img", "qcow2", "w"))
        assert "no VMDK image" in m.run(create.format("diskio.img", "vmdk", "w"))
        assert "format 'vhd' is not known" in m.run(create.format("diskio.img", "vhd", "w"))
        assert "a name says its image's format" in m.run("disk-create a.img 4M --format qcow2")
        assert "needs a base that is VMDK" in m.run("disk-create a.vmdk --base diskio.img")
        assert "has no layers" in m.run("disk-snapshot diskio.img s.img")
        assert "has no base" in m.run("disk-flatten diskio.img")
        assert "no such file" in m.run("disk-create a.qcow2 --base nosuch.img")
        # What a guest has written into a raw disk does not make it anything else.
        assert "format   raw" in m.run("disk-info trick.img")
        assert m.poweroff() == 0
