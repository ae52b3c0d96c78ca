# SPDX-License-Identifier: MIT
"""Every command of the control domain's command line, as a user sees it."""
import re

import pytest


MACHINE_CPUS = [1, 2, 4]


def row(machine, name):
    return machine.domains().get(name)


def test_list_begins_with_domain_0(machine):
    lines = machine.run("list").splitlines()
    assert re.match(r"Name +ID   Mem VCPUs\tState\tTime\(s\)", lines[0])
    assert re.match(r"Domain-0 {33} +0 +\d+ +1 {5}r-----  +\d+\.\d", lines[1])


def test_help_lists_every_command(machine):
    text = machine.run("help")
    for command in ["create", "list", "console", "pause", "unpause", "shutdown", "destroy", "reboot", "info",
                    "dmesg", "log-dirty", "vcpu-list", "vcpu-set", "block-list", "check", "help", "ls", "cat", "df", "rm", "disk-create",
                    "counters", "pt", "pt-mode", "poweroff"]:
        assert re.search(rf"^ +{command}\b", text, re.M), command
        assert f"usage: {command}" in machine.run(f"help {command}").lower()


def test_info(machine):
    text = machine.run("info")
    for key in ["release", "nr_cpus", "total_memory", "free_memory", "xen_major", "xen_caps", "virt_caps",
                "xen_scheduler", "xen_pagesize", "free_pages"]:
        assert re.search(rf"^{key} *:", text, re.M), key
    assert machine.info("nr_cpus") in MACHINE_CPUS
    assert machine.info("free_memory") <= machine.info("total_memory") <= 1024
    assert "xen-3.0-x86_64" in machine.run("info xen_caps")


def test_dmesg(machine):
    text = machine.run("dmesg")
    assert "Penumbra" in text
    assert "MiB of memory" in text


def test_files(machine):
    assert "hello.elf" in machine.run("ls /boot")
    assert "hello.cfg" in machine.run("ls /etc/xen")
    assert 'kernel' in machine.run("cat /etc/xen/hello.cfg")
    assert re.search(r"dom0 +\d+ +\d+ +\d+ +\d+% /", machine.run("df"))
    assert "No such file" in machine.run("cat /nowhere") or "no such file" in machine.run("cat /nowhere")


def test_disk_create_and_rm(machine):
    before = machine.run("df")
    machine.run("disk-create big 4G")
    assert "big" in machine.run("ls /disks")
    out = machine.run("disk-create big 1M")
    assert "exists" in out
    machine.run("rm /disks/big")
    assert "big" not in machine.run("ls /disks")
    assert machine.run("df") == before


def test_create_console_shutdown(machine):
    out = machine.run("create hello")
    assert "Parsing config from /etc/xen/hello.cfg" in out
    assert row(machine, "hello")
    machine.send("console hello\r")
    machine.expect_exact("hello: tick")
    machine.send("what is this\r")
    machine.expect_exact("hello: you said: what is this")
    machine.send("\x1d")
    machine.wait_prompt()
    log = machine.run("console --log hello")
    assert "hello: I am hello" in log
    machine.run("shutdown hello")
    machine.gone("hello")
    assert "hello: tick" in machine.run("console --log hello")


def test_typed_ahead_while_a_command_waits(machine):
    """For memory, for vCPUs, for the end of a domain: the lines behind it are run then."""
    machine.run("create hello name=slow vcpus=2")
    for n, line in enumerate(["mem-set slow 8", "vcpu-set slow 1", "shutdown -w slow"]):
        machine.send(f"{line}\rinfo nosuch{n}\r")
        machine.expect_exact(f"there is no key 'nosuch{n}'")
        machine.wait_prompt()
    machine.gone("slow")


def test_create_with_console_attached(machine):
    machine.send("create hello name=h2 -c\r")  # options may stand anywhere
    machine.expect_exact("hello: I am h2")
    machine.send("quit\r")
    machine.wait_prompt()
    machine.gone("h2")


def test_pause_unpause(machine):
    machine.run("create -p hello name=paused")
    assert "p" in row(machine, "paused")[4]
    assert machine.run("console --log paused").strip() == ""
    machine.run("unpause paused")
    machine.send("console paused\r")
    machine.expect_exact("hello: tick")
    machine.send("\x1d")
    machine.wait_prompt()
    machine.run("pause paused")
    assert "p" in row(machine, "paused")[4]
    machine.run("unpause paused")
    machine.run("destroy paused")
    machine.gone("paused")


def test_reboot_keeps_the_name(machine):
    machine.run("create hello name=again")
    machine.send("console again\r")
    machine.expect_exact("hello: tick")
    machine.send("\x1d")
    machine.wait_prompt()
    first = row(machine, "again")[1]
    machine.run("reboot again")
    machine.wait_until(lambda: (row(machine, "again") or [None, first])[1] != first, "a new domain of that name")
    machine.run("destroy again")


def test_vcpu_list_and_affinity(machine):
    machine.run('create hog name=pinned cpus="0" vcpus=2 cpu_weight=512')
    text = machine.run("vcpu-list pinned")
    assert re.match(r"Name +ID  VCPU   CPU State   Time\(s\) Affinity \(Hard / Soft\)", text)
    rows = [r.split() for r in text.splitlines()[1:]]
    assert len(rows) == 2
    hard = "0" if machine.info("nr_cpus") > 1 else "all"  # xl says "all" where that is all there is
    assert all(r[3] in ("0", "-") and r[-3:] == [hard, "/", "all"] for r in rows)
    assert "Domain-0" in machine.run("vcpu-list")
    machine.run("destroy pinned")


def test_vcpu_set(machine):
    """The store's nodes change; the toy guests cannot plug vCPUs, and the command says so. (With Linux: test_linux.py.)"""
    machine.run("create hello name=v vcpus=1 maxvcpus=2")
    assert "v has 1 vCPU(s) up, 2 are wanted (Linux leaves it to its udev rules" in machine.run("vcpu-set v 2")
    assert machine.run("vcpu-set v 1") == ""
    assert "v has 2 vCPU(s), 3 are wanted: create it with maxvcpus=3" in machine.run("vcpu-set v 3")
    for count in ["0", "x", "1x", "-1", "99999999999999999999"]:
        assert "a number of vCPUs from 1 to 2 is wanted" in machine.run(f"vcpu-set v {count}")
    assert "has one vCPU" in machine.run("vcpu-set Domain-0 1")
    assert "there is no domain 'nobody'" in machine.run("vcpu-set nobody 1")
    assert "usage: vcpu-set DOMAIN COUNT" in machine.run("vcpu-set v")
    machine.run("destroy v")


def test_check(machine):
    """Kernels, and what is none."""
    text = machine.run("check /boot/hello.elf")
    assert re.search(r"^/boot/hello\.elf: ELF file, \d+ KiB\n", text)
    assert re.search(r"^  VIRT_BASE +0xffffffff80000000$", text, re.M) and re.search(r"^  memory +\d+ MiB at least", text, re.M)
    assert 'verdict: can be started here, as kernel = "/boot/hello.elf"' in text
    assert "verdict: cannot be started here: kernel /etc/xen/hello.cfg is no ELF file" in machine.run("check /etc/xen/hello.cfg")
    assert "check: kernel /nosuch: no such file or directory" in machine.run("check nosuch")
    assert "check: kernel /boot: is a directory" in machine.run("check boot")
    assert "usage: check FILE" in machine.run("check")


def test_block_list(machine):
    machine.run('create diskio name=d cmdline="plug=1"')  # never lets go of its disk
    machine.wait_until(lambda: re.search(r"^51712 +0 +\d+ +4 ", machine.run("block-list d"), re.M), "the disk is connected")
    text = machine.run("block-list d")
    assert re.match(r"Vdev  BE  handle state evt-ch ring-ref BE-path", text)
    assert re.search(r"^51712 +0 +\d+ +4 +\d+ +\d+ +/local/domain/0/backend/vbd/\d+/51712", text, re.M)
    machine.run("destroy d")


def test_prefix_and_numbers(machine):
    machine.run("create hello name=num")
    number = row(machine, "num")[1]
    assert "no domain" not in machine.run(f"console --log {number}")
    assert "ambiguous" in machine.run("c")
    machine.run(f"dest {number}")
    machine.gone("num")


def test_completion_and_history(machine):
    machine.send("vcpu-l\t\r")
    assert "Affinity" in machine.wait_prompt()
    machine.send("cat /etc/xen/hel\t\r")
    assert "hello.elf" in machine.wait_prompt()
    machine.send("\x1b[A\r")
    assert "hello.elf" in machine.wait_prompt()


@pytest.mark.parametrize("junk", ["\x03", "abc\x03", "\x1b[999;999R\x1b[3~\x7f\x7f\x03", "x" * 3000 + "\x03",
                                  "\x00\x01\x02\xff\x15"])
def test_ctrl_c_and_garbage(machine, junk):
    machine.send(junk)
    machine.sync()
    assert "Domain-0" in machine.run("list")


def test_what_is_typed_before_leaving_arrives(machine):
    machine.send("create -c shell\r")
    machine.expect_exact("shell$ ")
    machine.send("hello\r\x1d")
    machine.wait_prompt()
    machine.wait_until(lambda: "Hello from user mode" in machine.run("console --log shell"), "the line has arrived")
    machine.run("destroy shell")
