#!/usr/bin/python3
"""Draws what test/sim/run --csv wrote, as one SVG: when peers were done, and how much of all their
uplinks was used.

    test/sim/plot.py OUT.svg BOUND_SECONDS NAME=FILE...
"""
import sys

WIDTH, HEIGHT, GAP, LEFT, TOP = 420, 260, 80, 60, 40
COLOURS = ["#1f5fa8", "#c0392b", "#2e8b57", "#8e44ad"]


def read(path):
    finishes, sent = [], []
    for line in open(path):
        kind, *numbers = line.split()
        if kind == "finish":
            finishes.append(float(numbers[0]))
        else:
            sent.append((float(numbers[0]) + 0.5, float(numbers[1])))
    done = [(s, (i + 1) / len(finishes)) for i, s in enumerate(finishes)]
    return done[:: max(1, len(done) // 300)] + done[-1:], sent


def panel(x0, title, series, x_max, bound, out):
    def at(x, y):
        return f"{x0 + min(x, x_max) / x_max * WIDTH:.1f},{TOP + (1 - y) * HEIGHT:.1f}"

    out.append(f'<text x="{x0}" y="{TOP - 14}" font-weight="bold">{title}</text>')
    out.append(f'<rect x="{x0}" y="{TOP}" width="{WIDTH}" height="{HEIGHT}" fill="none" stroke="#999"/>')
    for i in range(5):
        x, y = x_max * i / 4, i / 4
        px, py = at(x, y).split(",")
        out.append(f'<text x="{px}" y="{TOP + HEIGHT + 18}" text-anchor="middle">{x:.0f} s</text>')
        out.append(f'<text x="{x0 - 8}" y="{float(py) + 4}" text-anchor="end">{y * 100:.0f} %</text>')
    top, bottom = at(bound, 1), at(bound, 0)
    out.append(f'<polyline points="{top} {bottom}" stroke="#999" stroke-dasharray="4 3" fill="none"/>')
    for colour, points in zip(COLOURS, series):
        line = " ".join(at(x, min(y, 1)) for x, y in points if x <= x_max)
        out.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')


def main():
    path, bound, runs = sys.argv[1], float(sys.argv[2]), [a.split("=", 1) for a in sys.argv[3:]]
    data = [read(file) for _, file in runs]
    x_max = bound * 6
    height = TOP + HEIGHT + 40 + 20 * len(runs)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + 2 * WIDTH + GAP + 20}" '
           f'height="{height}" font-family="sans-serif" font-size="12">',
           '<rect width="100%" height="100%" fill="white"/>']
    panel(LEFT, "peers that are done", [d for d, _ in data], x_max, bound, out)
    panel(LEFT + WIDTH + GAP, "uplinks in use", [s for _, s in data], x_max, bound, out)
    for i, (name, _) in enumerate(runs):
        y = TOP + HEIGHT + 44 + 20 * i
        out.append(f'<rect x="{LEFT}" y="{y - 9}" width="14" height="4" fill="{COLOURS[i]}"/>')
        out.append(f'<text x="{LEFT + 22}" y="{y}">{name}</text>')
    out.append("</svg>")
    with open(path, "w") as f:
        f.write("\n".join(out) + "\n")


main()
