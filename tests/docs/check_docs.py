#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Do the pages of docs/ and README.md still say what the code does?

Each function check_*() returns a list of complaints. As a program it prints them all and exits with 1 if there are any;
pytest runs them by test_docs.py.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
XEN = pathlib.Path("/usr/include/xen")
PAGES = ["README.md", *sorted(f"docs/{p.name}" for p in (ROOT / "docs").glob("*.md"))]
SOURCES = ["arch", "hv", "mm", "sched", "io", "dom0", "guests"]
SUFFIXES = {".c", ".h", ".S", ".sh", ".lds", ".dts"}


def text(path):
    return (ROOT / path).read_text(encoding="utf-8")


def differences(what, documented, real):
    """Names in one of two sets only, as complaints."""
    return [f"{what}: {n} is not documented" for n in sorted(real - documented)] + \
           [f"{what}: {n} does not exist" for n in sorted(documented - real)]


def section(page, title):
    """A page's text below the heading that begins with `title`, up to the next one of that level or above."""
    found = re.search(rf"^(#+) {title}.*?$\n(.*?)(?=^#{{1,2}} |^\1 |\Z)", page, re.M | re.S)
    return found.group(2) if found else ""


# ---- docs/tour.md ----

def expand(name):
    """a.{h,c} as a list of names."""
    found = re.fullmatch(r"(.*)\{(.*)\}(.*)", name)
    return [found.group(1) + part + found.group(3) for part in found.group(2).split(",")] if found else [name]


def check_tour():
    """Every source file has one entry, a list item that begins with its name; no file named anywhere is absent."""
    page = text("docs/tour.md")
    entries = []
    for item in re.findall(r"^- ((?:`[^`]+`(?:, )?)+):", page, re.M):
        for name in re.findall(r"`([^`]+)`", item):
            entries += expand(name)
    real = {str(p.relative_to(ROOT)) for d in SOURCES for p in (ROOT / d).rglob("*") if p.suffix in SUFFIXES}
    complaints = differences("docs/tour.md", set(entries), real)
    complaints += [f"docs/tour.md: {n} has {entries.count(n)} entries" for n in sorted(set(entries))
                   if entries.count(n) > 1]
    complaints += [f"docs/tour.md: invariant S{n} is not stated" for n in range(1, 7)
                   if not re.search(rf"^- \*\*S{n}\*\*", page, re.M)]
    return complaints


def check_lock_order():
    ranks = re.search(r"enum lock_rank \{(.*?)\};", text("hv/lock.h"), re.S).group(1)
    real = [n for n in re.findall(r"\bLOCK_\w+(?=,)", ranks)]
    documented = re.findall(r"^\d+\. `(LOCK_\w+)`", text("docs/tour.md"), re.M)
    return [] if documented == real else [f"docs/tour.md: the lock order is {documented}, in hv/lock.h {real}"]


def check_paths():
    """Paths of the tree and links that a page mentions exist."""
    complaints = []
    for page in PAGES:
        body = text(page)
        for name in re.findall(r"`((?:%s|tests|docs)/[^`\s]*)`" % "|".join(SOURCES), body):
            for path in expand(name):
                if not (ROOT / path.rstrip("/")).exists() and "*" not in path and not re.search(r"[A-Z]{2,}", path):
                    complaints.append(f"{page}: {path} does not exist")
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", body):
            if not re.match(r"https?:", target) and not (ROOT / page).parent.joinpath(target).exists():
                complaints.append(f"{page}: link to {target}, which does not exist")
        for anchor in re.findall(r"\]\(#([^)]+)\)", body):
            heads = {re.sub(r"[^a-z0-9 _-]", "", h.lower()).replace(" ", "-")
                     for h in re.findall(r"^#+ (.*)$", body, re.M)}
            if anchor not in heads:
                complaints.append(f"{page}: no heading for the link #{anchor}")
    return complaints


def check_make_targets():
    makefiles = text("Makefile") + text("tests/unit/unit.mk") + text("tests/bench/bench.mk") + text("tests/xen/xen.mk")
    targets = set(re.findall(r"^([\w-]+):(?!=)", makefiles, re.M)) | set(
        " ".join(re.findall(r"^\.PHONY: (.*)$", makefiles, re.M)).split())
    complaints = []
    for page in PAGES:
        for target in re.findall(r"`make (?!-)([a-z][\w-]*)[^`]*`|^ *\$? ?make ([a-z][\w-]*)", text(page), re.M):
            name = re.sub(r"-[A-Z]+$", "", target[0] or target[1])  # `make unit-NAME`
            if name not in targets:
                complaints.append(f"{page}: `make {name}` is no target")
    return complaints


# ---- docs/abi.md ----

def header_numbers():
    """Hypercall numbers of the public header, by name."""
    numbers = re.findall(r"^#define __HYPERVISOR_(\w+)\s+(\d+)", (XEN / "xen.h").read_text(), re.M)
    return {name: int(number) for name, number in numbers}


def table():
    """Name to privileged, from the dispatch table."""
    source = text("hv/hypercall.c")
    return {name: kind == "DOM0_CALL" for kind, name in re.findall(r"= (CALL|DOM0_CALL)\((\w+)\)", source)}


def check_hypercalls():
    page = text("docs/abi.md")
    headings = re.findall(r"^### (\d+) `(\w+)`$", page, re.M)
    documented, real, numbers = {name for _, name in headings}, table(), header_numbers()
    complaints = differences("docs/abi.md, hypercall", documented, set(real))
    for number, name in headings:
        body = section(page, rf"{number} `{name}`")
        if numbers.get(name) != int(number):
            complaints.append(f"docs/abi.md: {name} is number {numbers.get(name)}, not {number}")
        if name in real and body.startswith("Domain 0 only.") != real[name]:
            complaints.append(f"docs/abi.md: {name}: 'Domain 0 only.' and the table disagree")
    absent = set(re.findall(r"`(\w+)`", "\n".join(
        line for line in section(page, "What is not there").splitlines() if line.startswith("| "))))
    return complaints + differences("docs/abi.md, absent hypercall", absent,
                                    set(numbers) - set(real) - {"xc_reserved_op"})


def function_body(source, name):
    found = re.search(rf"^[^\n;]*\b{name}\([^;]*?\)\n\{{\n(.*?)^\}}", source, re.M | re.S)
    assert found, f"function {name} is gone: adapt tests/docs/check_docs.py"
    return found.group(1)


def cases(prefix, places):
    """Constants with the prefix that the code distinguishes: case labels, ranges of them, comparisons, table indices."""
    names = set()
    for place in places:
        path, _, function = place.partition(":")
        source = text(path)
        source = function_body(source, function) if function else source
        names |= set(re.findall(rf"(?:case|==|!=|\[)\s*({prefix}\w+)", source))
        for first, last in re.findall(rf"case ({prefix}\w+) \.\.\. ({prefix}\w+)", source):
            values = {n: int(v) for n, v in re.findall(rf"^#define ({prefix}\w+)\s+(\d+)",
                                                       (XEN / "xen.h").read_text(), re.M)}
            names |= {n for n, v in values.items() if values[first] <= v <= values[last]}
    return names


# heading, prefix of its operations, where the code distinguishes them
OPERATIONS = [
    ("1 `mmu_update`", "MMU_(?:NORMAL|PT|MACHPHYS)_", ["hv/mmu.c:update_own"]),
    ("6 `sched_op_compat`", "SCHEDOP_", ["hv/sched_calls.c:hypercall_sched_op_compat"]),
    ("7 `platform_op`", "XENPF_(?!INTERFACE)", ["hv/platform.c:hypercall_platform_op"]),
    ("12 `memory_op`", "XENMEM_", ["hv/memory.c:hypercall_memory_op", "hv/memory.c:other_op"]),
    ("17 `xen_version`", "XENVER_", ["hv/version.c:tell", "hv/version.c:hypercall_xen_version"]),
    ("18 `console_io`", "CONSOLEIO_", ["hv/console.c:hypercall_console_io"]),
    ("20 `grant_table_op`", "GNTTABOP_", ["hv/grant.c:grant_table_op"]),
    ("24 `vcpu_op`", "VCPUOP_", ["hv/sched_calls.c:vcpu_control", "hv/sched_calls.c:hypercall_vcpu_op"]),
    ("25 `set_segment_base`", "SEGBASE_", ["arch/x86/cpu_calls.c:hypercall_set_segment_base"]),
    ("26 `mmuext_op`", "MMUEXT_", ["hv/mmu.c:extended_op"]),
    ("29 `sched_op`", "SCHEDOP_", ["hv/sched_calls.c:hypercall_sched_op"]),
    ("30 `callback_op`", "CALLBACKTYPE_", ["arch/x86/cpu_calls.c:set_callback"]),
    ("30 `callback_op`", "CALLBACKOP_", ["arch/x86/cpu_calls.c:hypercall_callback_op"]),
    ("32 `event_channel_op`", "EVTCHNOP_", ["hv/evtchn_op.c"]),
    ("33 `physdev_op`", "PHYSDEVOP_", ["hv/physdev.c"]),
    ("35 `sysctl`", "XEN_SYSCTL_(?!PHYSCAP|PERFCOP|CPUPOOL|SCHEDOP|INTERFACE)",
     ["hv/sysctl.c:dispatch"]),
    ("Pools of pCPUs", "XEN_SYSCTL_CPUPOOL_OP_", ["hv/sysctl_sched.c:sysctl_cpupool"]),
    ("50 `arch_2`", "PENUMBRA_OP_", ["hv/penumbra_op.c:dispatch", "hv/penumbra_op.c:hypercall_arch_2"]),
    ("The scheduler's trace", "PENUMBRA_TRACE_", ["hv/trace_op.c:trace_op"]),
    ("Virtual disks", "BLKIF_OP_", ["dom0/blk/blkreq.c:blkreq_decode"]),
    ("36 `domctl`", "XEN_DOMCTL_(?!GRANT|SCHEDOP|INTERFACE)", ["hv/domctl.c:living", "hv/domctl.c:dispatch"]),
]


def check_operations():
    page = text("docs/abi.md")
    complaints = []
    for heading, prefix, places in OPERATIONS:
        documented = set(re.findall(rf"`({prefix}\w+)`", section(page, re.escape(heading))))
        complaints += differences(f"docs/abi.md, {heading}", documented, cases(prefix, places))
    return complaints


def check_disk_nodes():
    """Nodes that the back end writes to the store, and those that it reads."""
    page, written = text("docs/abi.md"), function_body(text("dom0/blk/vbdnodes.c"), "vbdnodes_make").partition("v->front,")
    put, conn = r'put\(&?b, "([\w-]+)"', text("dom0/blk/vbdconn.c")
    helpers = "".join(function_body(text("dom0/blk/vbdnodes.c"), f) for f in ("put_medium", "put_features"))
    back = set(re.findall(put, written[0] + helpers))
    front = set(re.findall(put, written[2])) | set(re.findall(r'vbd_read_number\(v, "([\w-]+)"', conn)) | \
        set(re.findall(r'"%s/?([a-z-]+)"', conn))
    complaints = []
    for heading, real in (("Nodes of the back end", back), ("Nodes of the front end", front)):
        rows = re.findall(r"^\| (`.*?) \|", section(page, heading), re.M)
        documented = {name for row in rows for name in re.findall(r"`([\w-]+)`", row)}
        complaints += differences(f"docs/abi.md, {heading}", documented, real)
    return complaints


# Which sections answer for the errors that a file gives.
ERRORS = {
    "arch/x86/cpu_calls.c": "0 2 3 4 5 8 9 10 23 25 30",
    "arch/x86/context.c": "36",
    "arch/x86/descriptor.c": "2",
    "hv/sched_calls.c": "6 15 24 29",
    "hv/version.c": "17 21",
    "hv/mmu.c": "1 14 22 26",
    "mm/shadow_update.c": "1",
    "mm/alias.c": "1",
    "hv/memory.c": "12",
    "hv/reservation.c": "12",
    "hv/memory_map.c": "12",
    "hv/hypercall.c": "13",
    "hv/console.c": "18",
    "hv/evtchn.c": "32",
    "hv/evtchn_op.c": "32",
    "hv/grant.c": "20 36",
    "hv/physdev.c": "33",
    "io/irq.c": "32 33",
    "io/msix.c": "33",
    "io/pci_device.c": "33",
    "hv/platform.c": "7",
    "hv/penumbra_op.c": "50",
    "hv/trace_op.c": "50",
    "hv/domctl.c": "36",
    "hv/domctl_vcpu.c": "36",
    "hv/domctl_shadow.c": "36",
    "hv/sysctl.c": "35",
    "hv/sysctl_perfc.c": "35",
    "hv/sysctl_sched.c": "35 50",
    "sched/pool.c": "35 36",
}
GENERAL = {"ERESTART", "EAGAIN"}  # stay inside


def check_errors():
    """Every error code of a handler's file is spoken of in its hypercalls' sections or among the conventions."""
    page = text("docs/abi.md")
    general = section(page, "Conventions")
    known = set(re.findall(r"XEN_ERRNO\((E\w+)", (XEN / "errno.h").read_text()))
    complaints = []
    for path, numbers in ERRORS.items():
        said = general + "".join(section(page, rf"{n} `") for n in numbers.split())
        codes = set(re.findall(r"(?<!== )-XEN_(E\w+)", text(path))) - GENERAL
        complaints += [f"docs/abi.md: sections {numbers} do not mention -{c} of {path}" for c in sorted(codes)
                       if not re.search(rf"-{c}\b", said)]
    return complaints + [f"docs/abi.md: there is no -{c}" for c in sorted(set(re.findall(r"-(E[A-Z0-9]+)\b", page)) - known)]


def check_constants():
    page = text("docs/abi.md")
    features = function_body(text("hv/version.c"), "features")
    complaints = differences("docs/abi.md, feature", set(re.findall(r"`(XENFEAT_\w+)`", section(page, "Feature bits"))),
                             set(re.findall(r"XENFEAT_\w+", features)))
    assists = re.search(r"#define DOMAIN_ASSISTS(.*?)\n\n", text("hv/domain.h"), re.S).group(1)
    complaints += differences("docs/abi.md, assist", set(re.findall(r"`(VMASST_\w+)`", section(page, "21 `"))),
                              set(re.findall(r"VMASST_\w+", assists)))
    counters = set(re.findall(r'= "(\w+)"', text("hv/sysctl_perfc.c")))
    line = section(page, "35 `").partition("Counters:")[2].partition("####")[0]
    return complaints + differences("docs/abi.md, counter", set(re.findall(r"`(\w+)`", line)), counters)


# ---- docs/cli.md ----

def check_commands():
    source = text("dom0/cli/commands.c").partition("commands[] = {")[2].partition("};")[0]
    real = [f"{name} {usage}".strip() for name, usage in
            re.findall(r'^    \{"([a-z0-9-]+)",\s*"([^"]*)",', source, re.M)]
    documented = re.findall(r"^### `(.*)`$", text("docs/cli.md"), re.M)
    complaints = differences("docs/cli.md, command", set(documented), set(real))
    complaints += [f"docs/cli.md: {c} has several sections" for c in set(documented) if documented.count(c) > 1]
    return complaints


def check_config_keys():
    page = section(text("docs/cli.md"), "Configuration files")
    source = text("dom0/config/xlcfg.c")
    keys = source.partition("keys[] = {")[2].partition("};")[0]
    real = set(re.findall(r'\{"(\w+)"|(?:STRING|ACTION)_KEY\((\w+)\)', keys))
    real = {a or b for a, b in real}
    complaints = differences("docs/cli.md, key", set(re.findall(r"^\| `(\w+)` \|", page, re.M)), real)
    refused = source.partition("later_keys[] = {")[2].partition("};")[0]
    missing = [k for k in re.findall(r'"(\w+)"', refused) if f"`{k}`" not in page]
    return complaints + [f"docs/cli.md: refused key {k} is not documented" for k in missing]


def check_info_keys():
    real = set(re.findall(r'\bline\(r, "(\w+)"', text("dom0/cli/cmd_info.c")))
    real |= {f"penumbra_{c}" for c in re.findall(r'= "(\w+)"', text("hv/sysctl_perfc.c"))}
    body = section(text("docs/cli.md"), r"`info \[KEY\]`")
    documented = {name for row in re.findall(r"^\| (`.*?) \|", body, re.M) for name in re.findall(r"`(\w+)`", row)}
    return differences("docs/cli.md, info key", documented, real)


# ---- README.md ----

def check_guests():
    real = {p.parent.name for p in (ROOT / "guests").glob("*/main.c")} - {"rt"}
    return differences("README.md, guest", set(re.findall(r"^\| `(\w+)` \|", section(text("README.md"), "What boots"),
                                                            re.M)), real)


CHECKS = [f for name, f in sorted(globals().items()) if name.startswith("check_")]


def main():
    complaints = [c for check in CHECKS for c in check()]
    print("\n".join(complaints))
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
