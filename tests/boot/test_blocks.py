# SPDX-License-Identifier: MIT
"""Virtual disks that come, go and change while a guest runs: block-attach, block-detach, cd-insert, cd-eject, disk-resize."""
import re

import pytest

MACHINE_CPUS = [2]


def vdev(letter):
    return 51712 + 16 * (ord(letter) - ord("a"))


def said(m, what, name="p"):
    """Waits for a line of the guest's; each is looked for behind the one before."""
    def look():
        log = m.run(f"console --log {name}")
        at = log.find(what, said.mark)
        assert "ERROR" not in log[said.mark:at if at >= 0 else None] and "blk: " not in log, log[said.mark:]
        if at >= 0:
            said.mark = at + len(what)
        return at >= 0
    m.wait_until(look, what, 60)


@pytest.fixture
def guest(machine):
    """diskio without a disk, waiting for some."""
    said.mark = 0
    machine.run("create diskio name=p disk=[] cmdline=plug=1")
    said(machine, "waiting for disks")
    yield machine
    if "p" in machine.domains():
        machine.run("destroy p")


def numbers(m, name="p"):
    return [int(row.split()[0]) for row in m.run(f"block-list {name}").splitlines()[1:] if row.strip()]


def test_attach_and_detach(guest):
    m = guest
    m.run("disk-create plug1.img 4M")
    m.run("disk-create plug2.qcow2 2M")
    assert m.run("block-attach p /disks/plug1.img,raw,xvdb,w") == ""
    said(m, f"disk {vdev('b')} came, 8192 sectors\n")
    assert m.run("block-attach p vdev=xvdc access=r target=plug2.qcow2") == ""
    said(m, f"disk {vdev('c')} came, 4096 sectors, read-only")
    assert numbers(m) == [vdev("b"), vdev("c")]
    for _ in range(3):
        assert m.run("block-detach p xvdb") == ""
        said(m, f"disk {vdev('b')} went")
        assert numbers(m) == [vdev("c")]
        assert "in use" not in m.run("disk-info plug1.img")
        assert m.run("block-attach p plug1.img,,xvdb") == ""
        said(m, f"disk {vdev('b')} came")
    # By the store's number; and by force, under the guest's hands.
    assert m.run(f"block-detach p {vdev('c')}") == ""
    said(m, f"disk {vdev('c')} went")
    assert m.run("block-detach -f p xvdb") == ""
    said(m, f"disk {vdev('b')} went")
    assert numbers(m) == []


def test_a_guest_that_does_not_let_go(machine):
    m = machine
    m.run("disk-create keep.img 2M")
    m.run("create diskio name=k disk=['/disks/keep.img,raw,xvda,w'] cmdline=stay=1")
    m.run("create hello name=h")
    m.run("pause k")
    assert "did not let go of it within 10 s" in m.run("block-detach k xvda", 60) or numbers(m, "k") == []
    m.run("block-detach -f k xvda")
    assert numbers(m, "k") == []
    # A guest without a driver has nothing to let go of.
    assert m.run("block-attach h keep.img,,xvda") == ""
    assert m.run("block-detach h xvda") == ""
    m.run("destroy k h")


def test_sixteen_disks(guest):
    m = guest
    for n in range(16):
        letter = chr(ord("a") + n)
        m.run(f"disk-create d{n}.img 64K")
        assert m.run(f"block-attach p d{n}.img,raw,xvd{letter}") == ""
        said(m, f"disk {vdev(letter)} came, 128 sectors")
    assert len(numbers(m)) == 16
    m.run("disk-create more.img 64K")
    assert "has 16 disks already" in m.run("block-attach p more.img,raw,xvda1")
    for n in range(16):
        assert m.run(f"block-detach p xvd{chr(ord('a') + n)}") == ""
    assert numbers(m) == []


def test_drive(guest):
    m = guest
    m.run("disk-create cd1.img 1M")
    m.run("disk-create cd2.qcow2 3M")
    assert m.run("block-attach p vdev=xvdb,devtype=cdrom") == ""
    said(m, f"disk {vdev('b')} came, 0 sectors, read-only")
    assert m.run("cd-insert p xvdb cd1.img") == ""
    said(m, f"disk {vdev('b')} has 2048 sectors now")
    assert "in use   by domain p" in m.run("disk-info cd1.img")
    assert m.run("cd-insert p xvdb /disks/cd2.qcow2") == ""
    said(m, f"disk {vdev('b')} has 6144 sectors now")
    assert "in use" not in m.run("disk-info cd1.img")
    for _ in range(10):  # the guest is told, and reads, at any moment of that
        assert m.run("cd-eject p xvdb") == ""
        said(m, f"disk {vdev('b')} has 0 sectors now")
        assert m.run("cd-insert p xvdb cd2.qcow2") == ""
        said(m, f"disk {vdev('b')} has 6144 sectors now")
    assert m.run("cd-eject p xvdb") == ""
    said(m, f"disk {vdev('b')} has 0 sectors now")
    assert "no such file" in m.run("cd-insert p xvdb nosuch.img")
    assert m.run("block-detach p xvdb") == ""
    assert "has no such disk" in m.run("cd-insert p xvdb cd1.img")
    m.run("block-attach p cd1.img,,xvdb")
    assert "no drive with a medium to change" in m.run("cd-eject p xvdb")


@pytest.mark.parametrize("name", ["grow.img", "grow.qcow2"])
def test_resize(guest, name):
    m = guest
    m.run(f"disk-create {name} 1M")
    assert m.run(f"disk-resize {name} 2M") == ""
    m.run(f"block-attach p {name},,xvdb")
    said(m, f"disk {vdev('b')} came, 4096 sectors")
    for mib in [3, 8, 32]:
        assert m.run(f"disk-resize {name} {mib}M") == ""
        said(m, f"disk {vdev('b')} has {mib * 2048} sectors now")
    assert "never made smaller" in m.run(f"disk-resize {name} 1M")
    assert m.run("block-detach p xvdb") == ""
    assert re.search(r"size +33554432 bytes", m.run(f"disk-info {name}"))
    assert "0 errors, 0 leaks" in m.run(f"disk-check {name}")


def test_attached_disk_stays_over_a_restart(machine):
    m = machine
    said.mark = 0
    m.run("disk-create stay.img 1M")
    m.run("create diskio name=p disk=[] cmdline=plug=1")
    said(m, "waiting for disks")
    m.run("block-attach p stay.img,,xvdb")
    said(m, "came")
    m.run("reboot -w p")
    m.wait_until(lambda: "p" in m.domains() and numbers(m) == [vdev("b")], "its next life", 60)
    m.run("block-detach p xvdb")
    m.wait_until(lambda: numbers(m) == [], "the disk is gone")
    m.run("destroy p")


def test_refusals(guest):
    m = guest
    m.run("disk-create ref.img 1M")
    m.run("block-attach p ref.img,,xvdb")
    assert "has a disk of that name already" in m.run("block-attach p ref.img,,xvdb,r")
    assert "in use by domain p" in m.run("block-attach p ref.img,,xvdc")
    assert "no such file" in m.run("block-attach p nosuch.img,,xvdc")
    assert "bad vdev 'sda'" in m.run("block-attach p ref.img,,sda")
    assert "no target" in m.run("block-attach p vdev=xvdc")
    assert "there is no domain 'q'" in m.run("block-attach q ref.img,,xvdc")
    assert "Domain-0 is no running guest" in m.run("block-attach 0 ref.img,,xvdc")
    assert "has no such disk" in m.run("block-detach p xvdc")
    assert "'hda' is no disk" in m.run("block-detach p hda")
    assert "unknown devtype 'floppy'" in m.run("block-attach p ref.img,,xvdc,devtype=floppy")
    assert "bad size 'big'" in m.run("disk-resize ref.img big")
    assert "usage: block-attach" in m.run("block-attach p")
