# SPDX-License-Identifier: MIT
"""What the tests of unmodified Linux guests share."""
import gzip
import pathlib
import re
import subprocess

import pytest

from machine import BUILD, debugfs

HERE = pathlib.Path(__file__).resolve().parent

# What a Linux kernel prints when something is wrong with it, or with the machine that it believes in.
COMPLAINTS = (r"WARNING:|BUG:|Oops|Call Trace|[Kk]ernel panic|general protection fault|unable to handle|rcu: INFO|"
              r"blocked for more than|[Ii]/[Oo] error|EXT4-fs error|EXT4-fs warning|segfault")


def need_packages(disk, what):
    """A loud skip, with the reason, where `make disk` could not have Debian's packages for /etc/xen/WHAT.cfg."""
    if f"{what}.cfg".encode() in debugfs(disk, "ls /etc/xen"):
        return
    tried = subprocess.run([f"dom0/debian/{what}.sh", str(BUILD / what)], capture_output=True, text=True, check=False,
                           cwd=BUILD.parent)
    pytest.skip(f"no {what} on domain 0's disk: {(tried.stdout.splitlines() or ['LINUX=0?'])[-1]}")


def put(disk, source, target):
    """A file of the host's onto domain 0's disk."""
    subprocess.run(["debugfs", "-w", "-R", f"write {source} {target}", str(disk)], check=True, capture_output=True)


def build(sources, program):
    """A program for the guest, from the .c files of a folder."""
    program.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["gcc", "-O2", "-static", "-pthread", "-Wall", "-Wextra", "-Werror", "-o", str(program),
                    *map(str, sources.glob("*.c"))], check=True)


def stress_ramdisk(folder):
    """linux.cfg's initramfs with the stress program and its init behind it; its path."""
    build(HERE / "linux_guest", folder / "stage" / "test" / "stress")
    subprocess.run(["cp", str(HERE / "linux_guest" / "init"), str(folder / "stage" / "test" / "init")], check=True)
    return ramdisk_with(folder / "stage", folder / "stress.gz")


def ramdisk_with(stage, ramdisk):
    """linux.cfg's initramfs with the files of `stage` behind it: the kernel takes several archives as one."""
    archive = subprocess.run(f"find . | {BUILD / 'debian' / 'busybox'} cpio -o -H newc", shell=True, cwd=stage, check=True,
                             capture_output=True).stdout
    ramdisk.write_bytes((BUILD / "linux" / "boot" / "initrd.gz").read_bytes() + gzip.compress(archive, 1))
    return ramdisk


def bare_stress(ramdisk, cpus):
    """What the stress programs print on the bare machine: the same kernel, without any hypervisor."""
    run = subprocess.run(["qemu-system-x86_64", "-accel", "tcg", "-cpu", "Haswell", "-smp", str(cpus), "-m", "512", "-display", "none",
                          "-monitor", "none", "-no-reboot", "-nic", "none", "-serial", "stdio",
                          "-kernel", str(BUILD / "debian" / "vmlinuz"), "-initrd", str(ramdisk),
                          "-append", "console=ttyS0 rdinit=/test/init panic=-1 quiet"],
                         stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True, errors="replace")
    return results(run.stdout)


def results(text):
    return re.findall(r"^stress: .*[^\s]", text.replace("\r", ""), re.M)


def check_log(m, name):
    """The guest's whole console: nothing that Linux warns of, nothing that the hypervisor refused or killed."""
    log = m.run(f"console --log {name}")
    found = re.search(COMPLAINTS, log)
    assert not found, log[max(0, found.start() - 500):found.end() + 500]
    assert "Linux version" in log
    assert not re.search(r"crashed|panic|refused", m.run("dmesg"))
    return log


def put_text(machine, path, text, prompt):
    """A file with this content, typed line by line at a guest's shell."""
    machine.send(f"cat > {path} << 'END-OF-FILE'\r")
    for line in text.strip("\n").split("\n"):
        machine.expect_exact("> ")
        machine.send(line + "\r")
    machine.expect_exact("> ")
    machine.send("END-OF-FILE\r")
    machine.expect_exact(prompt)
