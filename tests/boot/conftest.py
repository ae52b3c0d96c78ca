# SPDX-License-Identifier: MIT
"""Fixtures: machines that are bounded in time, disks that are copies, and a log of each console in build/logs.

Tests may run beside each other (pytest-xdist): each has files of its own, and what they all need is made once.
"""
import fcntl
import os
import re
import shutil
import subprocess
import uuid

import pytest

from machine import BUILD, Machine, fsck, make

RUN = os.environ.get("PYTEST_XDIST_TESTRUNUID") or uuid.uuid4().hex  # the same in all processes of a run


@pytest.fixture(scope="session")
def golden_disk():
    """dom0's disk as `make disk` makes it; never written by a test. The first process of a run makes it."""
    image, made_by = BUILD / "test-dom0.img", BUILD / "test-dom0.run"
    with open(BUILD / "test-dom0.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made_by.exists() or made_by.read_text(encoding="ascii") != RUN:
            image.unlink(missing_ok=True)
            make("disk", f"DISK={image}")
            made_by.write_text(RUN, encoding="ascii")
    return image


def copy_sparse(source, target):
    subprocess.run(["cp", "--sparse=always", str(source), str(target)], check=True)
    return target


@pytest.fixture
def disk(golden_disk, tmp_path):
    """A fresh copy of dom0's disk, checked by e2fsck after the test."""
    image = copy_sparse(golden_disk, tmp_path / "dom0.img")
    yield image
    assert fsck(image) == []
    image.unlink()


@pytest.fixture
def boot(request, tmp_path):
    """boot(...) starts a machine; its console goes to build/logs/TEST.log, ended with the test."""
    logs = BUILD / "logs"
    logs.mkdir(exist_ok=True, parents=True)
    name = re.sub(r"[^\w.-]+", "_", request.node.name)
    log = open(logs / f"{request.module.__name__}.{name}.log", "w", encoding="utf-8", buffering=1)
    machines = []

    def start(**kwargs):
        m = Machine(log=log, **kwargs)
        machines.append(m)
        return m

    yield start
    for m in machines:
        m.__exit__(None, None, None)
    log.close()


@pytest.fixture(scope="module")
def machine(request, golden_disk, tmp_path_factory):
    """One machine for the tests of a module, at its prompt; powered off and its disk checked at the end.

    A module that wants its tests on several sizes of machine sets the parameter: pytest_generate_tests below."""
    logs = BUILD / "logs"
    logs.mkdir(exist_ok=True, parents=True)
    image = copy_sparse(golden_disk, tmp_path_factory.mktemp("disk") / "dom0.img")
    cpus = getattr(request, "param", 2)
    with open(logs / f"{request.module.__name__}.{cpus}.log", "w", encoding="utf-8", buffering=1) as log:
        with Machine(disk=image, cpus=cpus, log=log) as m:
            m.wait_prompt()
            yield m
            assert m.poweroff() == 0
    assert fsck(image) == []
    shutil.rmtree(image.parent, ignore_errors=True)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Tests that share a machine stay together; all others may go to any process (--dist loadgroup). First: xdist reads the marks
    in its own hook of this name."""
    for item in items:
        if "machine" in item.fixturenames:
            cpus = item.callspec.params.get("machine", "") if hasattr(item, "callspec") else ""
            item.add_marker(pytest.mark.xdist_group(f"{item.module.__name__}{cpus}"))


def pytest_generate_tests(metafunc):
    """MACHINE_CPUS = [1, 2, 4] in a module: all its tests of `machine` run on each."""
    cpus = getattr(metafunc.module, "MACHINE_CPUS", None)
    if cpus and "machine" in metafunc.fixturenames:
        metafunc.parametrize("machine", cpus, indirect=True, scope="module", ids=lambda n: f"{n}cpu")
