"""kill -9 of the daemon, its parent, the scheduler, the manager and the origin, each in the middle of a
cold read: right bytes or a clean error within the deadline, never wrong or short ones."""
import hashlib
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
import story
from lab import Lab, wait_for
from reading import Read
from skimmer import Daemon, Manager, Nginx, Scheduler, random_file
from story import check, equal

SIZE, PIECE = 64 << 20, 4 << 20
ORIGIN_MBIT = 160  # some three seconds for the whole
DEADLINE_S = 8


class World:
    def __init__(self, lab, config=None):
        origin, control = lab.host("origin", ORIGIN_MBIT), lab.host("control")
        web = origin.dir / "web"
        web.mkdir()
        self.plain = web / "blob"
        self.digest = random_file(self.plain, SIZE)
        self.nginx = Nginx(origin, web)
        self.manager = Manager(control)
        self.scheduler = Scheduler(control, self.manager)
        config = config or {"mount": {"readTimeout": f"{DEADLINE_S}s"}}
        self.seed = Daemon(lab.host("seed"), self.manager, seed=True, config=config)
        self.node = Daemon(lab.host("node"), self.manager, config=config)
        for d in (self.seed, self.node):
            d.in_swarm()
        self.address = self.nginx.addr.removesuffix(":80")

    def path(self, daemon=None):
        return (daemon or self.node).mount / "http" / self.address / "blob"

    def fetched(self):
        return self.node.traffic("REMOTE_PEER") + self.node.traffic("BACK_TO_SOURCE")

    def in_the_middle(self):
        """Waits until the node has a few pieces (in any order); how many bytes, most being to come."""
        wait_for("the first pieces", lambda: self.fetched() >= 2 * PIECE, timeout_s=30)
        return self.fetched()

    def check_whole(self, read, what):
        equal(read.error, None, f"{what}: the reader's error")
        equal(read.count, SIZE, f"{what}: bytes read")
        equal(read.sha.hexdigest(), self.digest, f"{what}: digest of what was read")


def killed_in_the_middle(victim, what):
    with Lab() as lab:
        world = World(lab)
        read = Read(world.path())
        world.in_the_middle()
        victim(world).process.kill()
        world.check_whole(read.finish(), what)


def test_parent_killed():
    killed_in_the_middle(lambda w: w.seed, "parent killed")


def test_scheduler_killed():
    killed_in_the_middle(lambda w: w.scheduler, "scheduler killed")


def test_manager_killed():
    killed_in_the_middle(lambda w: w.manager, "manager killed")


def test_scheduler_and_manager_dead_from_the_start_and_back_later():
    with Lab() as lab:
        world = World(lab)
        world.scheduler.process.kill()
        world.manager.process.kill()
        world.check_whole(Read(world.path()).finish(), "without scheduler and manager")
        world.manager.process.launch()
        world.manager.ready()
        world.scheduler.process.launch()
        world.scheduler.ready()
        for d in (world.seed, world.node):
            d.in_swarm()
        # The scheduler knows nothing: the node tells it what it has, and the seed gets it from there.
        wait_for("the node's announcement",
                 lambda: "told what is here" in world.node.process.log_text())
        world.check_whole(Read(world.path(world.seed)).finish(), "after both came back")
        equal(world.seed.traffic("BACK_TO_SOURCE"), 0, "bytes that the seed had from the origin")


def test_origin_killed_and_back():
    with Lab() as lab:
        world = World(lab)
        read = Read(world.path())
        world.in_the_middle()
        killed = time.monotonic()
        world.nginx.process.kill()
        read.finish()
        check(read.error is not None and read.count < SIZE, "the reader gets an error")
        check(read.ended - killed < DEADLINE_S + 30, "the error comes within the deadline")
        with open(world.plain, "rb") as f:
            equal(read.sha.hexdigest(), hashlib.sha256(f.read(read.count)).hexdigest(),
                  "what was read before")
        world.nginx.process.launch()
        end = time.monotonic() + 30
        while True:
            again = Read(world.path()).finish()
            if again.error is None or time.monotonic() > end:
                break
        world.check_whole(again, "after the origin came back")


def test_daemon_killed_and_nothing_verified_fetched_again():
    with Lab() as lab:
        world = World(lab)
        read = Read(world.path())
        verified = world.in_the_middle()
        world.node.process.kill()
        read.finish()
        check(read.error is not None and read.count < SIZE, "the reader gets an error")
        world.seed.process.kill()  # all that comes now comes from the node's store and the origin
        world.node.restart()  # its counters begin at 0
        world.check_whole(Read(world.path()).finish(), "after the restart")
        check(0 < world.fetched() <= SIZE - verified,
              f"{verified} bytes had been verified, {world.fetched()} were fetched after")


def test_reader_by_mirror_sees_no_short_answer_when_the_daemon_dies():
    with Lab() as lab:
        world = World(lab)
        out = world.node.host.dir / "out"
        p = subprocess.Popen(world.node.host.enter(
            "curl", "-sS", "-x", "http://127.0.0.1:4001", "-H", "X-Dragonfly-Use-P2P: true",
            "-o", out, f"http://{world.address}/blob"), stderr=subprocess.PIPE)
        world.in_the_middle()
        world.node.process.kill()
        p.communicate(timeout=30)
        check(p.returncode != 0, "curl tells that the answer was not whole")


story.run(globals())
