# SPDX-License-Identifier: MIT
"""Debian's Linux, unmodified, and what its block front end makes of disks that come, go and change."""
import hashlib
import random
import re

import pytest

from linux import check_log, need_packages, put
from test_linux import enter, leave, shell, start

SYS = "/sys/block"


@pytest.fixture(scope="module", autouse=True)
def packages(golden_disk):
    need_packages(golden_disk, "linux")


def command(m, line):
    """One of domain 0's commands, from the guest's console and back to it."""
    leave(m)
    text = m.run(line, 60)
    enter(m)
    return text


def becomes(m, line, answer):
    m.wait_until(lambda: shell(m, line) == answer, f"{line}: {answer}", 60)


def detach(m, vdev):
    """The guest has ten seconds to let go, of a clock that is the host's: one that is slow is asked again."""
    m.wait_until(lambda: command(m, f"block-detach linux {vdev}") == "", f"{vdev} goes", 60)


def plug(m):
    """A writable disk comes, is used, grows, and goes."""
    assert command(m, "block-attach linux plug.qcow2,,xvdb,w") == ""
    becomes(m, f"cat {SYS}/xvdb/size", "8192")
    assert shell(m, f"cat {SYS}/xvdb/ro {SYS}/xvdb/removable").split() == ["0", "0"]
    wrote = shell(m, "dd if=/dev/urandom of=/tmp/a bs=64k count=64 2>/dev/null; dd if=/tmp/a of=/dev/xvdb bs=64k conv=fsync 2>/dev/null;"
                     " md5sum < /tmp/a")
    shell(m, "echo 3 > /proc/sys/vm/drop_caches")
    assert shell(m, "md5sum < /dev/xvdb") == wrote
    assert int(re.search(r"on disk +(\d+)", command(m, "disk-info plug.qcow2")).group(1)) > 4 << 20
    assert shell(m, "blkdiscard /dev/xvdb && tr -d '\\0' < /dev/xvdb | wc -c") == "0"
    assert int(re.search(r"on disk +(\d+)", command(m, "disk-info plug.qcow2")).group(1)) < 1 << 20
    assert command(m, "disk-resize plug.qcow2 6M") == ""
    becomes(m, f"cat {SYS}/xvdb/size", "12288")
    assert shell(m, "dd if=/dev/xvdb bs=1M skip=4 2>/dev/null | tr -d '\\0' | wc -c") == "0"
    detach(m, "xvdb")
    becomes(m, f"ls {SYS} | grep -c xvdb", "0")


def drive(m, content):
    """A CD-like drive: empty, with a medium, with another one, empty."""
    assert command(m, "block-attach linux vdev=xvdc,devtype=cdrom") == ""
    becomes(m, f"cat {SYS}/xvdc/size", "0")
    assert shell(m, f"cat {SYS}/xvdc/ro {SYS}/xvdc/removable").split() == ["1", "1"]
    for name, data in content.items():
        assert command(m, f"cd-insert linux xvdc {name}") == ""
        becomes(m, f"cat {SYS}/xvdc/size", str(len(data) // 512))
        assert shell(m, "md5sum < /dev/xvdc").split()[0] == hashlib.md5(data).hexdigest()
    assert "0+0 records out" in shell(m, "dd if=/tmp/a of=/dev/xvdc count=1 2>&1")
    assert command(m, "cd-eject linux xvdc") == ""
    becomes(m, f"cat {SYS}/xvdc/size", "0")
    detach(m, "xvdc")
    becomes(m, f"ls {SYS} | grep -c xvdc", "0")


def test_disks_come_and_go(boot, disk, tmp_path):
    content = {}
    for n, size in enumerate([300 << 10, 900 << 10]):
        content[f"cd{n}.iso"] = random.Random(n).randbytes(size)
        (tmp_path / f"cd{n}.iso").write_bytes(content[f"cd{n}.iso"])
        put(disk, tmp_path / f"cd{n}.iso", f"/disks/cd{n}.iso")
    m = boot(disk=disk, cpus=2)
    m.wait_prompt()
    m.run("disk-create plug.qcow2 4M")
    start(m, "vcpus=2")
    plug(m)
    assert "in use" not in command(m, "disk-info plug.qcow2")
    drive(m, content)
    leave(m)
    check_log(m, "linux")
    assert "0 errors, 0 leaks" in m.run("disk-check plug.qcow2")
    assert m.poweroff() == 0
