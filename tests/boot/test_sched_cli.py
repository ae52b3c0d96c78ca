# SPDX-License-Identifier: MIT
"""What a person at domain 0's prompt sees of the scheduler, and sets: shares, affinities, `top`."""
import re

import pexpect
import pytest

from screen import Screen

WIDE = 170
HEADING = ("      NAME  STATE   CPU(sec) CPU(%)     MEM(k) MEM(%)  MAXMEM(k) MAXMEM(%) VCPUS NETS NETTX(k) NETRX(k) VBDS   VBD_OO"
           "   VBD_RD   VBD_WR  VBD_RSECT  VBD_WSECT SSID")


def shares(text):
    """{name: (weight, cap)} of sched-wfq's table."""
    assert re.search(r"^Name {32}ID Weight  Cap$", text, re.M), text
    return {n: (int(w), int(c)) for n, w, c in re.findall(r"^(\S+) +\d+ +(\d+) +(\d+)$", text, re.M)}


def affinity(m, name):
    """[(hard, soft)] of the domain's vCPUs."""
    return re.findall(r" {2}(\S+) / (\S+)$", m.run(f"vcpu-list {name}"), re.M)


@pytest.fixture
def hog(machine):
    """A domain of two vCPUs that stays."""
    machine.run("create -p hog name=hog1 vcpus=2")
    yield "hog1"
    machine.run("destroy hog1")


# ---- shares ----

def test_weights_and_caps(machine, hog):
    text = machine.run("sched-wfq")
    assert re.match(r"Cpupool Pool-0:.*\nName {32}ID Weight  Cap\nDomain-0 +0 +256 +0\n", text)
    assert shares(text)[hog] == (256, 0)
    assert machine.run(f"sched-wfq -d {hog} -w 512") == ""
    assert shares(machine.run(f"sched-wfq -d {hog}")) == {hog: (512, 0)}
    assert machine.run(f"sched-wfq --domain={hog} --cap=150") == ""
    assert shares(machine.run("sched-wfq -p Pool-0"))[hog] == (512, 150)
    assert machine.run(f"sched-wfq -d {hog} -w 65535 -c 3200") == ""
    assert machine.run(f"sched-wfq -d {hog} -c0") == ""
    assert shares(machine.run("sched-wfq"))[hog] == (65535, 0)
    machine.run(f"sched-wfq -d {hog} -w 1")
    assert shares(machine.run("sched-wfq"))[hog] == (1, 0)
    machine.run("sched-wfq -d Domain-0 -w 1000")
    assert shares(machine.run("sched-wfq -d 0")) == {"Domain-0": (1000, 0)}
    machine.run("sched-wfq -d 0 -w 256")


def test_a_new_domain_begins_with_the_defaults(machine, hog):
    """Whoever had the name before, and from the configuration if that says so."""
    machine.run(f"sched-wfq -d {hog} -w 7 -c 9")
    machine.run(f"vcpu-pin {hog} all 0 0")
    machine.run(f"destroy {hog}")
    machine.run("create -p hog name=hog1 vcpus=2")
    assert shares(machine.run(f"sched-wfq -d {hog}"))[hog] == (256, 0)
    assert affinity(machine, hog) == [("all", "all")] * 2
    machine.run("create -p hog name=cfg cpu_weight=300 cap=20 vcpus=2 cpus=['0','1'] cpus_soft='1'")
    assert shares(machine.run("sched-wfq -d cfg"))["cfg"] == (300, 20)
    assert affinity(machine, "cfg") == [("0", "1"), ("1", "1")]
    machine.run("destroy cfg")


@pytest.mark.parametrize("words, answer", [
    ("-d hog1 -w 0", r"bad weight '0': write a number from 1 to 65535"),
    ("-d hog1 -w 65536", r"bad weight '65536'"),
    ("-d hog1 -w -5", r"bad weight '-5'"),
    ("-d hog1 -w 5x", r"bad weight '5x'"),
    ("-d hog1 -c 3201", r"bad cap '3201': write percent of one CPU, from 1 to 3200, or 0"),
    ("-d hog1 -c ten", r"bad cap 'ten'"),
    ("-d hog1 -w", r"option -w needs a value"),
    ("-d nobody", r"there is no domain 'nobody': `list` shows all"),
    ("-d 99 -w 5", r"there is no domain '99'"),
    ("-p Pool-9", r"there is no pool 'Pool-9': `cpupool-list` shows all"),
    ("-w 5", r"whose weight or cap\? name it with -d DOMAIN"),
    ("-d hog1 -s", r"-d is about one domain; -s, -r and -p are about a pool"),
    ("-r 5", r"-r sets a parameter of the pool: add -s"),
    ("-s -r soon", r"bad time 'soon'"),
    ("-z", r"there is no option '-z': `help sched-wfq` shows them"),
    ("hog1", r"^usage: sched-wfq "),
])
def test_bad_shares(machine, hog, words, answer):
    text = machine.run(f"sched-wfq {words}")
    assert re.search(answer, text) and len(text.splitlines()) == 1, text
    assert shares(machine.run("sched-wfq"))[hog] == (256, 0)


def test_names_that_xl_has(machine, hog):
    for command in ["sched-credit", "sched-credit2"]:
        text = machine.run(command)
        assert text.startswith(f"({command}: here it is sched-wfq, with the same options)\nCpupool Pool-0:")
        assert shares(text)[hog] == (256, 0)
        machine.run(f"{command} -d {hog} -w 400")
        assert shares(machine.run(f"{command} -d {hog}"))[hog] == (400, 0)
        machine.run(f"{command} -d {hog} -w 256")


# ---- affinity ----

def test_pins(machine, hog):
    assert affinity(machine, hog) == [("all", "all")] * 2
    assert machine.run(f"vcpu-pin {hog} 0 1") == ""
    assert affinity(machine, hog) == [("1", "all"), ("all", "all")]
    assert machine.run(f"vcpu-pin {hog} all 0-1 ^0") == ""
    assert affinity(machine, hog) == [("all", "1")] * 2
    assert machine.run(f"vcpu-pin {hog} 1 - all") == ""
    assert affinity(machine, hog) == [("all", "1"), ("all", "all")]
    assert machine.run(f"vcpu-pin {hog} 1 all,^1 -") == ""
    assert affinity(machine, hog) == [("all", "1"), ("0", "all")]
    assert "hog1, vCPU 1: its soft affinity has no CPU of its hard one: it counts for nothing" in machine.run(f"vcpu-pin {hog} 1 - 1")
    assert machine.run("vcpu-pin Domain-0 0 0") == ""
    assert affinity(machine, "Domain-0") == [("0", "all")]
    assert machine.run("vcpu-pin 0 all all") == ""
    assert affinity(machine, "Domain-0") == [("all", "all")]


@pytest.mark.parametrize("words, answer", [
    ("hog1 2 0", r"hog1 has no vCPU '2': write a number from 0 to 1, or all"),
    ("hog1 one 0", r"hog1 has no vCPU 'one'"),
    ("hog1 0 7", r'this machine has no CPU of "7": it has 0 to 1'),
    ("hog1 0 64", r'bad CPU list "64"'),
    ("hog1 0 1-0", r'bad CPU list "1-0"'),
    ("hog1 0 0,^0", r'the CPU list "0,\^0" leaves no CPU'),
    ("hog1 0 0 nodes:0", r'bad CPU list "nodes:0"'),
    ("hog1 0 -", r"nothing to change"),
    ("hog1 0 - -", r"nothing to change"),
    ("nobody 0 0", r"there is no domain 'nobody'"),
    ("hog1 0", r"^usage: vcpu-pin DOMAIN VCPU\|all HARD \[SOFT\]"),
    ("hog1 0 0 0 0", r"^usage: vcpu-pin "),
])
def test_bad_pins(machine, hog, words, answer):
    text = machine.run(f"vcpu-pin {words}")
    assert re.search(answer, text) and len(text.splitlines()) == 1, text
    assert affinity(machine, hog) == [("all", "all")] * 2


# ---- top ----

def test_top_as_text(machine):
    machine.run('create diskio name=disk cmdline="stay=1"')
    machine.wait_until(lambda: "verified 16 MiB" in machine.run("console --log disk"), "the disk has been read")
    machine.wait_until(lambda: machine.domains()["disk"][4] == "-b----", "it sleeps for good")
    machine.run("create hog name=top-hog-with-a-long-name cap=50 vcpus=2")
    machine.wait_until(lambda: machine.domains()["top-hog-with-a-long-name"][3] == "2", "the hog's second vCPU is up")
    blocks = machine.run("top -b -i 2 -d 1").split("xentop - ")[1:]
    assert len(blocks) == 2
    for block in blocks:
        lines = block.splitlines()
        assert re.match(r"\d\d:\d\d:\d\d   Xen 4\.17\.0-penumbra$", lines[0])
        assert re.match(r"3 domains: [1-3] running, [0-2] blocked, 0 paused, 0 crashed, 0 dying, 0 shutdown$", lines[1])
        assert re.match(r"Mem: \d+k total, \d+k used, \d+k free    CPUs: 2 @ \d+MHz$", lines[2])
        assert lines[3] == HEADING
        assert len(lines) == 7 and all(len(row) == len(HEADING) for row in lines[4:]), block
    rows = {row.split()[0]: row.split() for row in lines[4:]}
    assert list(rows) == ["Domain-0", "disk", "top-hog-wi"]
    assert rows["Domain-0"][1] == "-----r" and rows["Domain-0"][8] == "1"
    assert rows["disk"][1] == "--b---" and rows["disk"][4] == "32768"
    vbds, oo, rd, wr, rsect, wsect, ssid = (int(n) for n in rows["disk"][12:])
    assert (vbds, oo, ssid) == (1, 0, 0) and rsect >= 32768 and wsect >= 32768 and rd > 0 and wr > 0
    text = machine.run("top -bfvx -i 1")
    assert "top-hog-with-a-long-name" in text
    assert len(re.findall(r"^VCPUs\(sec\):   0: +\d+s  1: +\d+s$", text, re.M)) == 1
    assert re.search(rf"^VBD BlkBack 51712 \[ca: 0\]  OO: +0   RD: +\d+   WR: +{wr}  RSECT: +\d+  WSECT: +{wsect}$", text, re.M)

    def part_of_the_hog():
        """Of a second. Its cap, where no processor of the machine stood still for a part of that."""
        return float(re.findall(r"^ *top-hog-wi +\S+ +\d+ +([\d.]+)", machine.run("top -b -i 2 -d 1"), re.M)[1])
    machine.wait_until(lambda: 30 < part_of_the_hog() < 60, "CPU(%) is what its cap lets it have")
    machine.run("destroy disk top-hog-with-a-long-name")


def test_top_as_text_is_stopped(machine):
    machine.send("top -b -d 1\r")
    machine.expect_exact("xentop - ")
    machine.expect_exact("xentop - ")
    machine.send("list\r")  # typed ahead: for the prompt
    machine.expect_exact("xentop - ")
    machine.send("\x03")
    machine.wait_prompt()
    machine.sync()


@pytest.mark.parametrize("words, answer", [
    ("-d 0", r"bad delay '0': write seconds, from 0\.1 to 3600"), ("-d 3601", r"bad delay"), ("-d 1.25", r"bad delay"),
    ("-d .", r"bad delay"), ("-d -1", r"bad delay"), ("-i 0", r"bad number of iterations '0'"),
    ("-i many", r"bad number of iterations"), ("-q", r"there is no option '-q': `help top`"), ("hog1", r"^usage: top ")])
def test_bad_top(machine, words, answer):
    text = machine.run(f"top {words}")
    assert re.search(answer, text) and len(text.splitlines()) == 1, text


class Live:
    """`top` on a screen of our own."""

    def __init__(self, machine, command, rows, columns):
        self.machine = machine
        self.screen = Screen(machine.send, rows, columns)
        # The first answer is there before the question: `top` waits a quarter of a second for it, which may be less than a busy
        # host wants, and then draws for a screen of another size.
        machine.send(f"{command}\r\x1b[{rows};{columns}R")
        machine.expect_exact("\x1b[?1049h")
        self.screen.modes["?1049"] = True

    def until(self, condition, what):
        """Lets it draw until the condition on the lines is true; returns them."""
        def look():
            if self.machine.child.expect([".+", pexpect.TIMEOUT], timeout=1) == 0:
                self.screen.feed(self.machine.child.after)
            return condition(self.screen.lines)
        self.machine.wait_until(look, f"{what}: " + "\n".join(self.screen.lines))
        return self.screen.lines

    def key(self, keys, condition, what):
        self.machine.send(keys)
        return self.until(condition, what)


def test_top_live(machine):
    for i in range(4):
        machine.run(f"create -p hog name=live-hog-{i} vcpus=6")
    machine.run("unpause live-hog-3")
    live = Live(machine, "top -d 0.5", 14, WIDE)
    bottom = "q Quit  d Delay 0.5 s  s S Sort by ID  v VCPUs  b VBDs  f Full names"
    lines = live.until(lambda s: s[13] == bottom and len(s[8]) == len(HEADING) and s[0].startswith("xentop - ") and "live-hog-3" in s[8], "the first picture")
    assert lines[3] == HEADING and lines[9:13] == [""] * 4
    assert lines[1].startswith("5 domains: ") and "3 paused" in lines[1]
    live.until(lambda s: re.match(r"live-hog-3 -+r? +\d+ +[1-9]", s[8]), "the hog's CPU time is seen")

    live.key("ss", lambda s: "Sort by STATE" in s[13], "another column")
    live.key("SSS", lambda s: "Sort by SSID" in s[13], "and back beyond the first")
    live.key("sssss", lambda s: "Sort by CPU(%)" in s[13] and s[4].startswith("live-hog-3"), "the busiest first")
    live.key("SSSS", lambda s: bottom in s[13], "by number")
    live.key("v", lambda s: "Domain-0" in s[4] and re.match(r"VCPUs\(sec\):   0: +\d+s$", s[5]) and
             re.match(r" {14}5: +\d+s$", s[8]) and "live-hog-2" in s[12], "vCPUs, five on a line")
    live.key("\x1b[6~", lambda s: "live-hog-3" in s[10], "the end of the table")
    live.key("\x1b[5~", lambda s: "Domain-0" in s[4], "its beginning")
    live.key("v", lambda s: not any("VCPUs(sec):" in line for line in s), "no vCPUs")
    live.key("d", lambda s: s[13] == "Seconds between two looks, now 0.5: _", "the question for a delay")
    live.key("0.9\x7f3", lambda s: s[13] == "Seconds between two looks, now 0.5: 0.3_", "an answer")
    live.key("\r", lambda s: "Delay 0.3 s" in s[13], "the new delay")
    live.key("d9999\r", lambda s: "Delay 0.3 s" in s[13], "nonsense is not taken")
    live.key("f", lambda s: s[3].startswith("      NAME"), "whole names")
    assert live.screen.wrapped == live.screen.scrolled == 0

    machine.send("qlist\r")  # what comes behind the q is the prompt's
    machine.wait_prompt()
    assert "Domain-0" in machine.wait_prompt()
    assert "Domain-0" in machine.run("list")
    machine.run("destroy live-hog-0 live-hog-1 live-hog-2 live-hog-3")


def test_top_on_small_and_silent_terminals(machine):
    live = Live(machine, "top", 8, 40)
    live.until(lambda s: s[7].startswith("q Quit") and s[3] == HEADING[:40].rstrip() and s[4].startswith("  Domain-0"), "a small picture")
    assert live.screen.wrapped == live.screen.scrolled == 0
    machine.send("\x03")
    live.until(lambda s: not live.screen.modes["?1049"], "the screen from before")
    assert live.screen.modes["?25"] and live.screen.modes["?7"]
    machine.sync()
    text = machine.run("top -i 2 -d 0.5")  # nobody answers its question here: 24 lines of 80
    assert HEADING[:80] in text and HEADING[:81] not in text
    machine.sync()


def test_help_and_completion(machine):
    text = machine.run("help")
    for command in ["sched-wfq", "sched-credit", "vcpu-pin", "top"]:
        assert re.search(rf"^ +{command}\b", text, re.M), command
    assert "  -w WEIGHT  its weight against others, 1 to 65535" in machine.run("help sched-wfq")
    machine.send("sched-w\t-p Po\t\r")
    assert "Domain-0" in machine.wait_prompt()
    machine.send("vcpu-p\tDom\r")
    assert "usage: vcpu-pin" in machine.wait_prompt()


# ---- pools ----

def pools(m):
    """{name: (CPUs, scheduler, number of domains)}, in order."""
    text, cpus = m.run("cpupool-list"), m.run("cpupool-list -c")
    assert text.startswith("Name               CPUs   Sched     Active   Domain count\n") and cpus.startswith("Name               CPU list\n")
    lists = dict(re.findall(r"^(\S+) +([\d,]*)$", cpus, re.M))
    found = {n: (lists[n], s, int(d)) for n, c, s, d in re.findall(r"^(\S+) +(\d+) +(\S+)       y +(\d+)$", text, re.M)
             if len(lists[n].split(",") if lists[n] else []) == int(c)}
    assert len(found) == len(text.splitlines()) - 1, text
    return found


@pytest.fixture
def second_pool(machine):
    """A pool `hot` of CPU 1. Afterwards all is as it was."""
    machine.run("cpupool-cpu-remove Pool-0 1")
    machine.run("cpupool-create hot")
    yield "hot"
    for name in list(pools(machine))[1:]:
        machine.run(f"cpupool-destroy {name}")
    machine.run("cpupool-cpu-add Pool-0 all")
    assert pools(machine) == {"Pool-0": ("0,1", "wfq", 1)}


def test_pools_are_made_and_end(machine):
    assert pools(machine) == {"Pool-0": ("0,1", "wfq", 1)}
    nodes = machine.info("penumbra_store_nodes")
    assert "no CPU is free: take one out of its pool, with cpupool-cpu-remove" in machine.run("cpupool-create p1")
    assert machine.run("cpupool-cpu-remove Pool-0 1") == ""
    assert machine.info("free_cpus") == 1
    assert machine.run('cpupool-create name="p1" cpus="1" sched="wfq"') == ""
    assert pools(machine) == {"Pool-0": ("0", "wfq", 1), "p1": ("1", "wfq", 0)}
    assert machine.info("free_cpus") == 0
    assert machine.run("cpupool-rename p1 p-two") == ""
    assert machine.run("cpupool-list p-two").splitlines()[1].split() == ["p-two", "1", "wfq", "y", "0"]
    assert machine.run("cpupool-list -c 1").splitlines()[1].split() == ["p-two", "1"]
    assert machine.run("cpupool-cpu-remove p-two all") == ""
    assert pools(machine)["p-two"] == ("", "wfq", 0)
    assert machine.run("cpupool-destroy p-two") == ""
    assert machine.run("cpupool-cpu-add Pool-0 1") == ""
    assert pools(machine) == {"Pool-0": ("0,1", "wfq", 1)}
    assert machine.info("penumbra_store_nodes") == nodes


def test_domains_in_pools(machine, second_pool):
    machine.run("create -p hog name=in-hot pool=hot vcpus=2")
    machine.run("create -p hog name=in-0")
    assert {n: p[2] for n, p in pools(machine).items()} == {"Pool-0": 2, "hot": 1}
    text = machine.run("sched-wfq")
    assert re.search(r"^Cpupool Pool-0: sched=wfq quantum=1000us ratelimit=100us cap-period=10000us\nName.*\nDomain-0 .*\nin-0 .*\n"
                     r"Cpupool hot: sched=wfq .*\nName.*\nin-hot .*$", text, re.M), text
    assert "in-0" not in machine.run("sched-wfq -p hot")
    machine.run("unpause in-hot in-0")
    machine.run("sched-wfq -d in-0 -w 333 -c 44")
    assert machine.run("vcpu-pin in-0 0 0") == ""
    assert machine.run("cpupool-migrate in-0 hot") == ""
    assert pools(machine)["hot"] == ("1", "wfq", 2)
    assert shares(machine.run("sched-wfq -p hot"))["in-0"] == (333, 44)
    assert affinity(machine, "in-0") == [("all", "all")]
    machine.wait_until(lambda: re.search(r"^in-0 +\d+ +0 +1 ", machine.run("vcpu-list in-0"), re.M), "it runs on CPU 1")
    assert "none of these CPUs is in its pool" in machine.run("vcpu-pin in-0 0 0")
    assert machine.run("cpupool-migrate in-0 Pool-0") == ""
    machine.wait_until(lambda: re.search(r"^in-0 +\d+ +0 +0 ", machine.run("vcpu-list in-0"), re.M), "it runs on CPU 0")
    machine.run("destroy in-0 in-hot")
    assert {n: p[2] for n, p in pools(machine).items()} == {"Pool-0": 1, "hot": 0}


def test_a_destroyed_domain_leaves_its_pool(machine, second_pool):
    """However it ends; and one that restarts begins where its configuration says."""
    machine.run("create hello name=quick pool=hot")
    machine.run("cpupool-migrate quick Pool-0")
    assert pools(machine)["hot"][2] == 0
    first = machine.domains()["quick"][1]
    machine.run("reboot quick")
    machine.wait_until(lambda: machine.domains().get("quick", [0, first])[1] != first, "it is back")
    assert pools(machine)["hot"][2] == 1
    machine.run("shutdown -w quick")
    machine.gone("quick")
    assert pools(machine)["hot"][2] == 0
    machine.run("create -p hog name=dead pool=hot")
    machine.run("destroy dead")
    assert machine.run("cpupool-destroy hot") == ""


@pytest.mark.parametrize("line, answer", [
    ("cpupool-create hot", r"there is a pool hot already: take another name"),
    ("cpupool-create new cpus=1", r"CPU 1 is in hot: take it out first, with cpupool-cpu-remove hot 1"),
    ("cpupool-create new cpus=7", r"this machine has no CPU 7: it has 0 to 1"),
    ("cpupool-create new cpus=x", r'bad CPU list "x"'),
    ("cpupool-create new sched=bvt", r"there is no scheduler 'bvt': known are wfq"),
    ("cpupool-create new node=1", r"unknown word 'node=1': known are name, cpus, sched"),
    ("cpupool-create 12", r"'12' cannot be a pool's name"),
    ("cpupool-create 'a/b'", r"'a/b' cannot be a pool's name"),
    ("cpupool-create " + "x" * 32, r"cannot be a pool's name"),
    ("cpupool-create", r"^usage: cpupool-create NAME"),
    ("cpupool-create a b", r"^usage: cpupool-create NAME"),
    ("cpupool-destroy nosuch", r"there is no pool 'nosuch': `cpupool-list` shows all"),
    ("cpupool-destroy Pool-0", r"Pool-0 is Domain-0's: it stays"),
    ("cpupool-rename hot Pool-0", r"there is a pool Pool-0 already"),
    ("cpupool-rename hot", r"^usage: cpupool-rename POOL NAME"),
    ("cpupool-cpu-add hot 0", r"CPU 0 is in Pool-0: take it out first, with cpupool-cpu-remove Pool-0 0"),
    ("cpupool-cpu-add hot all", r"no CPU is free"),
    ("cpupool-cpu-add hot 5", r"this machine has no CPU 5"),
    ("cpupool-cpu-remove hot 0", r"CPU 0 is not in hot: `cpupool-list -c` shows which are"),
    ("cpupool-cpu-remove hot 9", r"CPU 9 is not in hot"),
    ("cpupool-cpu-remove Pool-0 0", r"CPU 0 is the last of Pool-0, where Domain-0 runs: it stays"),
    ("cpupool-migrate Domain-0 hot", r"Domain-0 is this control domain: it stays in its pool"),
    ("cpupool-migrate nobody hot", r"there is no domain 'nobody'"),
    ("cpupool-migrate Domain-0 cold", r"there is no pool 'cold'"),
    ("cpupool-migrate Domain-0", r"^usage: cpupool-migrate DOMAIN POOL"),
    ("cpupool-list cold", r"there is no pool 'cold'"),
    ("cpupool-list -x", r"there is no option '-x'"),
])
def test_bad_pools(machine, second_pool, line, answer):
    text = machine.run(line)
    assert re.search(answer, text) and len(text.splitlines()) == 1, text
    assert pools(machine) == {"Pool-0": ("0", "wfq", 1), "hot": ("1", "wfq", 0)}


def test_pools_with_domains_stay(machine, second_pool):
    machine.run("create -p hog name=in-hot pool=hot")
    assert "1 domain is in hot: move what is there first, with cpupool-migrate" in machine.run("cpupool-destroy hot")
    assert "CPU 1 is the last of hot, and there are domains in it" in machine.run("cpupool-cpu-remove hot 1")
    machine.run("destroy in-hot")
    machine.run("cpupool-cpu-remove hot 1")
    assert "hot has no CPU: give it one with cpupool-cpu-add" in machine.run("create hog pool=hot")
    machine.run("create -p hog name=h0")
    assert "hot has no CPU to run on: give it one, with cpupool-cpu-add" in machine.run("cpupool-migrate h0 hot")
    machine.run("destroy h0")
    for words, answer in (("pool=cold", "pool: there is no pool 'cold'"), ("cpus=1", "cpus: vCPU 0 is given no CPU of its pool, Pool-0, which has 0"),
                          ("cpus_soft=1", "cpus_soft: vCPU 0 is given no CPU")):
        assert answer in machine.run(f"create hog {words}")
    assert "hog" not in machine.domains()


def test_the_smallest_run_time(machine):
    assert machine.run("sched-wfq -s -r 500") == ""
    assert "ratelimit=500us" in machine.run("sched-wfq -s")
    assert "Pool-0: 1001 us are more than its quantum: write 1000 or less" in machine.run("sched-wfq -s -r 1001")
    assert machine.run("sched-wfq -s -r 100 -p Pool-0") == ""
    assert machine.run("sched-wfq -s") == "Cpupool Pool-0: sched=wfq quantum=1000us ratelimit=100us cap-period=10000us\n"
    assert machine.run("info xen_scheduler").strip() == "wfq"


@pytest.mark.parametrize("sched, parameters, heeds", [
    ("rr", "quantum=10000us ratelimit=10000us", (False, False)),
    ("lottery", "quantum=10000us ratelimit=10000us", (True, False)),
    ("credit", "quantum=30000us ratelimit=1000us cap-period=30000us", (True, True)),
    ("null", None, (False, False)),
])
def test_other_schedulers(machine, sched, parameters, heeds):
    """A pool with another one than the first pool's: what it heeds is shown and can be set, what it does not is refused."""
    machine.run("cpupool-cpu-remove Pool-0 1")
    assert machine.run(f"cpupool-create other sched={sched}") == ""
    assert pools(machine)["other"] == ("1", sched, 0)
    machine.run("create hog name=o pool=other cpu_weight=256")
    machine.wait_until(lambda: re.search(r"^o +\d+ +0 +1 +\S+ +[0.]*[1-9]", machine.run("vcpu-list o"), re.M), "it runs on CPU 1")
    head, _, row = machine.run("sched-wfq -p other").splitlines()
    assert head == " ".join(f"Cpupool other: sched={sched} {parameters or ''}".split())
    assert row.split()[2:] == ["256" if heeds[0] else "-", "0" if heeds[1] else "-"]
    for option, value, word, heeded in (("-w", 300, "weights", heeds[0]), ("-c", 30, "caps", heeds[1])):
        text = machine.run(f"sched-wfq -d o {option} {value}")
        assert text == ("" if heeded else f"sched-wfq: o: the scheduler of its pool, {sched}, has no {word}\n")
    if not parameters:
        assert f"its scheduler, {sched}, has no such parameter" in machine.run("sched-wfq -s -r 5 -p other")
    if not heeds[1]:
        assert "cpu_weight, cap: the scheduler of its pool has no such thing" in machine.run("create hog name=o2 pool=other cap=20")
    machine.run("destroy o")
    assert machine.run("cpupool-destroy other") == "" and machine.run("cpupool-cpu-add Pool-0 1") == ""


def test_completion_of_pools(machine, second_pool):
    machine.send("cpupool-l\t-c h\t\r")
    assert re.search(r"^hot +1$", machine.wait_prompt(), re.M)
    machine.send("cpupool-m\tDom\th\t\r")
    assert "it stays in its pool" in machine.wait_prompt()
