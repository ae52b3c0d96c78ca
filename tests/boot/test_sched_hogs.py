# SPDX-License-Identifier: MIT
"""Domains that want all the processor time that there is: what was set at the prompt holds."""
import re

import pytest


@pytest.fixture
def machine_of(boot, disk):
    """boots a machine of so many processors; it is powered off at the end."""
    machines = []

    def start(cpus):
        m = boot(disk=disk, cpus=cpus)
        machines.append(m)
        m.wait_prompt(120)
        return m

    yield start
    for m in machines:
        assert m.poweroff(120) == 0


def vcpus(m, name=""):
    """[(domain, vCPU, CPU, seconds)] of vcpu-list."""
    rows = re.findall(r"^(\S+) +\d+ +(\d+) +(\d+) +[r-][b-]- +([\d.]+) ", m.run(f"vcpu-list {name}"), re.M)
    return [(n, int(v), int(c), float(s)) for n, v, c, s in rows]


def test_pinned_vcpus_stay(machine_of):
    """Four processors, more hogs than that: each vCPU is where it may be whenever one looks, and all get on."""
    m = machine_of(4)
    pins = {"p0": ["0", "1"], "p1": ["1-2", "1-2"], "p2": ["3", "^0"], "free": ["all", "all"]}
    for name, cpus in pins.items():
        m.run(f"create hog name={name} vcpus=2")
        for vcpu, mask in enumerate(cpus):
            assert m.run(f"vcpu-pin {name} {vcpu} {mask}") == ""
    may = {"0": {0}, "1": {1}, "1-2": {1, 2}, "3": {3}, "^0": {1, 2, 3}, "all": {0, 1, 2, 3}}
    first = {row[:2]: row[3] for row in vcpus(m)}
    for _ in range(12):
        for name, vcpu, cpu, _ in vcpus(m):
            if name in pins:
                assert cpu in may[pins[name][vcpu]], (name, vcpu, cpu)
    m.wait_until(lambda: all(s > first[(n, v)] for n, v, _, s in vcpus(m) if n in pins), "every vCPU gets on", 60)
    m.run("vcpu-pin free all 2")
    for _ in range(5):
        assert {cpu for _, _, cpu, _ in vcpus(m, "free")} == {2}
