"""Two clusters under one manager, an origin behind a slow link: in each the first pull is the origin's and
the second a peer's, the origin gives two copies in all, and not one byte goes between the clusters.
A peer that is pinned to a cluster is that one's, whatever its scopes say. A peer whose scopes change moves to the
other cluster without a restart. A seed is in the manager's list while
it lives."""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
import story
from border import Border
from lab import BIN, Lab, sh, wait_for
from skimmer import Daemon, Manager, Nginx, Scheduler, random_file
from story import check, equal

SIZE, ORIGIN_MBIT = 24 << 20, 40
SLACK = 8192  # a first node asks for a file's length by a range of one byte
# "Dragonfly v2.1.0 is released", the article's table: a file's first and second download.
ARTICLE = {"A": (1.47, 0.03748), "B": (4.97, 0.01453)}
ADVANTAGE_MIN = 3


class Cluster:
    """A scheduler, a seed and two peers, each a host of its own."""

    def __init__(self, lab, manager, name, number, idc=None):
        self.name, self.manager, self.lab = name, manager, lab
        self.hosts = [lab.host(f"{name}-scheduler".lower())]
        self.scheduler = Scheduler(self.hosts[0], manager, cluster=number)
        self.seed = self.daemon(f"{name}-seed", idc, seed=True)
        self.peers = [self.daemon(f"{name}-peer{n}", idc) for n in (1, 2)]
        for d in (self.seed, *self.peers):
            d.in_swarm()

    def daemon(self, name, idc, seed=False, pin=None):
        host = self.lab.host(name.lower())
        self.hosts.append(host)
        named = {"idc": idc, "schedulerClusterID": pin}
        return Daemon(host, self.manager, seed=seed,
                      config={"mount": {"enable": False}, "host": {k: v for k, v in named.items() if v}})


class World:
    def __init__(self, lab):
        origin, control = lab.host("origin", ORIGIN_MBIT), lab.host("control")
        self.web = origin.dir / "web"
        self.web.mkdir()
        self.nginx = Nginx(origin, self.web)
        self.manager = Manager(control)
        self.a = Cluster(lab, self.manager, "A", 1)
        self.second = self.manager.add_cluster("cluster-2", {"idc": "cluster-2"})
        self.b = Cluster(lab, self.manager, "B", self.second, idc="cluster-2")

    def publish(self, name):
        return random_file(self.web / name, SIZE)

    def pull(self, daemon, name, digest):
        """Seconds of a dfget through the daemon."""
        out = daemon.dir / name
        start = time.monotonic()
        daemon.host.run(BIN / "dfget", "-e", daemon.socket, "--no-progress", "-O", out,
                        f"http://{self.nginx.addr.removesuffix(':80')}/{name}")
        seconds = time.monotonic() - start
        equal(sh("sha256sum", out).split()[0], digest, f"what {daemon.host.name} got")
        return seconds

    def given_to(self, cluster):
        return self.nginx.bytes_given([h.ip for h in cluster.hosts])


def print_table(rows):
    print(f"{'cluster':8} {'first':>10} {'second':>10} {'ratio':>7}   the article's")
    for name, (first, second) in rows.items():
        theirs = ARTICLE[name]
        print(f"{name:8} {first:8.2f} s {second * 1e3:7.1f} ms {first / second:7.1f}   "
              f"{theirs[0]:.2f} s, {theirs[1] * 1e3:.2f} ms: {theirs[0] / theirs[1]:.1f}")


def test_the_articles_table_and_nothing_between_the_clusters():
    with Lab() as lab:
        world = World(lab)
        # By its IDC it would be B's.
        pinned = world.a.daemon("pinned", "cluster-2", pin=1)
        pinned.in_swarm()
        border = Border(world.a.hosts, world.b.hosts)
        digest = world.publish("blob")
        rows = {c.name: tuple(world.pull(p, "blob", digest) for p in c.peers)
                for c in (world.a, world.b)}
        print_table(rows)
        for c in (world.a, world.b):
            check(SIZE <= world.given_to(c) <= SIZE + SLACK,
                  f"one copy for {c.name}: {SIZE} bytes, the origin gave {world.given_to(c)}")
            equal(c.peers[1].traffic("BACK_TO_SOURCE"), 0, f"{c.name}'s second pull, from the origin")
            equal(c.peers[1].traffic("REMOTE_PEER"), SIZE, f"{c.name}'s second pull, from peers")
            first, second = rows[c.name]
            check(first / second >= ADVANTAGE_MIN, f"{c.name}'s second pull is faster")
        world.pull(pinned, "blob", digest)
        equal(pinned.traffic("REMOTE_PEER"), SIZE, "what is pinned to A has from peers of A")
        check(f'"{world.b.scheduler.addr}"' not in pinned.process.log_text(), "it met no scheduler of B")
        equal(border.packets(), (0, 0), "packets and bytes between the clusters")
        print(f"between the clusters: {border.packets()[1]} bytes")
        # The counter does count.
        world.a.peers[0].host.run("curl", "-sS", "--max-time", "5", "-o", "/dev/null",
                                  f"http://{world.b.peers[0].host.ip}:4002/metrics", check=False)
        check(border.packets()[0] > 0, "a question from A to B is counted")


def test_a_peer_whose_scopes_change_moves_without_a_restart():
    with Lab() as lab:
        world = World(lab)
        mover = world.a.daemon("mover", "edge")  # no scope knows "edge": the default cluster
        mover.in_swarm()
        digest = world.publish("blob")
        world.pull(mover, "blob", digest)
        equal(world.given_to(world.b), 0, "bytes for B before")
        pid = mover.process.pid

        world.manager.set_scopes(world.second, {"idc": "cluster-2|edge"})
        wait_for("the mover's announcement in B",
                 lambda: "told what is here" in mover.process.log_text(), timeout_s=30)
        check(f'"{world.b.scheduler.addr}"' in mover.process.log_text(), "it knows B's scheduler")
        border = Border([h for h in world.a.hosts if h is not mover.host],
                        [*world.b.hosts, mover.host])
        # Its blob is B's now, and A still has its seed's.
        for peer in (world.b.peers[0], world.a.peers[0]):
            world.pull(peer, "blob", digest)
            equal(peer.traffic("BACK_TO_SOURCE"), 0, f"{peer.host.name}: bytes from the origin")
        # What is new comes to it through B's seed.
        late = world.publish("late")
        world.pull(mover, "late", late)
        check(world.nginx.bytes_given([world.b.seed.host.ip]) >= SIZE, "by B's seed")
        # Connections from before may end meanwhile: packets without content, 52 bytes each.
        packets, count = border.packets()
        check(packets <= 100 and count <= 60 * packets,
              f"{packets} packets with {count} bytes between A and who has left it")
        equal(mover.process.pid, pid, "the mover's process")
        check(mover.process.alive(), "the mover was not restarted")


def test_a_seed_is_in_the_managers_list():
    with Lab() as lab:
        manager = Manager(lab.host("control"))
        cluster = manager.rest("POST", "seed-peer-clusters", {"name": "seeds"})["id"]

        def listed():
            rows = manager.rest("GET", f"seed-peers?seed_peer_cluster_id={cluster}", {})
            return [(r["host_name"], r["state"]) for r in rows]

        seed = Daemon(lab.host("seed"), manager, seed=True,
                      config={"mount": {"enable": False}, "seedPeer": {"clusterID": cluster}})
        wait_for("a seed that lives", lambda: listed() == [("seed", "active")], timeout_s=30)
        seed.process.kill()
        wait_for("a seed that is gone", lambda: listed() == [("seed", "inactive")], timeout_s=30)
        seed.process.launch()
        wait_for("the seed again", lambda: listed() == [("seed", "active")], timeout_s=30)
        seed.process.stop()
        equal(listed(), [], "seeds after it has left")


story.run(globals())
