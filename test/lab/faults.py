#!/usr/bin/python3
"""Eight nodes fetch a file at once while something breaks: every download ends right, and the time that
each fault costs is told, against a run without fault. docs/reliability.md shows the table.

    test/lab/faults.py [--size MiB] [--rate Mbit/s] [FAULT...]      see FAULTS below; needs root
"""
import argparse
import json
import subprocess
import sys
import threading
import time

from bad_parent import BadParent
from border import Border
from lab import BIN, ROOT, Lab, LabError, listening, sh, wait_for
from skimmer import Daemon, Manager, Scheduler, random_file

PEERS, MIB, PIECE = 8, 1 << 20, 4 << 20
FAILURES = 6  # of an origin that fails


def check(good, what):
    if not good:
        raise LabError(what)


class Fetch(threading.Thread):
    """One node's dfget."""

    def __init__(self, daemon, url, timeout_s):
        super().__init__()
        self.name_, self.out = daemon.host.name, daemon.dir / "out"
        self.cmd = daemon.host.enter(BIN / "dfget", "-e", daemon.socket, "--no-progress",
                                     "--overwrite", "--timeout", f"{timeout_s}s", url, "-O", self.out)
        self.result = self.ended = None
        self.start()

    def run(self):
        self.result = subprocess.run(self.cmd, capture_output=True, text=True)
        self.ended = time.monotonic()

    def check(self, what, digest=None):
        check(self.result.returncode == 0, f"{what}: {self.name_}: {self.result.stderr.strip()}")
        check(digest in (None, sh("sha256sum", self.out).split()[0]),
              f"{what}: {self.name_} has wrong bytes")


class World:
    def __init__(self, lab, size, rate_mbit):
        self.lab, self.size, self.rate = lab, size, rate_mbit
        self.bound = size * 8 / (rate_mbit * 1e6)
        self.timeout_s = int(240 + 20 * self.bound)
        self.origin, self.control = lab.host("origin", rate_mbit), lab.host("control")
        self.web = self.origin.dir / "web"
        self.web.mkdir()
        self.origin.start(["/usr/bin/python3", ROOT / "test/lab/origin.py", 80, self.web])
        wait_for("origin", lambda: listening(self.origin, 80))
        self.manager = Manager(self.control)
        self.scheduler = Scheduler(self.control, self.manager)
        self.seed = self.daemon("seed", seed=True)
        self.peers = [self.daemon(f"peer{n + 1}") for n in range(PEERS)]
        self.all_in_swarm()
        self.runs, self.seconds = 0, {}

    def daemon(self, name, seed=False):
        return Daemon(self.lab.host(name, self.rate), self.manager, seed=seed,
                      config={"mount": {"enable": False}})

    def all_in_swarm(self):
        for d in (self.seed, *self.peers):
            d.in_swarm()

    def told(self):
        return json.loads(self.origin.get("http://127.0.0.1/-/told")[2])

    def publish(self):
        """A file that nobody has: (url, digest)."""
        self.runs += 1
        file = self.web / f"blob{self.runs}"
        random_file(file, self.size)
        # The noise is the same each time; the first bytes make it another file.
        with open(file, "r+b") as f:
            f.write(self.runs.to_bytes(4, "big"))
        return f"http://{self.origin.ip}/{file.name}", sh("sha256sum", file).split()[0]

    def received(self):
        return sum(d.traffic("REMOTE_PEER") + d.traffic("BACK_TO_SOURCE") for d in self.peers)

    def measure(self, name, fault=None, against="clean", file=None):
        """All peers fetch; fault(fetches) is called once they are in the middle."""
        url, digest = file or self.publish()
        origin, before, start = self.told()["bytes"], self.received(), time.monotonic()
        fetches = [Fetch(d, url, self.timeout_s) for d in self.peers]
        if fault:
            wait_for("the first pieces", lambda: self.received() - before >= 2 * PIECE,
                     timeout_s=60)
            fault(fetches)
        for f in fetches:
            f.join()
        seconds = max(f.ended for f in fetches) - start
        for f in fetches:
            f.check(name, digest)
        self.seconds.setdefault(name, seconds)
        lost = f"{seconds - self.seconds[against]:+.1f} s" if against in self.seconds else ""
        copies = (self.told()["bytes"] - origin) / self.size
        print(f"| {name} | {seconds:.1f} s | {lost} | {copies:.2f} |", flush=True)


def scheduler_restarted(world):
    def fault(_):
        world.scheduler.process.kill()
        wait_for("a node that notices",
                 lambda: any(d.metric("skimmer_schedulers_alive") == 0 for d in world.peers),
                 timeout_s=30)
        world.scheduler.process.launch()
        world.scheduler.ready()

    world.measure("scheduler killed and restarted", fault)
    world.all_in_swarm()


def manager_away(world):
    world.manager.process.kill()
    world.measure("manager away for the whole run")
    world.manager.process.launch()
    world.manager.ready()


def seed_disk_full(world):
    world.seed.process.stop()
    host = world.lab.host("small", world.rate)
    store = host.dir / "dfdaemon/store"
    store.mkdir(parents=True)
    sh("mount", "-t", "tmpfs", "-o", f"size={world.size // 3}", "tmpfs", str(store))
    small = Daemon(host, world.manager, seed=True, config={"mount": {"enable": False}})
    small.in_swarm()
    world.measure("the seed's disk is full")
    check("takes no more pieces" in small.process.log_text(), "the seed's disk was full")
    small.process.stop()
    world.seed.restart()
    world.all_in_swarm()


WARM = "clean, one more node has the file"


def with_ninth(world, name, kind=None):
    """A ninth node has the file from the start and is a parent of others."""
    ninth = world.daemon(f"ninth-{kind or 'good'}")
    ninth.in_swarm()
    file = world.publish()
    first = Fetch(ninth, file[0], world.timeout_s)
    first.join()
    first.check("ninth node", file[1])
    if kind:
        with BadParent(ninth, kind) as bad:
            world.measure(name, against=WARM, file=file)
            check(bad.count() > 0, f"the ninth node did not {kind}")
    else:
        world.measure(name, against=name, file=file)
    ninth.process.stop()


def parted(world):
    half = PEERS // 2
    border = Border([world.control, world.seed.host, *[d.host for d in world.peers[:half]]],
                    [d.host for d in world.peers[half:]])

    def fault(fetches):
        border.cut()
        for f in fetches[:half]:
            f.join()
        border.heal()

    world.measure("partition, healed when the half with the scheduler is done", fault)
    world.all_in_swarm()


def origin_fails(world, kind, name):
    world.origin.get(f"http://127.0.0.1/-/fail/{kind}/{FAILURES}")
    world.measure(name)
    check(world.told()["left"] == 0, f"the origin has not failed {FAILURES} times: {kind}")


FAULTS = {
    "again": lambda w: w.measure("clean, again"),
    "manager": manager_away,
    "scheduler": scheduler_restarted,
    "disk": seed_disk_full,
    "warm": lambda w: with_ninth(w, WARM),
    "stall": lambda w: with_ninth(w, "a parent that stalls after a tenth of a piece", "stall"),
    "lie": lambda w: with_ninth(w, "a parent that sends wrong bytes", "lie"),
    "partition": parted,
    "500": lambda w: origin_fails(w, "500", f"the origin answers 500, {FAILURES} times"),
    "429": lambda w: origin_fails(w, "429", f"the origin answers 429, {FAILURES} times"),
    "short": lambda w: origin_fails(w, "short", f"the origin closes early, {FAILURES} times"),
}


def run(size, rate_mbit, names=()):
    with Lab() as lab:
        world = World(lab, size, rate_mbit)
        print(f"{PEERS} peers, {size // MIB} MiB, links of {rate_mbit:g} Mbit/s: one transfer takes "
              f"{world.bound:.1f} s")
        print("| fault | last download ends after | lost | origin copies |\n|---|---|---|---|")
        world.measure("clean")
        for name in names or FAULTS:
            FAULTS[name](world)


def main():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--size", type=int, default=64, metavar="MiB")
    p.add_argument("--rate", type=float, default=100, metavar="Mbit/s")
    p.add_argument("fault", nargs="*", choices=[[], *FAULTS])
    a = p.parse_args()
    try:
        run(a.size * MIB, a.rate, a.fault)
    except LabError as e:
        print(f"faults failed: {e}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
