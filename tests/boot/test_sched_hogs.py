# SPDX-License-Identifier: MIT
"""
Domains that want all the processor time that there is: what was set at the prompt holds, the prompt answers, and each policy does as
docs/scheduling.md says.
"""
import pathlib
import re
import sys
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "bench"))
import benchlib  # noqa: E402
import fairness  # noqa: E402


@pytest.fixture
def machine_of(boot, disk):
    """boots a machine of so many processors; it is powered off at the end."""
    machines = []

    def start(cpus, append="", extra=()):
        m = boot(disk=disk, cpus=cpus, append=append, extra=extra)
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


def create(m, name, count=1, words=""):
    """A hog, with all its vCPUs up: it brings up all but the first by itself."""
    m.run(f"create hog name={name} vcpus={count} {words}")
    m.wait_until(lambda: len(vcpus(m, name)) == count, f"{name} has {count} vCPUs")


# ---- by counted instructions, on one processor ----

@pytest.fixture
def counted(machine_of):
    """boots a machine of one processor whose clock counts instructions; it is powered off at the end."""
    return lambda append="": machine_of(1, append, benchlib.ICOUNT_REAL)


def reports(m, name):
    return fairness.reported(m.run(f"console --log {name}"))


def reports_since(m, name, begin, count):
    """The first reports later than `begin`, once there are so many. Domain 0 is left alone for a while before: it takes some. A
    while is what the machine works in two seconds, however long its host lets it wait for those."""
    until = m.worked() + 2
    m.wait_until(lambda: time.sleep(0.2) or m.worked() > until, "the machine works", 200)
    found = [r for r in reports(m, name) if r[0] > begin]
    return found[:count] if len(found) >= count else None


def rates(m, names, seconds=2):
    """{name: its part of the processor from now on}, by the hogs' own reports, one a second of the clock."""
    # They report at the same moments, one of which may pass between the looks at two of them: a window begins at a time.
    latest = max((r[-1][0] for name in names if (r := reports(m, name))), default=0)
    parts = {}
    for name in names:
        window = m.wait_until(lambda: reports_since(m, name, latest + 5e8, seconds + 1), f"reports of {name}", 200)
        (begin, first), (end, last) = window[0], window[-1]
        parts[name] = (last - first) * fairness.NS_PER_ITERATION / (end - begin)
    return parts


def test_caps_and_weights_change_under_load(counted):
    """Two that never sleep, so that the clock is never the host's."""
    m = counted()
    for name in ("a", "b"):
        m.run(f"create -p hog name={name}")
    m.run("unpause a b")
    parts = rates(m, ["a", "b"])
    assert parts["a"] == pytest.approx(parts["b"], rel=0.03), parts
    for cap in (25, 10):
        m.run(f"sched-wfq -d a -c {cap}")
        parts = rates(m, ["a", "b"])
        assert parts["a"] == pytest.approx(cap / 100, rel=0.02) and parts["b"] > 2 * parts["a"], parts
    m.run("sched-wfq -d a -w 768")  # beside a cap that does not let it
    assert rates(m, ["a"])["a"] == pytest.approx(0.1, rel=0.02)
    m.run("sched-wfq -d a -c 0")
    parts = rates(m, ["a", "b"])
    assert parts["a"] == pytest.approx(3 * parts["b"], rel=0.03), parts
    m.run("destroy b")
    assert rates(m, ["a"], 1)["a"] > 0.6  # domain 0 wants some for the looks


@pytest.mark.parametrize("sched, weights, seconds, tolerance", [
    ("rr", (256, 256, 256), 2, 0.03),
    ("lottery", (256, 512, 1024), 5, 0.4),  # 500 draws: a deviation of 11 % for the first, 4 % for the last
    ("credit", (256, 512, 1024), 4, 0.1)])
def test_other_policies_share_as_they_say(counted, sched, weights, seconds, tolerance):
    m = counted(f"sched={sched}")
    assert f"sched={sched} " in m.run("sched-wfq -s")
    names = {f"h{i}": w for i, w in enumerate(weights)}
    for name, weight in names.items():
        m.run(f"create -p hog name={name}" + (f" cpu_weight={weight}" if len(set(weights)) > 1 else ""))
    m.run("unpause " + " ".join(names))
    parts = rates(m, names, seconds)
    total = sum(parts.values())
    assert total > 0.6, parts  # domain 0 wants some for the looks
    for name, weight in names.items():
        assert parts[name] / total == pytest.approx(weight / sum(weights), rel=tolerance), parts
    if sched == "credit":
        m.run("sched-wfq -d h2 -c 20")
        rates(m, ["h2"], 1)  # its credit from before
        assert rates(m, ["h2"], 2)["h2"] == pytest.approx(0.2, rel=0.1)
    assert "hello.cfg" in m.run("ls /etc/xen")


def check_that_domain_0_answers(m):
    """24 vCPUs of four weights, most of which never yield, on its processor too: its weight is 1 in 40."""
    names = [f"h{i}" for i in range(16)]
    for i, name in enumerate(names):
        m.run(f"create -p hog name={name} vcpus={1 + i % 2} cpu_weight={(256, 512, 64, 1024)[i % 4]}")
    m.run("unpause " + " ".join(names))
    for _ in range(3):
        assert len(m.domains()) == 17
        assert "hello.cfg" in m.run("ls /etc/xen")
    m.send("create -c hello\r")
    m.expect_exact("hello: tick 1", 200)
    m.send("anybody?\r")
    m.expect_exact("hello: you said: anybody?", 200)
    m.send("\x1d")
    m.wait_prompt()
    for i, name in enumerate(names):
        m.wait_until(lambda: [s > 0 for _, _, _, s in vcpus(m, name)] == [True] * (1 + i % 2), f"{name} runs", 200)
    m.run("sched-wfq -d Domain-0 -w 65535")  # as a person would who has much to do
    m.run("destroy hello " + " ".join(names), 200)
    m.wait_until(lambda: list(m.domains()) == ["Domain-0"], "they are gone")


def test_domain_0_answers_beside_sixteen_hogs(counted):
    check_that_domain_0_answers(counted())


# ---- by the host's clock ----

def test_pinned_vcpus_stay(machine_of):
    """Four processors, more hogs than that: once a vCPU is where it may be, it is so whenever one looks, and all get on."""
    m = machine_of(4)
    pins = {"p0": ["0", "1"], "p1": ["1-2", "1-2"], "p2": ["3", "^0"], "free": ["all", "all"]}
    for name, cpus in pins.items():
        create(m, name, 2)
        for vcpu, mask in enumerate(cpus):
            assert m.run(f"vcpu-pin {name} {vcpu} {mask}") == ""
    may = {"0": {0}, "1": {1}, "1-2": {1, 2}, "3": {3}, "^0": {1, 2, 3}, "all": {0, 1, 2, 3}}

    def misplaced():
        return [(name, vcpu, cpu) for name, vcpu, cpu, _ in vcpus(m) if name in pins and cpu not in may[pins[name][vcpu]]]

    m.wait_until(lambda: not misplaced(), "each is where it may be", 60)
    first = {row[:2]: row[3] for row in vcpus(m)}
    for _ in range(12):
        assert misplaced() == []
    m.wait_until(lambda: all(s > first[(n, v)] for n, v, _, s in vcpus(m) if n in pins), "every vCPU gets on", 60)
    m.run("vcpu-pin free all 2")
    m.wait_until(lambda: {cpu for _, _, cpu, _ in vcpus(m, "free")} == {2}, "both have run there", 60)
    for _ in range(5):
        assert {cpu for _, _, cpu, _ in vcpus(m, "free")} == {2}


def test_domain_0_answers_beside_sixteen_hogs_on_two(machine_of):
    check_that_domain_0_answers(machine_of(2))


def goes_on(m, name, seconds=0.2):
    """Each of its vCPUs."""
    since = {v: s for _, v, _, s in vcpus(m, name)}
    assert since, name
    m.wait_until(lambda: all(s > since[v] + seconds for _, v, _, s in vcpus(m, name)), f"{name} runs", 100)


def test_a_running_domain_moves_between_pools(machine_of):
    """With its weight and cap, and it runs on in each; as does what it leaves and what it meets."""
    m = machine_of(2)
    m.run("cpupool-cpu-remove Pool-0 1")
    m.run("cpupool-create hot")
    create(m, "stays", 2)
    create(m, "there", words="pool=hot")
    create(m, "moves", 2, "cpu_weight=700 cap=90")
    for pool, cpu in (("hot", 1), ("Pool-0", 0)) * 3:
        assert m.run(f"cpupool-migrate moves {pool}") == ""
        for name in ("moves", "stays", "there"):
            goes_on(m, name)
        assert {row[2] for row in vcpus(m, "moves")} == {cpu}
        assert {row[2] for row in vcpus(m, "stays")} == {0} and {row[2] for row in vcpus(m, "there")} == {1}
        assert re.search(r"^moves +\d+ +700 +90$", m.run(f"sched-wfq -p {pool}"), re.M)
    # Processors change pools below running domains, too.
    m.run("cpupool-migrate moves Pool-0")
    m.run("cpupool-migrate there Pool-0")
    assert m.run("cpupool-destroy hot") == "" and m.run("cpupool-cpu-add Pool-0 all") == ""
    m.wait_until(lambda: {row[2] for row in vcpus(m)} == {0, 1}, "both processors are used", 60)
    for _ in range(3):
        assert m.run("cpupool-cpu-remove Pool-0 0") == ""  # domain 0's own, perhaps
        m.wait_until(lambda: {row[2] for row in vcpus(m)} == {1}, "all are on the other one", 60)
        assert m.run("cpupool-cpu-add Pool-0 0") == ""
        m.wait_until(lambda: {row[2] for row in vcpus(m)} == {0, 1}, "both again", 60)
    for name in ("moves", "stays", "there"):
        goes_on(m, name)


def test_null_gives_whole_processors(machine_of):
    """Domain 0 and two hogs have one each; who comes then waits, which is in the log, until one is free."""
    m = machine_of(3, "sched=null")
    for name in ("h0", "h1"):
        m.run(f"create hog name={name}")
        goes_on(m, name)
    assert len({row[2] for row in vcpus(m)}) == 3
    m.run("create hog name=late")
    assert re.search(r"domain \d+ vCPU 0 does not run: scheduler null has no pCPU left for it", m.run("dmesg"))
    for name in ("h0", "h1"):
        goes_on(m, name)
    assert [s for _, _, _, s in vcpus(m, "late")] == [0]
    m.run("destroy h0")
    goes_on(m, "late")
    assert len({row[2] for row in vcpus(m)}) == 3
