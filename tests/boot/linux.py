# SPDX-License-Identifier: MIT
"""What the tests of unmodified Linux guests share."""
import subprocess

import pytest

from machine import BUILD, debugfs

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
