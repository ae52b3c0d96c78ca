# SPDX-License-Identifier: MIT
"""The counts that a leak would change, from `info` and `df`."""
import re
import time

COUNT = re.compile(r"free_pages|penumbra_.*(free|heap|port|grant|node|domain|watch|frame|gfns).*")


def counts(info):
    """Those of `info`, by key.

    Tables of shadows, of grant handles and of foreign frames grow to the largest need and stay while their domain lives, domain 0's
    for ever. The hypervisor says what they take: memory is counted as if they took none."""
    values = {key: int(value) for key, value in re.findall(r"^(\w+) *: (\d+)\s*$", info, re.M) if COUNT.fullmatch(key)}
    frames, pages = values.pop("penumbra_kept_frames"), values.pop("penumbra_kept_heap_pages")
    values["free_pages"] += frames
    values["penumbra_free_frames"] += frames
    values["penumbra_heap_bytes"] -= pages * 4096
    return values


def figures(machine):
    values = counts(machine.run("info"))
    values["df"] = machine.run("df")
    return values


def at_rest(machine, look=figures):
    """Figures to compare others with: once two looks agree, for domain 0 does some work behind, as the commits of its journal, and
    has memory for it as long."""
    before = look(machine)
    for _ in range(20):
        time.sleep(2)
        now = look(machine)
        if now == before:
            return now
        before = now
    raise AssertionError(f"the machine does not come to rest: {before}")


def free_pages(machine):
    """Of the machine, exactly, but for a table that comes or goes between the looks at two of the counts; figures() has more."""
    return counts(machine.run("info"))["free_pages"]


def differences(before, after):
    """{key: (before, after)}, but for some pages that domain 0's malloc keeps for its largest need; what is used of them is counted."""
    wrong = {key: (before[key], after[key]) for key in before if before[key] != after[key]}
    pages = wrong.get("penumbra_dom0_free_pages")
    if pages and 0 < pages[0] - pages[1] <= 64:
        del wrong["penumbra_dom0_free_pages"]
    return wrong


def nothing_left(machine, before, timeout=30):
    """The figures become what they were; the test fails with those that do not."""
    wrong = {}

    def look():
        wrong.clear()
        wrong.update(differences(before, figures(machine)))
        return not wrong

    try:
        machine.wait_until(look, "the figures as they were", timeout)
    except AssertionError as e:
        raise AssertionError(f"left behind: {wrong}") from e
