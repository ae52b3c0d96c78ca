# SPDX-License-Identifier: MIT
"""A machine under test: QEMU with its serial console, driven as a person at the terminal would."""
import contextlib
import os
import pathlib
import re
import subprocess
import tempfile
import time

import pexpect

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"
PROMPT = "dom0> "
# Everything is emulated and the host may be busy: generous bounds, which only a hang reaches.
SECOND = float(os.environ.get("TEST_TIME_FACTOR", "1"))


class Machine:
    """One run of QEMU. Use as a context manager: it is powered off, or ended, on the way out."""

    def __init__(self, disk=None, cpus=2, mem="1G", iso=False, extra=(), log=None, cpu="Haswell",
                 kernel=None, modules=None, append="", dom0_args=""):
        self.disk = disk
        self.marks = 0
        args = ["-accel", "tcg", "-cpu", cpu, "-smp", str(cpus), "-m", mem, "-display", "none",
                "-monitor", "none", "-no-reboot", "-nic", "none",
                "-device", "isa-debug-exit,iobase=0xf4,iosize=0x04",
                "-chardev", "stdio,id=con,signal=off", "-serial", "chardev:con"]
        if iso:
            args += ["-cdrom", str(BUILD / "penumbra.iso"), "-boot", "d"]
        else:
            if modules is None:
                modules = [BUILD / "boot.dtb", f"{BUILD / 'dom0.elf'} {dom0_args}".strip()]
            args += ["-kernel", str(kernel or BUILD / "penumbra.elf"), "-append", append]
            if modules:
                args += ["-initrd", ",".join(str(m) for m in modules)]
        if disk:
            # Nobody cuts the power of these: the host's disk need not be waited for at each flush. It would be as dead as long to
            # a machine whose clock flies while it is idle (-icount sleep=off).
            args += ["-drive", f"file={disk},format=raw,if=none,id=d0,cache=unsafe",
                     "-device", "virtio-blk-pci,drive=d0,disable-legacy=on"]
        args += list(extra)
        self.child = pexpect.spawn("qemu-system-x86_64", args, encoding="utf-8",
                                   codec_errors="replace", timeout=60 * SECOND, echo=False)
        self.child.logfile_read = log
        self.child.delaybeforesend = 0

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if self.child.isalive():
            self.child.terminate(force=True)
        self.child.close()

    # ---- talking ----
    def expect(self, what, timeout=60):
        return self.child.expect(what, timeout=timeout * SECOND)

    def expect_exact(self, what, timeout=60):
        return self.child.expect_exact(what, timeout=timeout * SECOND)

    def send(self, text):
        self.child.send(text)

    def wait_prompt(self, timeout=60):
        self.expect_exact("\n" + PROMPT, timeout)  # a line editor's redraw has no line feed before it
        return clean(self.child.before) + "\n"

    def sync(self):
        """After keys whose echo is not of interest: leaves the line empty and the output read."""
        self.marks += 1
        self.send(f"\x15nosuch{self.marks}\r")
        self.expect_exact(f"unknown command 'nosuch{self.marks}'")
        self.wait_prompt()

    def run(self, line, timeout=60):
        """Types a command line and returns what it printed, up to the next prompt, without its echo."""
        self.child.send(line + "\r")
        text = self.wait_prompt(timeout)
        first, _, rest = text.partition("\n")
        return rest if line.strip() and line.strip()[:20] in first else text

    def info(self, key):
        text = self.run(f"info {key}")
        found = re.search(r"^\d+$", text, re.M)  # domain 0's messages may come before and behind it
        assert found, text
        return int(found.group())

    def wait_until(self, condition, what, timeout=30):
        """Asks again and again, up to the bound, which only a hang reaches. Returns the true value."""
        end = time.monotonic() + timeout * SECOND
        while time.monotonic() < end:
            value = condition()
            if value:
                return value
        raise AssertionError(f"not within {timeout} s: {what}")

    def worked(self):
        """Seconds of the host's processors that the machine has had."""
        stat = pathlib.Path(f"/proc/{self.child.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")

    def gone(self, name, timeout=30):
        self.wait_until(lambda: name not in self.domains(), f"{name} is gone", timeout)

    def poweroff(self, timeout=60):
        self.child.send("poweroff\r")
        return self.wait_end(timeout)

    def wait_end(self, timeout=60):
        """Until QEMU ends by itself; its exit status."""
        self.expect(pexpect.EOF, timeout)
        self.child.close()
        return self.child.exitstatus

    def domains(self):
        """Names in `list`, with their rows. What domain 0 says between them, as of a domain that has ended, is none."""
        rows = {}
        for line in self.run("list").splitlines():
            words = line.split()
            if len(words) >= 6 and words[1].isdigit():
                rows[words[0]] = words
        return rows


def make(*words, **how):
    """make, one at a time: tests run beside each other, and some want the same file."""
    return subprocess.run(["flock", str(BUILD / "make.lock"), "make", "-s", *words], cwd=ROOT, **{"check": True, **how})


@contextlib.contextmanager
def copy_of_disk():
    """domain 0's disk as `make disk` makes it, for one run and nobody else."""
    with tempfile.TemporaryDirectory() as folder:
        image = pathlib.Path(folder) / "dom0.img"
        make("disk", f"DISK={image}")
        yield image


def clean(text):
    """Without carriage returns and terminal control sequences."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text.replace("\r", ""))


def fsck(image):
    """e2fsck -fn: a list of complaints, empty if the file system is clean."""
    done = subprocess.run(["e2fsck", "-fn", str(image)], capture_output=True, text=True)
    return [] if done.returncode == 0 else done.stdout.splitlines() + done.stderr.splitlines()


def debugfs(image, command):
    done = subprocess.run(["debugfs", "-R", command, str(image)], capture_output=True)
    return done.stdout
