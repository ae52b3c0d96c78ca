# SPDX-License-Identifier: MIT
"""What a guest has flushed survives a power cut, whatever the device's cache did with the rest."""
import pathlib
import random
import re
import subprocess
import time

import pytest

import powercut
from machine import BUILD, fsck, make

DISKS = {"p.img": 11, "p.qcow2": 12, "p.vmdk": 13}


def logged(disk, log):
    """The disk behind QEMU's blklogwrites."""
    log.touch()
    return ["-blockdev", f"driver=file,node-name=medium,filename={disk}", "-blockdev", f"driver=file,node-name=log,filename={log}",
            "-blockdev", "driver=blklogwrites,node-name=logged,file=medium,log=log,log-sector-size=512",
            "-device", "virtio-blk-pci,drive=logged,disable-legacy=on"]


def fill_with_junk(disk, tmp_path):
    """Where files will be, the medium holds what a deleted one left: nobody may take it for pointers or names."""
    junk = tmp_path / "junk"
    junk.write_bytes(powercut.JUNK * (60 * 4128))
    for command in (f"write {junk} /disks/junk", "rm /disks/junk"):
        subprocess.run(["debugfs", "-w", "-R", command, str(disk)], check=True, capture_output=True)
    junk.unlink()


def record(boot, disk, log, rounds):
    """One run: three guests, each on an image of another format, while files come and go beside them."""
    with boot(extra=logged(disk, log)) as m:
        m.wait_prompt()
        for name, seed in DISKS.items():
            m.run(f"disk-create {name} 24M")
            m.run(f"create flusher name=f{seed} cmdline='rounds={rounds} seed={seed} barrier={seed % 2}' disk=['/disks/{name},,xvda,w']")
        turn, writing = 0, {f"f{seed}" for seed in DISKS.values()}
        while writing & set(m.domains()):
            assert turn < 4000, m.run("list")
            turn += 1
            m.run(f"disk-convert diskio.img c{turn % 4}.qcow2")
            m.run(f"disk-create d{turn % 3}.qcow2 --base c{turn % 4}.qcow2")
            m.run(f"disk-flatten d{turn % 3}.qcow2")
            m.run(f"rm /disks/d{(turn + 1) % 3}.qcow2")
            m.run(f"rm /disks/c{(turn + 2) % 4}.qcow2")
        for seed in DISKS.values():
            assert f"flusher: {rounds} rounds" in m.run(f"console --log f{seed}")
        assert m.poweroff() == 0


def cuts(boot, golden_disk, tmp_path, rounds, count):
    make("build/imgtool")
    disk, medium, log = (tmp_path / n for n in ("dom0.img", "medium.img", "log"))
    subprocess.run(["cp", "--sparse=always", str(golden_disk), str(disk)], check=True)
    fill_with_junk(disk, tmp_path)
    subprocess.run(["cp", "--sparse=always", str(disk), str(medium)], check=True)
    record(boot, disk, log, rounds)
    assert fsck(disk) == []
    replay = powercut.Replay(log, medium, seed=1)
    # The images come first, and flushes are where it matters: cuts from the first stamp on, at random entries.
    places = sorted(replay.random.sample(range(len(replay.entries)), min(count, len(replay.entries))))
    flushed = 0
    for place in places:
        replay.advance(place)
        replay.cut(disk)
        try:
            there = {n: s for n, s in DISKS.items() if replay.newest.get(s, 0) > 1}
            powercut.judge(disk, there, replay, tmp_path)
        except AssertionError:
            subprocess.run(["cp", "--sparse=always", str(disk), str(BUILD / "logs" / "powercut.img")], check=False)
            print(f"cut before entry {place} of {len(replay.entries)}; the image is build/logs/powercut.img")
            raise
        flushed += sum(len(replay.promised(s)) for s in there.values())
    replay.advance(len(replay.entries))
    replay.close()
    assert {s: replay.newest.get(s) for s in DISKS.values()} == {s: rounds for s in DISKS.values()}
    assert flushed > count  # there was something to lose


def kill(boot, disk, names, rand):
    """A run that ends by SIGKILL while its guests write and flush. Name -> the round that had been flushed by then, at least."""
    flushed = dict.fromkeys(names, 0)
    with boot(disk=disk) as m:
        m.wait_prompt()
        for name, seed in names.items():
            assert m.run(f"disk-create {name} 24M") == ""
            m.run(f"create flusher name=f{seed} cmdline='rounds=1000000 seed={seed} barrier={seed % 2}' disk=['/disks/{name},,xvda,w']")
        wanted = rand.randint(3, 30)

        def look():
            for name in names:
                # Of so many flushes that have begun all but the last one have been answered.
                flushed[name] = int(re.search(r"(\d+) flushed", m.run(f"disk-info {name}")).group(1)) - 1
            return min(flushed.values()) >= wanted

        m.wait_until(look, f"{wanted} flushes on each disk", 180)
        time.sleep(rand.random() / 2)
        m.child.kill(9)
    return flushed


def kills(boot, disk, tmp_path, count):
    make("build/imgtool")
    rand = random.Random(count)
    known = {}  # name -> seed, rounds: what all runs have left
    for turn in range(count):
        names = {f"k{turn}{pathlib.Path(n).suffix}": 100 * turn + seed for n, seed in DISKS.items()}
        flushed = kill(boot, disk, names, rand)
        powercut.repair(disk)
        for name, seed in names.items():
            _, flat = powercut.extract(disk, name, tmp_path)
            newest = max(number for _, s, number, _ in powercut.stamps(flat.read_bytes()) if s == seed)
            assert newest >= flushed[name] > 0, name
            guest = powercut.Flusher(seed, 24 * 2048, seed % 2)
            known[name] = seed, powercut.promised(newest, {n: guest.round() for n in range(1, newest + 1)})
        for name, (seed, there) in known.items():
            path, flat = powercut.extract(disk, name, tmp_path)
            powercut.check_promised(name, flat, seed, there)
            powercut.check_image(path)


def test_kill(boot, disk, tmp_path):
    """QEMU is killed at work: what reached the host's page cache is what the device has."""
    kills(boot, disk, tmp_path, 1)


@pytest.mark.long
def test_five_kills(boot, disk, tmp_path):
    kills(boot, disk, tmp_path, 5)


def test_power_cuts(boot, golden_disk, tmp_path):
    cuts(boot, golden_disk, tmp_path, rounds=12, count=40)


@pytest.mark.long
def test_many_power_cuts(boot, golden_disk, tmp_path):
    cuts(boot, golden_disk, tmp_path, rounds=60, count=500)
