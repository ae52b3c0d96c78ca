# SPDX-License-Identifier: MIT
"""A window of a trace as an SVG picture, and the whole of it for trace viewers (Chrome's trace event format)."""
import html
import json

from tracefile import RUNNABLE, RUNNING, STATES

# Told apart by people who see red and green alike, too; domain 0 is grey.
COLOURS = ["#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#ee8866", "#44bb99", "#99752e", "#6a51a3", "#1b6b5a", "#b2487f"]
GREY, INK, FAINT, RULE = "#8c8c8c", "#222222", "#767676", "#e2e2e2"

LEFT, WIDTH, RIGHT = 132, 740, 222
PCPU_HEIGHT, VCPU_HEIGHT, GAP = 24, 18, 8
TOP = 68


def colour_of(trace):
    domains = sorted({v.domain for v in trace.stays} - {0})
    return {0: GREY, **{d: COLOURS[i % len(COLOURS)] for i, d in enumerate(domains)}}


def label_of(trace, vcpu):
    """Without the vCPU's number where the domain has one only."""
    alone = sum(v.domain == vcpu.domain for v in trace.stays) == 1
    return trace.name(vcpu).rsplit(".", 1)[0] if alone else trace.name(vcpu)


def tick(span, most=12):
    """A round distance in ns so that at most so many fit."""
    step = 1000
    while True:
        for factor in (1, 2, 5):
            if span / (step * factor) <= most:
                return step * factor
        step *= 10


class Svg:
    def __init__(self):
        self.parts = []

    def add(self, text):
        self.parts.append(text)

    def text(self, x, y, text, colour=INK, anchor="start", size=12, more=""):
        self.add(f'<text x="{x:g}" y="{y:g}" fill="{colour}" text-anchor="{anchor}" font-size="{size}"{more}>{html.escape(str(text))}</text>')

    def rects(self, boxes, colour, more=""):
        """Many boxes of one colour as one path: (x, y, width, height)."""
        if boxes:
            path = "".join(f"M{x:.1f} {y:g}h{w:.1f}v{h:g}h-{w:.1f}z" for x, y, w, h in boxes)
            self.add(f'<path d="{path}" fill="{colour}"{more}/>')


def boxes_of(stays, state, scale, y, height):
    """What would be thinner than a hair is drawn as one."""
    merged = []
    for s in stays:
        if s.state != state:
            continue
        x, end = LEFT + s.start * scale, LEFT + s.end * scale
        if merged and x - merged[-1][1] < 0.15:  # no gap that could be seen
            merged[-1][1] = max(end, merged[-1][1])
        else:
            merged.append([x, end])
    return [(x, y, max(end - x, 0.4), height) for x, end in merged]


def axis(svg, trace, shift, bottom):
    step, scale = tick(trace.length), WIDTH / trace.length
    first = -(-shift // step) * step
    while first <= shift + trace.length:
        x = LEFT + (first - shift) * scale
        svg.add(f'<path d="M{x:.1f} {TOP - 6}V{bottom:g}" stroke="{RULE}"/>')
        svg.text(round(x, 1), TOP - 12, f"{first / 1e6:g}", FAINT, "middle", 11)
        first += step
    svg.text(LEFT - 24, TOP - 12, "ms", FAINT, "end", 11)


def share_bar(svg, y, result, length, colour):
    """What it got, and a mark where its promise is, in pCPUs of the window."""
    x, width = LEFT + WIDTH + 16, 90
    got, due = result.ran / length, result.promised / length
    svg.add(f'<rect x="{x}" y="{y + 4:g}" width="{width}" height="{VCPU_HEIGHT - 8}" fill="#f1f1f1"/>')
    svg.add(f'<rect x="{x}" y="{y + 4:g}" width="{min(got, 1) * width:.1f}" height="{VCPU_HEIGHT - 8}" fill="{colour}"/>')
    mark = x + min(due, 1) * width
    svg.add(f'<path d="M{mark:.1f} {y + 1:g}v{VCPU_HEIGHT - 2}" stroke="{INK}" stroke-width="1.6"/>')
    svg.text(x + width + 8, y + VCPU_HEIGHT - 5, f"{100 * got:.1f} / {100 * due:.1f} %", INK, size=11)


def draw(trace, results, title, shift=0):
    """The whole of `trace`; shift: ns that its begin is called on the axis."""
    svg, colours, scale = Svg(), colour_of(trace), WIDTH / trace.length
    results = [r for r in results if r.wanted]
    y = TOP
    rows_at = TOP + trace.pcpus * (PCPU_HEIGHT + GAP) + 16
    bottom = rows_at + len(results) * (VCPU_HEIGHT + GAP) - GAP
    svg.text(16, 26, title, size=16, more=' font-weight="600"')
    axis(svg, trace, shift, bottom)
    for p in range(trace.pcpus):
        svg.add(f'<rect x="{LEFT}" y="{y:g}" width="{WIDTH}" height="{PCPU_HEIGHT}" fill="#f6f6f6"/>')
        svg.text(LEFT - 10, y + PCPU_HEIGHT / 2 + 4, f"pCPU {p}", anchor="end")
        for vcpu, stays in trace.stays.items():
            mine = [s for s in stays if s.pcpu == p]
            svg.rects(boxes_of(mine, RUNNING, scale, y, PCPU_HEIGHT), colours[vcpu.domain])
        y += PCPU_HEIGHT + GAP
    svg.text(LEFT + WIDTH + 16, rows_at - 6, "got / promised, of a pCPU", FAINT, size=11)
    y = rows_at
    for r in results:
        colour, stays = colours[r.vcpu.domain], trace.stays[r.vcpu]
        more = f"weight {r.weight}" + (f", cap {r.cap} %" if r.cap else "")
        svg.text(LEFT - 10, y + 9, label_of(trace, r.vcpu), anchor="end")
        svg.text(LEFT - 10, y + 20, more, FAINT, "end", 9)
        svg.rects(boxes_of(stays, RUNNABLE, scale, y + VCPU_HEIGHT / 2 - 1, 2), colour, ' opacity=".45"')
        svg.rects(boxes_of(stays, RUNNING, scale, y, VCPU_HEIGHT), colour)
        share_bar(svg, y, r, trace.length, colour)
        y += VCPU_HEIGHT + GAP
    svg.text(LEFT, bottom + 24, "block: runs; line: waits for a pCPU; nothing: sleeps; black mark: the promise", FAINT, size=11)
    height = bottom + 38
    total = LEFT + WIDTH + RIGHT
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {total} {height:g}" width="{total}" height="{height:g}" '
            'font-family="Helvetica,Arial,sans-serif">\n'
            f'<rect width="{total}" height="{height:g}" fill="#ffffff"/>\n' + "\n".join(svg.parts) + "\n</svg>\n")


def chrome(trace):
    """For chrome://tracing and Perfetto: a process of pCPUs, with who runs, and one of vCPUs, with what each does."""
    events = [{"ph": "M", "pid": pid, "name": "process_name", "args": {"name": name}} for pid, name in ((1, "pCPUs"), (2, "vCPUs"))]
    events += [{"ph": "M", "pid": 1, "tid": p, "name": "thread_name", "args": {"name": f"pCPU {p}"}} for p in range(trace.pcpus)]
    for tid, (vcpu, stays) in enumerate(trace.stays.items()):
        name = trace.name(vcpu)
        events.append({"ph": "M", "pid": 2, "tid": tid, "name": "thread_name", "args": {"name": name}})
        for s in stays:
            slice_ = {"ph": "X", "ts": s.start / 1000, "dur": (s.end - s.start) / 1000}
            if s.state == RUNNING:
                args = {"ended": s.why} if s.why else {}
                events.append({**slice_, "pid": 1, "tid": s.pcpu, "name": name, "args": args})
                events.append({**slice_, "pid": 2, "tid": tid, "name": f"on pCPU {s.pcpu}", "args": args})
            elif s.state == RUNNABLE:
                events.append({**slice_, "pid": 2, "tid": tid, "name": STATES[s.state]})
        events += [{"ph": "i", "s": "t", "pid": 2, "tid": tid, "ts": t / 1000, "name": "wake"} for t, v in trace.wakes if v == vcpu]
    return json.dumps({"displayTimeUnit": "ms", "traceEvents": events})
