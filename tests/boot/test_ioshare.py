# SPDX-License-Identifier: MIT
"""Shares of the real disk, and where requests go: block-sched, the keys of disk=, trace-io."""
import os
import re
import subprocess
import time

from machine import debugfs


def rows(text):
    return {line.split()[0]: line.split() for line in text.splitlines()[1:] if len(line.split()) == 7}


def start(m, name, disk, more="", rounds=100000):
    assert m.run(f"disk-create {disk} 16M") == ""
    text = m.run(f"create flusher name={name} cmdline='rounds={rounds} seed=3' disk=['vdev=xvda,{more}target=/disks/{disk}']")
    assert "create:" not in text, text


def served(m, *names, column=5):
    found = rows(m.run("block-sched", 300))
    return [int(found[n][column]) for n in names]


def more_than_cap(m):
    """The next hundred requests of `slow`: how many more they are than 20 a second, its cap."""
    began, before = time.monotonic(), served(m, "slow")[0]
    m.wait_until(lambda: served(m, "slow")[0] - before >= 100, "a hundred requests", 120)
    return 100 - 20 * (time.monotonic() - began)


def test_caps_and_weights(machine):
    m = machine
    start(m, "slow", "slow.img", "iops=20,")
    start(m, "heavy", "heavy.img", "weight=1024,")
    start(m, "light", "light.img")
    shown = rows(m.run("block-sched"))
    assert shown["slow"][2:5] == ["256", "20", "-"]
    assert shown["heavy"][2:5] == ["1024", "-", "-"]
    m.wait_until(lambda: served(m, "slow")[0] > 5, "the first requests", 60)
    # The guest's clock may run slower than the host's, never faster: a cap is a cap by both.
    assert more_than_cap(m) <= 3
    # Without its cap it does more; the others, and the host's load, may leave it little at times.
    assert m.run("block-sched -d slow -i 0") == ""
    m.wait_until(lambda: more_than_cap(m) > 3, "no cap", 120)
    assert m.run("block-sched -d slow -b 64K -w 5") == ""
    assert rows(m.run("block-sched -d slow"))["slow"][2:5] == ["5", "-", "65536"]
    # A capped one does not keep its domain from ending.
    assert m.run("block-sched -d slow -i 1") == ""
    for name in ("slow", "heavy", "light"):
        m.run(f"destroy {name}", 60)
        m.gone(name)
    assert rows(m.run("block-sched")) == {}
    for name in ("slow", "heavy", "light"):
        m.run(f"rm /disks/{name}.img")


def test_weights(boot, disk, tmp_path):
    """On a slow disk, two guests that always have requests waiting: sixteen times the weight gets some sixteen times as much."""
    full = tmp_path / "full"  # no holes: an allocation's zeros are domain 0's own writes, which have no weight
    full.write_bytes(os.urandom(40 << 20))
    for name in ("heavy", "light"):
        subprocess.run(["debugfs", "-w", "-R", f"write {full} /disks/{name}.img", str(disk)], check=True, capture_output=True)
    slow = ["-drive", f"file={disk},format=raw,if=none,id=s0,throttling.bps-total=3000000",
            "-device", "virtio-blk-pci,drive=s0,disable-legacy=on"]
    with boot(extra=slow) as m:
        m.wait_prompt(300)
        for name, weight in (("heavy", 2048), ("light", 128)):
            m.run(f"create flusher name={name} cmdline=load=16 disk=['vdev=xvda,weight={weight},target=/disks/{name}.img']", 300)
        m.wait_until(lambda: min(served(m, "heavy", "light", column=6)) > 1 << 17, "work", 300)
        before = served(m, "heavy", "light", column=6)
        m.wait_until(lambda: served(m, "heavy", column=6)[0] - before[0] > 12 << 20, "work", 300)
        heavy, light = (now - then for now, then in zip(served(m, "heavy", "light", column=6), before))
        assert heavy > 4 * light > 0, (heavy, light)
        m.run("destroy heavy", 300)
        m.run("destroy light", 300)
        assert m.poweroff(300) == 0


def test_refusals(machine):
    m = machine
    m.run("create -p diskio name=d")
    assert "whose share?" in m.run("block-sched -w 3")
    assert "bad weight '0'" in m.run("block-sched -d d -w 0")
    assert "bad cap 'x'" in m.run("block-sched -d d -i x")
    assert "bad cap '1000'" in m.run("block-sched -d d -b 1000")
    assert "has no virtual disk" in m.run("block-sched -d 0")
    assert "disk: bad iops '0'" in m.run("create diskio disk=['vdev=xvda,iops=0,target=a.img']")
    assert "disk: bad weight '70000'" in m.run("create diskio disk=['vdev=xvda,weight=70000,target=a.img']")
    assert "disk: bad bps 'fast'" in m.run("create diskio disk=['vdev=xvda,bps=fast,target=a.img']")
    assert "bad count" in m.run("trace-io d 0")
    assert "has no virtual disk" in m.run("trace-io 0")
    m.run("destroy d")


def test_discards(machine):
    m = machine
    for name, word, answer in (("yes.img", "discard", "diskio: discarded 8192 sectors"), ("no.img", "no-discard", "diskio: ERROR -95 discarding")):
        m.run(f"disk-create {name} 4M")
        m.send(f"create -c diskio name=d cmdline=mib=3 disk=['/disks/{name},raw,xvda,w,{word}']\r")
        m.expect_exact("diskio: boot 1, verified 3 MiB", 120)
        m.wait_prompt()
        m.gone("d")
        assert int(re.search(r"on disk +(\d+)", m.run(f"disk-info {name}")).group(1)) >= 3 << 20
        m.send(f"create -c diskio name=d cmdline=discard=1 disk=['/disks/{name},raw,xvda,w,{word}']\r")
        m.expect_exact(answer, 120)
        m.wait_prompt()
        m.gone("d")
        kept = int(re.search(r"on disk +(\d+)", m.run(f"disk-info {name}")).group(1))
        assert (kept < 64 << 10) == (word == "discard"), kept
    m.run("create diskio name=d cmdline=discard=100000 disk=['/disks/yes.img,raw,xvda']")
    # A discard, and the reads of all of the disk: twice that is a whole round, wherever it begins.
    seen = [line.split() for line in m.run("trace-io d 400", 120).splitlines()[1:]]
    assert ["xvda", "discard", "0", str(4 << 20), "-", "-", "-"] in [line[:7] for line in seen], seen
    m.run("destroy d")
    m.gone("d")
    for name in ("yes.img", "no.img"):
        m.run(f"rm /disks/{name}")


def test_trace_io(boot, disk):
    """What it says of a request is where the data is: the image's offset in the file, the sector on the device."""
    with boot(disk=disk) as m:
        m.wait_prompt()
        start(m, "t", "t.img", rounds=3000)
        text = m.run("trace-io t 200", 120)
        seen = [line.split() for line in text.splitlines()[1:]]
        assert len(seen) == 200 and {line[0] for line in seen} == {"xvda"}
        writes = [line for line in seen if line[1] == "write"]
        assert len(writes) > 20 and any(line[1] in ("flush", "tables") for line in seen)
        for line in writes:
            assert int(line[4]) == int(line[2]) * 512  # a raw image is the disk
            assert int(line[3]) % 512 == 0 and re.fullmatch(r"[0-9a-f]+(\+\d+)?", line[6])
        m.run("destroy t")
        m.gone("t")
        assert m.poweroff() == 0
    blocks = debugfs(disk, "blocks /disks/t.img").decode().split()
    assert {str(int(line[5]) // 8) for line in writes} <= set(blocks)
