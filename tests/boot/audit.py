# SPDX-License-Identifier: MIT
"""The counts that a leak would change, from `info` and `df`."""
import re

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
