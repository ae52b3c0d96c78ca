# SPDX-License-Identifier: MIT
"""Fixtures: the boot tests' own disks and machines, with Debian's Xen 4.17 as the hypervisor."""
import importlib.util
import pathlib
import subprocess
import sys

import pytest

BOOT = pathlib.Path(__file__).resolve().parents[1] / "boot"
sys.path.insert(0, str(BOOT))
from machine import BUILD  # noqa: E402

# By its path: both folders have a conftest.
_spec = importlib.util.spec_from_file_location("boot_fixtures", BOOT / "conftest.py")
boot_fixtures = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(boot_fixtures)
golden_disk, disk, boot = boot_fixtures.golden_disk, boot_fixtures.disk, boot_fixtures.boot


@pytest.fixture(scope="session")
def xen_image():
    """The gunzipped hypervisor; skips every test, with the reason, where it cannot be had."""
    done = subprocess.run([str(pathlib.Path(__file__).with_name("get-xen.sh")), str(BUILD / "xen")],
                          capture_output=True, text=True, timeout=600)
    if done.returncode:
        lines = (done.stdout + done.stderr).strip().splitlines()
        pytest.skip("no Xen 4.17: " + (lines[-1] if lines else "get-xen.sh failed"))
    return BUILD / "xen" / "xen"


@pytest.fixture
def xen(boot, xen_image):
    """xen(ELF, ...) boots Xen with an ELF of build/ and its command line as the kernel of domain 0."""

    def start(elf, vcpus=1, **kwargs):
        append = f"console=com1 com1=115200 dom0_mem=128M dom0_max_vcpus={vcpus}"
        return boot(kernel=xen_image, modules=[BUILD / elf], append=append, **kwargs)

    return start


def pytest_terminal_summary(terminalreporter):
    """A skip must not look like a pass."""
    for report in terminalreporter.stats.get("skipped", []):
        terminalreporter.write_line(f"SKIP: {report.nodeid}: {report.longrepr[2]}", yellow=True, bold=True)
