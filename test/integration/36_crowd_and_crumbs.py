"""What a crowd costs the origin when its scheduler is restarted or its only parent dies, and what a small file
costs the scheduler.
# runs: --all
"""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
import faults
import story
from lab import ROOT, Lab, listening, sh, wait_for
from skimmer import Daemon, Scheduler, random_file
from story import check, equal

MIB, PIECE = 1 << 20, 4 << 20
SIZE, RATE = 32 * MIB, 100
COPIES_MAX = 3  # where each of eight could read the origin for itself


def few_copies(world, before, what):
    copies = (world.told()["bytes"] - before) / world.size
    print(f"{what}: {copies:.2f} copies for {faults.PEERS} nodes")
    check(copies <= COPIES_MAX, f"{what}: {copies:.2f} copies")


def test_a_scheduler_that_is_restarted_sends_no_crowd_to_the_origin():
    with Lab() as lab:
        world = faults.World(lab, SIZE, RATE)
        before = world.told()["bytes"]
        faults.scheduler_restarted(world)
        few_copies(world, before, "scheduler restarted")


def test_a_parent_that_dies_sends_no_crowd_to_the_origin():
    with Lab() as lab:
        world = faults.World(lab, SIZE, RATE)
        world.seed.process.stop()
        url, digest = world.publish()
        first, rest = world.peers[0], world.peers[1:]
        before = world.told()["bytes"]
        faults.Fetch(first, url, world.timeout_s)
        wait_for("the first piece from the origin", lambda: first.traffic("BACK_TO_SOURCE") >= PIECE, timeout_s=60)
        fetches = [faults.Fetch(d, url, world.timeout_s) for d in rest]
        wait_for("a piece at each of the others",
                 lambda: all(d.traffic("REMOTE_PEER") + d.traffic("BACK_TO_SOURCE") > 0 for d in rest), timeout_s=60)
        first.process.kill()
        for f in fetches:
            f.join()
            f.check("the only parent killed", digest)
        few_copies(world, before, "the only parent killed")


class Pair:
    """Two nodes, an origin, and a scheduler that counts."""

    def __init__(self, lab):
        self.origin, self.control = lab.host("origin"), lab.host("control")
        self.web = self.origin.dir / "web"
        self.web.mkdir()
        self.origin.start(["/usr/bin/python3", ROOT / "test/lab/origin.py", 80, self.web])
        wait_for("origin", lambda: listening(self.origin, 80))
        scheduler = Scheduler(self.control, config={"metrics": {"enable": True}})
        self.first, self.second = [Daemon(lab.host(name), schedulers=[scheduler], config={"mount": {"enable": False}})
                                   for name in ("first", "second")]
        for d in (self.first, self.second):
            d.in_swarm()

    def begun(self, method):
        """Calls of the scheduler's."""
        text = self.control.get("http://127.0.0.1:8000/metrics")[2].decode()
        found = re.search(rf'^grpc_server_started_total{{[^}}]*grpc_method="{method}"[^}}]*}} (\d+)', text, re.M)
        return int(found[1]) if found else 0

    def fetch(self, daemon, size):
        file = self.web / f"file{size}"
        random_file(file, size)
        f = faults.Fetch(daemon, f"http://{self.origin.ip}/{file.name}", 60)
        f.join()
        f.check(daemon.host.name, sh("sha256sum", file).split()[0])


def test_small_files_come_from_a_peer_at_the_price_of_two_questions():
    with Lab() as lab:
        pair = Pair(lab)
        for size in (1, 1000, 64 << 10, 4 * MIB):
            pair.fetch(pair.first, size)
            before = [pair.begun(m) for m in ("StatTask", "AnnouncePeer")]
            had = pair.second.traffic("REMOTE_PEER")
            pair.fetch(pair.second, size)
            # How long it is, and who has it.
            equal([pair.begun(m) for m in ("StatTask", "AnnouncePeer")], [n + 1 for n in before], f"questions for {size} bytes")
            equal(pair.second.traffic("REMOTE_PEER") - had, size, f"bytes of {size} from the first")
        equal(pair.second.traffic("BACK_TO_SOURCE"), 0, "bytes that the second had from the origin")


story.run(globals())
