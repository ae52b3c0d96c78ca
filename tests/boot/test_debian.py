# SPDX-License-Identifier: MIT
"""A whole Debian 12, unmodified, booted by PV-GRUB from its own disk; its programs, and a container in it. `make test-debian`."""
import re

import pytest

from audit import at_rest
from conftest import copy_sparse
from linux import COMPLAINTS, put_text
from machine import BUILD, clean, debugfs, fsck, make
from test_pvgrub import audited, menu

pytestmark = pytest.mark.debian

PROMPT = "root@debian:~# "

PRIMES = r"""
#include <stdio.h>
int main(void)
{
    int count = 0;
    for (int n = 2; n < 20000; n++) {
        int d = 2;
        while (d * d <= n && n % d)
            d++;
        count += d * d > n;
    }
    printf("%d primes\n", count);
    return 0;
}
"""

# PID 1 of its own world: processes, host name, mounts and network are its own.
INSIDE = r"""
hostname box
mount -t proc proc /proc
echo "pid $$ on $(hostname)"
echo "root has $(echo /*)"
echo "processes $(ls /proc | grep -c '^[0-9]')"
echo "network $(ls /proc/sys/net/ipv4/conf | grep -vx -e all -e default)"
"""

# Half a minute of a loop that may use a tenth of a processor.
LIMITED = r"""
echo +cpu > /sys/fs/cgroup/cgroup.subtree_control
mkdir /sys/fs/cgroup/box
echo "10000 100000" > /sys/fs/cgroup/box/cpu.max
sh -c 'echo $$ > /sys/fs/cgroup/box/cgroup.procs; exec timeout 15 sh -c "while :; do :; done"'
cat /sys/fs/cgroup/box/cpu.stat
rmdir /sys/fs/cgroup/box
"""


@pytest.fixture(scope="module")
def debian_disk():
    """Domain 0's disk with Debian on it, or a loud skip with the reason."""
    image = BUILD / "test-debian.img"
    image.unlink(missing_ok=True)
    made = make("disk", "DEBIAN=1", f"DISK={image}", capture_output=True, text=True, check=False)
    if made.returncode != 0:
        pytest.skip(f"no Debian: {(made.stdout.splitlines() or made.stderr.splitlines() or ['?'])[-1]}")
    return image


class Debian:
    """The guest's shell, after a login at its console."""

    def __init__(self, machine):
        self.machine = machine
        menu(machine, "debian", "Debian GNU/Linux 12")
        machine.send("\r")
        machine.expect_exact("Linux version 6.1", 300)
        self.login()

    def login(self):
        self.machine.expect_exact("debian login: ", 600)
        self.machine.send("root\r")
        self.machine.expect_exact("Password: ", 60)
        self.machine.send("penumbra\r")
        self.machine.expect_exact(PROMPT, 120)

    def leave(self):
        self.machine.send("\x1d")
        self.machine.wait_prompt()

    def run(self, command, timeout=120):
        """What a command prints; it must succeed."""
        self.machine.send(f"{command}; echo status $?\r")
        self.machine.expect(r"\n(?s:(.*?))status (\d+)\r+\n", timeout)
        text, status = clean(self.machine.child.match.group(1)), self.machine.child.match.group(2)
        self.machine.expect_exact(PROMPT)
        assert status == "0", f"{command}: status {status}: {text}"
        return text

    def put(self, path, text):
        put_text(self.machine, path, text, PROMPT)


def check_programs(guest):
    assert guest.run("systemctl is-system-running --wait", 600).strip() == "running"
    assert "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"" in guest.run("cat /etc/os-release")
    assert guest.run("busybox echo one two | busybox awk '{print $2}'") == "two\n"
    assert guest.run("python3 -c 'print(sum(range(10**6)))'") == "499999500000\n"
    guest.put("primes.c", PRIMES)
    assert guest.run("tcc -o primes primes.c && ./primes") == "2262 primes\n"
    assert guest.run("perl -e 'print 2 ** 20, \"\\n\"'") == "1048576\n"


def check_disk(guest):
    """What was written is what is read, once no cache has it any more."""
    guest.run("dd if=/dev/urandom of=/var/tmp/blob bs=1M count=24 conv=fsync", 300)
    before = guest.run("sha256sum /var/tmp/blob", 120)
    guest.run("echo 3 > /proc/sys/vm/drop_caches")
    assert guest.run("sha256sum /var/tmp/blob", 120) == before and len(before) > 64
    guest.run("dd if=/var/tmp/blob of=/var/tmp/copy bs=44k oflag=direct conv=fsync && cmp /var/tmp/blob /var/tmp/copy", 300)
    guest.run("rm /var/tmp/blob /var/tmp/copy && sync")


def check_container(guest):
    guest.run("mkdir -p /srv/box/proc && cd / && cp --parents bin/busybox $(ldd /bin/busybox | grep -o '/lib[^ ]*') /srv/box; cd")
    guest.run("chroot /srv/box /bin/busybox --install /bin")
    guest.put("/srv/box/inside", INSIDE)
    said = guest.run("unshare --pid --fork --mount --uts --ipc --net --cgroup chroot /srv/box /bin/sh /inside")
    assert "pid 1 on box\n" in said
    assert "root has /bin /inside /lib /lib64 /proc\n" in said
    assert re.search(r"^network lo$", said, re.M), said
    assert int(re.search(r"^processes (\d+)$", said, re.M).group(1)) <= 4, said
    assert guest.run("hostname") == "debian\n"
    assert "/srv/box" not in guest.run("cat /proc/mounts")
    guest.put("limited", LIMITED)
    stat = dict(line.split() for line in guest.run("sh limited", 300).splitlines() if len(line.split()) == 2)
    # The loop ran for 15 s: a tenth of that, and what one more period allows to each of the two vCPUs.
    assert 0 < int(stat["usage_usec"]) < 2_000_000, stat
    assert int(stat["nr_throttled"]) > 0, stat


def check_reboot(guest):
    """By domain 0: an orderly end, GRUB, and a new life, in which only the disk remembers."""
    m = guest.machine
    guest.run("echo once > /root/kept; echo once > /run/lost; hostname")
    guest.leave()
    assert not re.search(COMPLAINTS, m.run("console --log debian"))
    first = m.domains()["debian"][1]
    assert "Rebooting domain" in m.run("reboot -w debian", 300)
    m.wait_until(lambda: m.domains().get("debian", ["", first])[1] != first, "its next life", 60)
    m.send("console debian\r")
    guest.login()
    assert guest.run("cat /root/kept; ls /run/lost 2>/dev/null; dmesg | grep -c 'recovering journal'; true") == "once\n0\n"


def fill_ring(machine):
    """A small Linux reads its disk with as many requests as the ring holds: domain 0's tables of mapped grants have their largest size
    from then on, and what a guest costs can be counted."""
    machine.send("create -c linux\r")
    machine.expect_exact("/ # ", 180)
    machine.send("for i in 0 1 2 3; do dd if=/dev/xvda of=/dev/null bs=4M count=4 skip=$((4*i)) iflag=direct & done; wait; poweroff\r")
    machine.wait_prompt(180)
    machine.gone("linux")


def test_debian(boot, debian_disk, tmp_path):
    disk = copy_sparse(debian_disk, tmp_path / "dom0.img")
    m = boot(disk=disk)
    m.wait_prompt()
    fill_ring(m)
    before = audited(at_rest(m))
    guest = Debian(m)
    check_programs(guest)
    check_disk(guest)
    check_container(guest)
    complaints = [line for line in guest.run("dmesg", 120).splitlines() if re.search(COMPLAINTS, line)]
    assert complaints == []
    check_reboot(guest)
    guest.leave()
    assert "Shutting down domain" in m.run("shutdown -w debian", 300)
    m.gone("debian")
    assert not re.search(COMPLAINTS, m.run("console --log debian"))
    assert audited(at_rest(m)) == before
    assert m.poweroff() == 0
    assert fsck(disk) == []
    inner = tmp_path / "inner.img"
    debugfs(disk, f"dump /disks/debian.img {inner}")
    assert fsck(inner) == []
    inner.unlink()
    disk.unlink()
