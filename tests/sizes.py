#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Size budgets of the source: reports the figures, and fails where one is broken.

    sizes.py FILE...

Functions: 95 of 100 have at most 45 lines, none has more than 100 unless it is a flat switch. Files: 600 lines. Assembly of arch/: 600
lines of code in all. No conditional compilation in hv, mm, sched and io (header guards and defaults by #ifndef aside). Tests are exempt.
"""
import re
import sys

FUNCTION_P95, FUNCTION_MAX, FILE_MAX, ASM_MAX = 45, 100, 600, 600
FLAT = 0.25  # share of lines with a case label that makes a function one flat switch


def functions(lines):
    """(name, first line, lines) of each function: its braces stand alone in column 0."""
    start = None
    for n, line in enumerate(lines):
        if line == "{":
            head = n - 1
            while head > 0 and not re.match(r"[A-Za-z_].*\(", lines[head]):
                head -= 1
            match = re.search(r"(\w+)\(", lines[head])
            start = (match.group(1) if match else "?", n)
        elif line.startswith("}") and start:
            yield start[0], start[1], lines[start[1] + 1 : n]
            start = None


def flat(body):
    return sum(bool(re.match(r"\s*(case|default)\b", line)) for line in body) >= FLAT * len(body)


def asm_code(lines):
    text = re.sub(r"/\*.*?\*/", "", "\n".join(lines), flags=re.S)
    return sum(bool(line.strip()) for line in text.split("\n"))


def main(paths):
    sizes, broken, asm = [], [], 0
    for path in paths:
        if path.startswith("tests/"):
            continue
        with open(path, encoding="utf-8") as f:
            lines = f.read().split("\n")
        if len(lines) - 1 > FILE_MAX:
            broken.append(f"{path}: {len(lines) - 1} lines, at most {FILE_MAX}")
        if path.startswith("arch/") and path.endswith(".S"):
            asm += asm_code(lines)
        if path.endswith(".c"):
            for name, line, body in functions(lines):
                sizes.append(len(body))
                if len(body) > FUNCTION_MAX and not flat(body):
                    broken.append(f"{path}:{line}: {name} has {len(body)} lines, at most {FUNCTION_MAX}")
        if re.match(r"(hv|mm|sched|io)/", path):
            for n, line in enumerate(lines, 1):
                if re.match(r"\s*#\s*(if\s|ifdef\b|elif\b)", line):
                    broken.append(f"{path}:{n}: conditional compilation")
    sizes.sort()
    p95 = sizes[len(sizes) * 95 // 100] if sizes else 0
    if p95 > FUNCTION_P95:
        broken.append(f"functions: 95 of 100 have up to {p95} lines, at most {FUNCTION_P95} wanted")
    if asm > ASM_MAX:
        broken.append(f"arch/: {asm} lines of assembly, at most {ASM_MAX}")
    print(f"{len(sizes)} functions: median {sizes[len(sizes) // 2] if sizes else 0}, p95 {p95}, "
          f"largest {sizes[-1] if sizes else 0} lines; {asm} lines of assembly in arch/")
    print("\n".join(broken), end="\n" if broken else "", file=sys.stderr)
    return bool(broken)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
