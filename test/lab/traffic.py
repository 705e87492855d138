"""Every host's traffic over time, read from the switch's ports, and its plot.

    with Traffic(lab) as traffic:
        ...
    traffic.series("peer1", "tx")     # [(seconds, bytes so far)]

A sample is one read of one file, so that 34 hosts can be watched twice a second for nothing.
"""
import ctypes
import os
import threading
import time

from lab import LabError

CLONE_NEWNET = 0x40000000
DONE = "#c0392b"
STEPS = 300  # of a plot


class Traffic(threading.Thread):
    def __init__(self, lab, every_s=0.25):
        super().__init__(daemon=True)
        self.lab, self.every_s = lab, every_s
        self.names = {h.port: h.name for h in lab.hosts}
        self.start_at, self.samples = None, []  # samples: (seconds, {host: (rx, tx)})
        self.error, self.ending = None, threading.Event()

    def __enter__(self):
        self.start_at = time.monotonic()
        self.start()
        return self

    def __exit__(self, *exc):
        self.ending.set()
        self.join()
        if self.error and not exc[0]:
            raise self.error

    def run(self):
        try:
            # Only this thread moves into the switch's network.
            with open(f"/run/netns/{self.lab.switch}") as ns:
                if ctypes.CDLL(None, use_errno=True).setns(ns.fileno(), CLONE_NEWNET):
                    raise LabError(f"setns: {os.strerror(ctypes.get_errno())}")
            self.sample()
            while not self.ending.wait(self.every_s):
                self.sample()
            self.sample()
        except Exception as e:  # the one who waits for this thread tells it
            self.error = e

    def sample(self):
        now, at = {}, time.monotonic() - self.start_at
        with open("/proc/thread-self/net/dev") as f:
            for line in f:
                port, _, rest = line.partition(":")
                name = self.names.get(port.strip())
                if name:
                    numbers = rest.split()
                    # What the switch sends into a port the host receives.
                    now[name] = int(numbers[8]), int(numbers[0])
        self.samples.append((at, now))

    def intervals(self, most=None):
        """(from, to, {host: (received by then, receiving, sending)}), bytes and bytes per second.
        At most so many, then of several samples each."""
        base = self.samples[0][1]
        samples = self.samples[::-(-len(self.samples) // most) if most else 1]
        for (t0, a), (t1, b) in zip(samples, samples[1:]):
            span = max(t1 - t0, 1e-3)
            yield t0, t1, {n: (a[n][0] - base[n][0], (b[n][0] - a[n][0]) / span,
                               (b[n][1] - a[n][1]) / span) for n in b}


def idle_seconds(traffic, feeders, finished, rate, piece):
    """{host: seconds in which it sent less than a tenth of its link while it could feed}.

    It could feed when some peer, not finished, used less than 80 % of its own link to receive and
    had received a piece less than it (so that it has a piece which the other lacks)."""
    idle = dict.fromkeys(feeders, 0.0)
    for t0, t1, hosts in traffic.intervals():
        hungry = [hosts[n][0] for n, end in finished.items()
                  if end >= t1 and hosts[n][1] < 0.8 * rate]
        for name in feeders:
            have, _, sending = hosts[name]
            if sending < 0.1 * rate and hungry and min(hungry) + piece <= have:
                idle[name] += t1 - t0
    return idle


def plot(path, title, traffic, rows, finished, rate, x_max):
    """A row per host: its upload as a share of its link; a red line where its own copy was whole."""
    width, height, left, top = 860, 20 if len(rows) > 12 else 34, 70, 34
    bottom = top + len(rows) * (height + 3)

    def x(seconds):
        return left + seconds / x_max * width

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + width + 20}" '
           f'height="{bottom + 30}" font-family="sans-serif" font-size="11">',
           '<rect width="100%" height="100%" fill="white"/>',
           f'<text x="{left}" y="18" font-size="13" font-weight="bold">{title}</text>']
    shares = {name: [] for name in rows}
    for t0, t1, hosts in traffic.intervals(STEPS):
        for name in rows:
            share = min(hosts[name][2] / rate, 1)
            shares[name] += [(t0, share), (min(t1, x_max), share)]
    for number, name in enumerate(rows):
        y = top + (number + 1) * (height + 3) - 3
        area = " ".join(f"{x(t):.1f},{y - s * height:.1f}" for t, s in shares[name])
        out += [f'<rect x="{left}" y="{y - height}" width="{width}" height="{height}" fill="#eee"/>',
                f'<polygon points="{left},{y} {area} {x(shares[name][-1][0]):.1f},{y}" '
                'fill="#1f5fa8"/>',
                f'<text x="{left - 6}" y="{y - 4}" text-anchor="end">{name}</text>']
        if name in finished:
            at = x(finished[name])
            out.append(f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{y - height}" y2="{y}" '
                       f'stroke="{DONE}" stroke-width="2"/>')
    for i in range(6):
        out.append(f'<text x="{x(x_max * i / 5):.0f}" y="{bottom + 16}" text-anchor="middle">'
                   f"{x_max * i / 5:.0f} s</text>")
    out.append("</svg>")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(out) + "\n")
