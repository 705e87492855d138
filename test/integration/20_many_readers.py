"""64 readers at once on a cold blob of 1 GiB, through mount and mirror together: right bytes, each piece
fetched once, bounded memory."""
import os
import random
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
import story
from lab import Lab
from skimmer import Daemon, Manager, Nginx, Scheduler, random_file
from story import check, equal

SIZE = 1 << 30
READERS, READS = 64, 12
RSS_MAX_KIB = 64 << 10


class Reader(threading.Thread):
    """Reads at random places with random sizes and compares with the file itself."""

    def __init__(self, number, daemon, path, plain, url):
        super().__init__()
        self.random = random.Random(number)
        self.daemon_, self.path, self.plain, self.url = daemon, path, plain, url
        self.by_mount = number % 2 == 0
        self.fault = None

    def run(self):
        try:
            with open(self.plain, "rb") as plain:
                for _ in range(READS):
                    length = self.random.choice([1, 4096, 70_001, 1 << 20, 9 << 20])
                    off = self.random.randrange(SIZE - length)
                    plain.seek(off)
                    if self.read(off, length) != plain.read(length):
                        raise AssertionError(f"wrong bytes at {off}, {length}")
        except Exception as e:  # told by the main thread
            self.fault = e

    def read(self, off, length):
        if self.by_mount:
            with open(self.path, "rb") as f:
                f.seek(off)
                return f.read(length)
        p = subprocess.run(self.daemon_.host.enter(
            "curl", "-sS", "--fail", "--max-time", "60", "-x", "http://127.0.0.1:4001",
            "-H", "X-Dragonfly-Use-P2P: true", "-r", f"{off}-{off + length - 1}", self.url),
            capture_output=True)
        if p.returncode:
            raise AssertionError(f"curl: {p.stderr.decode()}")
        return p.stdout


def test_64_readers_of_a_cold_blob():
    with Lab() as lab:
        origin, control = lab.host("origin"), lab.host("control")
        web = origin.dir / "web"
        web.mkdir()
        random_file(web / "blob", SIZE)
        nginx = Nginx(origin, web)
        scheduler = Scheduler(control, Manager(control))
        seed, node = (Daemon(lab.host(n), schedulers=[scheduler], seed=n == "seed")
                      for n in ("seed", "node"))
        for d in (seed, node):
            d.in_swarm()
        address = nginx.addr.removesuffix(":80")
        path = node.mount / "http" / address / "blob"
        readers = [Reader(i, node, path, web / "blob", f"http://{address}/blob")
                   for i in range(READERS)]
        for r in readers:
            r.start()
        for r in readers:
            r.join()
        for r in readers:
            if r.fault:
                raise r.fault
        # The rest comes by prefetch: read it all.
        equal(subprocess.run(["cmp", path, web / "blob"]).returncode, 0, "the whole blob")
        fetched = node.traffic("REMOTE_PEER") + node.traffic("BACK_TO_SOURCE")
        equal(fetched, SIZE, "bytes that the node fetched: each piece once")
        equal(seed.traffic("BACK_TO_SOURCE"), SIZE, "bytes that the seed fetched")
        given = nginx.bytes_given()
        check(given <= SIZE + 4096, f"one copy, the origin gave {given}")
        for d in (seed, node):
            peak = d.process.rss_kib(peak=True)
            print(f"{d.host.name}: peak resident {peak / 1024:.1f} MiB, "
                  f"{d.process.threads()} threads")
            check(peak < RSS_MAX_KIB, f"{d.host.name} stays under 64 MiB")


story.run(globals())
