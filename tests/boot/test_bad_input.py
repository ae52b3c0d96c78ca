# SPDX-License-Identifier: MIT
"""Bad input: a clear message that names the cause, and nothing is lost."""
import shutil
import struct
import subprocess

import pytest

from audit import free_pages
from machine import BUILD, Machine, debugfs, fsck


@pytest.mark.parametrize("line, says", [
    ("frobnicate", "unknown command"),
    ("lsit", "did you mean"),
    ("list --bogus", "usage"),
    ("create", "usage"),
    ("create nosuch", "nosuch"),
    ("destroy nosuch", "nosuch"),
    ("console nosuch", "nosuch"),
    ("create hello memroy=32", "memory"),
    ("create hello memory=banana", "memory"),
    ("create hello vcpus=0", "vcpus"),
    ("create hello cpu_weight=70000", "cpu_weight"),
    ("create hello kernel=/boot/nosuch.elf", "/boot/nosuch.elf"),
    ("create hello kernel=/etc/xen/hello.cfg", "ELF"),
    ("create hello memory=100000", "memory"),
    ("create hello memory=0", "memory"),
    ("create hello 'disk=[\"/disks/nosuch.img,raw,xvda,w\"]'", "nosuch.img"),
    ("create hello name=Domain-0", "Domain-0"),
    ("cat /disks", "irectory"),
    ("rm /nosuch", "nosuch"),
    ("disk-create x banana", "size"),
])
def test_refused_with_reason(machine, line, says):
    free = free_pages(machine)
    assert says.lower() in machine.run(line).lower()
    machine.wait_until(lambda: free_pages(machine) == free, "as much memory as before")
    assert list(machine.domains()) == ["Domain-0"]


def test_name_in_use(machine):
    machine.run("create hello name=one")
    assert "one" in machine.run("create hello name=one")
    assert [n for n in machine.domains()].count("one") == 1
    machine.run("destroy one")


def test_disk_in_use(machine):
    machine.run('create diskio name=owner cmdline="stay=1"')
    out = machine.run('create diskio name=thief cmdline="stay=1"')
    assert "in use" in out and "diskio.img" in out
    assert "in use" in machine.run("rm /disks/diskio.img")
    machine.run("destroy owner")


def write_file(image, path, data, tmp_path):
    source = tmp_path / "data"
    source.write_bytes(data)
    subprocess.run(["debugfs", "-w", "-R", f"write {source} {path}", str(image)], check=True, capture_output=True)


def huge(elf):
    """The same kernel with a bss of 64 MiB in its last loaded segment."""
    data = bytearray(elf)
    offset, = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    last = max(offset + i * size for i in range(count)
               if struct.unpack_from("<I", data, offset + i * size)[0] == 1)
    struct.pack_into("<Q", data, last + 40, 64 << 20)
    return bytes(data)


def test_broken_kernels_and_configs(boot, disk, tmp_path):
    elf = (BUILD / "guests" / "hello.elf").read_bytes()
    write_file(disk, "/boot/short.elf", elf[:5000], tmp_path)
    write_file(disk, "/boot/i386.elf", elf[:18] + b"\x03\x00" + elf[20:], tmp_path)
    write_file(disk, "/boot/nonotes.elf", elf.replace(b"Xen\0", b"Nix\0"), tmp_path)
    write_file(disk, "/boot/huge.elf", huge(elf), tmp_path)
    write_file(disk, "/etc/xen/bad.cfg", b'name = "x\nkernel = /boot', tmp_path)
    write_file(disk, "/etc/xen/unknown.cfg", b'name="u"\nkernel="/boot/hello.elf"\nmemmory=16\n', tmp_path)
    with boot(disk=disk, cpus=1) as m:
        m.wait_prompt()
        assert "truncated" in m.run("create hello kernel=/boot/short.elf")
        assert "x86-64" in m.run("create hello kernel=/boot/i386.elf")
        assert "note" in m.run("create hello kernel=/boot/nonotes.elf").lower()
        out = m.run("create hello kernel=/boot/huge.elf memory=16")
        assert "memory" in out and "16" in out
        assert list(m.domains()) == ["Domain-0"]
        assert "bad.cfg" in m.run("create bad")
        out = m.run("create unknown")
        assert "memmory" in out and "memory" in out
        assert m.poweroff() == 0


def test_no_disk(boot):
    with boot(cpus=1) as m:
        text = m.wait_prompt()
        assert "disk" in text
        assert "Domain-0" in m.run("list")
        assert "disk" in m.run("ls /")
        assert m.poweroff() == 0


def test_corrupt_disk(boot, tmp_path):
    image = tmp_path / "junk.img"
    image.write_bytes(b"\x5a" * (8 << 20))
    with boot(disk=image, cpus=1) as m:
        text = m.wait_prompt()
        assert "ext2" in text
        assert "Domain-0" in m.run("list")
        assert m.poweroff() == 0


def test_full_file_system(boot, tmp_path):
    stage = tmp_path / "stage"
    (stage / "boot").mkdir(parents=True)
    (stage / "etc/xen").mkdir(parents=True)
    (stage / "disks").mkdir()
    shutil.copy(BUILD / "guests" / "diskio.elf", stage / "boot")
    (stage / "etc/xen/diskio.cfg").write_text(
        'name="diskio"\nkernel="/boot/diskio.elf"\nmemory=32\ndisk=["/disks/d.img,raw,xvda,w"]\n')
    image = tmp_path / "small.img"
    subprocess.run(["mke2fs", "-q", "-t", "ext2", "-O", "^dir_index,^resize_inode", "-d", str(stage), str(image), "8M"],
                   check=True)
    with boot(disk=image, cpus=1) as m:
        m.wait_prompt()
        m.run("disk-create d.img 16M")
        m.send("create -c diskio\r")
        m.wait_prompt(120)
        assert "error" in m.run("console --log diskio").lower()
        assert m.poweroff() == 0
    assert fsck(image) == []


def test_too_little_memory(boot):
    m = boot(mem="20M", cpus=1)
    m.expect("memory")
    assert m.wait_end() != 0


def test_missing_modules(boot):
    m = boot(modules=[], cpus=1)
    m.expect("device tree")
    assert m.wait_end() != 0


def test_broken_device_tree(boot, tmp_path):
    bad = tmp_path / "bad.dtb"
    bad.write_bytes(b"not a device tree at all" * 100)
    m = boot(modules=[bad, BUILD / "dom0.elf"], cpus=1)
    m.expect("device tree")
    assert m.wait_end() != 0
