#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""
What the scheduler did, from a trace that domain 0 saved (`trace save FILE`) or that Xen's xentrace wrote: a fairness report, a
timeline picture, a file for trace viewers.

A file of domain 0's disk comes out of its image by:  debugfs -R "dump /FILE FILE" build/dom0.img
"""
import argparse
import pathlib
import sys

import shares
import picture
import tracefile


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("file", type=pathlib.Path)
    p.add_argument("--svg", type=pathlib.Path, help="write the timeline picture there")
    p.add_argument("--json", type=pathlib.Path, help="write the events there, for chrome://tracing or ui.perfetto.dev")
    p.add_argument("--from", type=float, dest="start", metavar="MS", default=0, help="begin so many ms after the trace's begin")
    p.add_argument("--ms", type=float, help="look at so many ms (all; of the picture: 100)")
    p.add_argument("--title", help="of the picture")
    p.add_argument("--pcpus", type=int, help="how many pCPUs there are to share, if the trace does not say")
    p.add_argument("--mhz", type=float, default=1000, help="how fast the clock of the records runs; Xen's: the TSC's frequency")
    options = p.parse_args()
    try:
        trace = tracefile.read(options.file.read_bytes(), 1000 / options.mhz)
    except (OSError, tracefile.BadTrace) as problem:
        sys.exit(f"{options.file}: {problem}")
    start = options.start * 1e6
    if not 0 <= start < trace.length or (options.ms is not None and options.ms <= 0):
        sys.exit(f"--from and --ms: there is nothing; the trace is {trace.length / 1e6:.0f} ms long")
    end = min(start + options.ms * 1e6, trace.length) if options.ms else trace.length
    part = tracefile.cut(trace, start, end)
    print(shares.text(part, shares.evaluate(part, options.pcpus)), end="")
    if options.json:
        options.json.write_text(picture.chrome(part), encoding="utf-8")
    if options.svg:
        if not options.ms:
            part = tracefile.cut(trace, start, min(start + 100e6, trace.length))
        title = options.title or f"{options.file.name}: {part.length / 1e6:g} ms on {part.pcpus} pCPU(s)"
        options.svg.write_text(picture.draw(part, shares.evaluate(part, options.pcpus), title, start), encoding="utf-8")


if __name__ == "__main__":
    main()
