# SPDX-License-Identifier: MIT
"""Power cuts from a log of all that reached a disk.

QEMU's driver `blklogwrites` notes each write and each flush of domain 0's disk, in the format of Linux's dm-log-writes. If the
power had gone at some entry, all that was flushed before is on the medium; of what came later any part, in any order. `Replay`
makes such images, by seed; `judge` looks at one as the owner of the guests' data would.
"""
import random
import struct
import subprocess

import machine

SECTOR = 512
MAGIC = 0x6a736677736872
FLUSH, FUA, DISCARD, MARK = 1, 2, 4, 8
STAMP = b"flusher1"
JUNK = bytes(range(1, 255))  # what the free part of the disk holds


class Entry:
    """A write of whole sectors, or a flush, or both."""

    def __init__(self, sector, count, flags, offset):
        self.sector, self.count, self.flags, self.offset = sector, count, flags, offset


def read_log(path):
    """The entries of a log; their data stays in the file, at `offset`."""
    entries = []
    with open(path, "rb") as f:
        magic, version, total, size = struct.unpack("<QQQI", f.read(28))
        assert magic == MAGIC and version == 1 and size == SECTOR, "no log of dm-log-writes with sectors of 512 bytes"
        at = SECTOR
        for _ in range(total):
            f.seek(at)
            sector, count, flags, _length = struct.unpack("<QQQQ", f.read(32))
            at += SECTOR
            entries.append(Entry(sector, count, flags, at))
            if not flags & (DISCARD | MARK):
                at += count * SECTOR
    return entries


def stamps(data, base=0):
    """The guest's sectors in a piece of data: (offset in it, seed, round, sector of the guest's disk); torn ones are wrong."""
    at = data.find(STAMP)
    while at >= 0:
        if (at + base) % SECTOR == 0 and at + SECTOR <= len(data):
            _, number, sector, seed = struct.unpack_from("<8sQQQ", data, at)
            again = struct.unpack_from("<QQ", data, at + SECTOR - 16)
            yield at, seed, number, sector if again == (number, sector) else None
        at = data.find(STAMP, at + 1)


class Replay:
    """Walks through a log once, from cut to cut, with the medium as it is at the last flush in a file of its own."""

    def __init__(self, log, medium, seed):
        self.entries, self.medium = read_log(log), medium
        self.log, self.disk = open(log, "rb"), open(medium, "r+b")
        self.random = random.Random(seed)
        self.at = 0
        self.pending = []
        self.newest = {}  # by seed of the guest: the newest round seen on the device
        self.rounds = {}  # by seed: round -> sectors written in it

    def close(self):
        self.log.close()
        self.disk.close()

    def data(self, entry):
        self.log.seek(entry.offset)
        return self.log.read(entry.count * SECTOR)

    def settle(self):
        for sector, data in self.pending:
            self.disk.seek(sector * SECTOR)
            self.disk.write(data)
        self.pending = []

    def advance(self, to):
        """Until before entry `to`."""
        for entry in self.entries[self.at:to]:
            if entry.flags & FLUSH:
                self.settle()
            if entry.flags & DISCARD:
                self.pending.append((entry.sector, bytes(entry.count * SECTOR)))
            elif entry.count and not entry.flags & MARK:
                data = self.data(entry)
                for _, seed, number, sector in stamps(data):
                    self.newest[seed] = max(number, self.newest.get(seed, 0))
                    self.rounds.setdefault(seed, {}).setdefault(number, set()).add(sector)
                self.pending.append((entry.sector, data))
        self.at = to

    def cut(self, image):
        """What the medium may hold if the power goes now."""
        self.disk.flush()
        subprocess.run(["cp", "--sparse=always", str(self.medium), str(image)], check=True)
        keep = self.random.choice([0, 0.1, 0.5, 0.9, 1])
        sectors = [(sector + i, data[i * SECTOR:(i + 1) * SECTOR])
                   for sector, data in self.pending for i in range(len(data) // SECTOR)]
        kept = [s for s in sectors if self.random.random() < keep]
        if self.random.random() < 0.5:
            self.random.shuffle(kept)
        with open(image, "r+b") as f:
            for sector, data in kept:
                f.seek(sector * SECTOR)
                f.write(data)

    def promised(self, seed):
        return promised(self.newest.get(seed, 0), self.rounds.get(seed, {}))


def promised(newest, rounds):
    """For each sector of a guest's disk that was flushed: the rounds one of which must be there. rounds: number -> its sectors."""
    last = {}
    for number, written in sorted(rounds.items()):
        for sector in written:
            if number < newest:
                last[sector] = {number}
            elif sector in last:
                last[sector] = last[sector] | {number}
    return last


class Flusher:
    """The guest of that name, told from outside: what it writes follows from its seed alone."""

    def __init__(self, seed, sectors, barrier):
        self.state = (seed * 0x9e3779b97f4a7c15 + 1) % 2 ** 64
        self.sectors, self.runs = sectors, 7 if barrier else 6

    def below(self, limit):
        x = self.state
        x ^= x >> 12
        x = (x ^ x << 25) % 2 ** 64
        self.state = x ^ x >> 27
        return (self.state * 0x2545f4914f6cdd1d % 2 ** 64 >> 33) % limit

    def round(self):
        """The sectors of the next round."""
        written = set()
        for _ in range(self.runs):
            span = self.sectors if self.below(2) else 2048
            count = 1 + self.below(8 if self.below(2) else 64)
            first = self.below(span - 64)
            written.update(range(first, first + count))
        return written


def imgtool(*words):
    done = subprocess.run([str(machine.BUILD / "imgtool"), *words], capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def check_image(path):
    """The image's own check finds no errors; leaks are allowed. A VMDK image's second tables are made equal first: they are
    written along with the first ones, and one of both may have come through."""
    kind = path.suffix[1:]
    if kind == "qcow2":
        done = subprocess.run(["qemu-img", "check", "-f", "qcow2", str(path)], capture_output=True, text=True)
        assert done.returncode in (0, 3), done.stdout + done.stderr
    elif kind == "vmdk":
        imgtool("check", str(path), "vmdk", "repair")
        status, text = imgtool("check", str(path), "vmdk")
        assert status == 0 and "errors 0" in text, text


def repair(image):
    """What is done after a power cut. The journal alone makes the file system whole."""
    done = subprocess.run(["e2fsck", "-y", "-E", "journal_only", str(image)], capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    complaints = machine.fsck(image)
    assert not complaints, "\n".join(complaints)


def extract(image, name, folder):
    """A guest's disk out of domain 0's, and the raw file with what it shows."""
    path, flat = folder / name, folder / "flat"
    path.unlink(missing_ok=True)
    machine.debugfs(image, f"dump /disks/{name} {path}")
    if path.suffix == ".img":
        return path, path
    subprocess.run(["qemu-img", "convert", "-f", path.suffix[1:], "-O", "raw", str(path), str(flat)], check=True)
    return path, flat


def check_promised(name, flat, seed, there):
    with open(flat, "rb") as f:
        for sector, rounds in there.items():
            f.seek(sector * SECTOR)
            found = list(stamps(f.read(SECTOR)))
            assert found and found[0][1] == seed and found[0][2] in rounds and found[0][3] == sector, \
                f"{name}: sector {sector} was flushed in round {min(rounds)}, there is {found}"


def judge(image, disks, replay, folder):
    """The file system and the images are whole, all that was flushed is there. disks: name in /disks -> the guest's seed."""
    repair(image)
    for name, seed in disks.items():
        path, flat = extract(image, name, folder)
        assert JUNK not in flat.read_bytes(), f"{name} shows what a file left that is gone"
        check_promised(name, flat, seed, replay.promised(seed))
        check_image(path)
