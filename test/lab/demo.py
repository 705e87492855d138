"""The main job on one machine: a registry, a manager, a scheduler, a seed and two nodes, each a host of
its own (a network namespace), each node with its own containerd. See script/demo."""
import argparse
import json
import subprocess
import sys
import time

from lab import Lab, LabError
from skimmer import (Containerd, Daemon, Manager, Nginx, Registry, Scheduler, make_image,
                     random_file)

REGISTRY_MBIT, NODE_MBIT = 200, 1000
FILE_SIZE = 64 << 20


class Checks:
    def __init__(self):
        self.failed = 0

    def that(self, good, what):
        print(f"  {'ok  ' if good else 'FAIL'}  {what}", flush=True)
        self.failed += not good


def timed(fn):
    start = time.monotonic()
    fn()
    return time.monotonic() - start


def sha256sum(path):
    return subprocess.run(["sha256sum", path], capture_output=True, text=True,
                          check=True).stdout.split()[0]


class Demo:
    def __init__(self, lab):
        self.checks, self.rows = Checks(), []
        say("making the image out of Debian packages (first time only: about a minute)")
        self.layout, tag, self.layers = make_image()
        say(f"starting hosts: origin ({REGISTRY_MBIT} Mbit/s), control, seed, node1, node2 "
            f"({NODE_MBIT} Mbit/s each)")
        origin, control = lab.host("origin", REGISTRY_MBIT), lab.host("control")
        seed, *nodes = [lab.host(n, NODE_MBIT) for n in ("seed", "node1", "node2")]
        self.registry = Registry(origin)
        self.registry.push(self.layout, tag, "demo/python:1")
        self.ref = f"{self.registry.addr}/demo/python:1"
        web = origin.dir / "web"
        web.mkdir()
        self.file_digest = random_file(web / "model.bin", FILE_SIZE)
        self.web = Nginx(origin, web)
        manager = Manager(control)
        Scheduler(control, manager)
        plain = {"backend": {"plainHTTP": [self.registry.addr]}}
        self.seed = Daemon(seed, manager, seed=True, config=plain)
        self.nodes = [Daemon(n, manager, config=plain) for n in nodes]
        for d in [self.seed, *self.nodes]:
            d.in_swarm()
        self.containerds = [Containerd(n, registries=[self.registry.addr]) for n in nodes]
        self.image_bytes = sum((self.layout / "blobs" / d.replace(":", "/")).stat().st_size
                               for d in self.blobs())

    def blobs(self):
        """Digests of everything that a pull takes from /blobs/: the layers and the config."""
        index = json.loads((self.layout / "index.json").read_text())
        digest = next(m["digest"] for m in index["manifests"] if m["annotations"].get(
            "org.opencontainers.image.ref.name") == "demo")
        manifest = json.loads((self.layout / "blobs" / digest.replace(":", "/")).read_text())
        return [manifest["config"]["digest"], *self.layers]

    def pull(self, number):
        daemon, containerd = self.nodes[number], self.containerds[number]
        before = self.registry.bytes_given()
        seconds = timed(lambda: containerd.pull(self.ref))
        self.rows.append((f"pull on {daemon.host.name}", seconds,
                          self.registry.bytes_given() - before, daemon.traffic("REMOTE_PEER")))

    def run_container(self, number):
        out = self.containerds[number].run(self.ref, f"c{number}", "/usr/bin/python3", "-c",
                                           "print(6 * 7)")
        self.checks.that(out.strip() == "42",
                         f"a container runs from it on {self.nodes[number].host.name}")

    def check_layers(self):
        for d in self.nodes:
            good = all(sha256sum(d.blob(x)) == x.removeprefix("sha256:") for x in self.layers)
            self.checks.that(good, f"sha256sum of every layer through {d.host.name}'s mount")

    def copy_file(self, number):
        d = self.nodes[number]
        before = self.web.bytes_given()
        peers = d.traffic("REMOTE_PEER")
        target = d.dir / "model.bin"
        seconds = timed(lambda: subprocess.run(
            ["cp", d.mount / "http" / self.web.addr.removesuffix(":80") / "model.bin", target],
            check=True))
        self.rows.append((f"cp http/.../model.bin on {d.host.name}", seconds,
                          self.web.bytes_given() - before, d.traffic("REMOTE_PEER") - peers))
        self.checks.that(sha256sum(target) == self.file_digest,
                         f"cp of a 64 MiB file through {d.host.name}'s mount")

    def run(self):
        for number, d in enumerate(self.nodes):
            say(f"{d.host.name} pulls {self.ref}")
            self.pull(number)
        node2 = self.nodes[1].host.ip
        asked = [r for r in self.registry.blob_requests() if r[0] == node2]
        self.checks.that(not asked, "the registry saw no blob request from node2")
        for number in (0, 1):
            self.run_container(number)
        self.check_layers()
        for number in (0, 1):
            self.copy_file(number)
        return self.report()

    def report(self):
        given = self.registry.bytes_given()
        copies = given / self.image_bytes
        # The first node asks for a blob's length by a range of one byte.
        self.checks.that(self.image_bytes <= given <= self.image_bytes + 4096,
                         "the registry gave each byte once")
        web = self.web.bytes_given()
        self.checks.that(FILE_SIZE <= web <= FILE_SIZE + 4096, "the web server gave each byte once")
        print(f"\n  {'':38}{'time':>8}  {'from origin':>12}  {'from peers':>12}")
        for what, seconds, origin, peers in self.rows:
            print(f"  {what:38}{seconds:6.2f} s  {mib(origin):>12}  {mib(peers):>12}")
        print(f"  image {mib(self.image_bytes)}; the registry's own log: {mib(given)} given = "
              f"{copies:.2f} copies; memory "
              + ", ".join(f"{d.host.name} {d.process.rss_kib() / 1024:.0f} MiB"
                          for d in [self.seed, *self.nodes]))
        return f"{copies:.2f}".rstrip("0").rstrip(".")


def mib(n):
    return f"{n / (1 << 20):.1f} MiB"


def say(text):
    print(f"demo: {text}", flush=True)


def main():
    parser = argparse.ArgumentParser(prog="script/demo", description=__doc__)
    parser.add_argument("--once", action="store_true",
                        help="end by itself instead of waiting for Ctrl-C")
    args = parser.parse_args()
    try:
        with Lab() as lab:
            demo = Demo(lab)
            copies = demo.run()
            if demo.checks.failed:
                print(f"demo failed: {demo.checks.failed} checks")
                return 1
            if not args.once:
                wait(demo)
    except LabError as e:
        print(f"demo failed: {e}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    print(f"demo ok origin_copies={copies}")
    return 0


def wait(demo):
    d = demo.nodes[0]
    print(f"\n  look around: ls {d.mount}/sha256, getfattr -d {d.blob(demo.layers[0])}"
          f"\n  in node1's network: {' '.join(d.host.enter('curl', 'http://127.0.0.1:4002/metrics'))}"
          "\n  Ctrl-C removes every trace.", flush=True)
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        print()


if __name__ == "__main__":
    sys.exit(main())
