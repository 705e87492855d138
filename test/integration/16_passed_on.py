"""A crowd over slow links: nodes pass on pieces that they have not got yet. One of those who do is killed in
the middle: nobody else has wrong bytes, leaves the swarm for the origin, or blames a parent for it."""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
import story
from lab import Lab, wait_for
from reading import Read
from skimmer import Daemon, Manager, Nginx, Scheduler, random_file
from story import check, equal

NODES, RATE_MBIT, SIZE, PIECE = 6, 40, 24 << 20, 4 << 20


class Crowd:
    """A seed and nodes that all read one cold file through their mounts."""

    def __init__(self, lab):
        origin, control = lab.host("origin", RATE_MBIT), lab.host("control")
        web = origin.dir / "web"
        web.mkdir()
        self.digest = random_file(web / "blob", SIZE)
        self.nginx = Nginx(origin, web)
        scheduler = Scheduler(control, Manager(control))
        self.seed, *self.nodes = (
            Daemon(lab.host(name), schedulers=[scheduler], seed=name == "seed")
            for name in ["seed"] + [f"node{i}" for i in range(NODES)])
        for d in [self.seed] + self.nodes:
            d.in_swarm()
        for d in [self.seed] + self.nodes:
            d.host.set_rate(RATE_MBIT)
        at = self.nginx.addr.removesuffix(":80")
        self.reads = {d: Read(d.mount / "http" / at / "blob") for d in self.nodes}

    def passed_on(self, daemon):
        return daemon.metric("skimmer_pieces_passed_on_total")

    def check_right(self, daemons):
        for d in daemons:
            read = self.reads[d].finish(120)
            equal(read.error, None, f"the reader's error on {d.host.name}")
            equal(read.count, SIZE, f"bytes read on {d.host.name}")
            equal(read.sha.hexdigest(), self.digest, f"digest of what was read on {d.host.name}")

    def check_one_copy(self):
        given = self.nginx.bytes_given()
        check(SIZE <= given < SIZE + PIECE, f"the origin gave one copy, not {given / SIZE:.2f}")


def test_pieces_are_passed_on_before_they_are_whole():
    with Lab() as lab:
        crowd = Crowd(lab)
        crowd.check_right(crowd.nodes)
        passed = {d.host.name: crowd.passed_on(d) for d in crowd.nodes}
        print("pieces passed on:", passed)
        check(sum(passed.values()) > 0, "some node passed on what it had not got yet")
        equal(crowd.passed_on(crowd.seed), 0, "what the seed passed on of what came from the origin")
        crowd.check_one_copy()


def test_who_passes_on_is_killed():
    with Lab() as lab:
        crowd = Crowd(lab)
        victim = wait_for("a node that passes on",
                          lambda: next((d for d in crowd.nodes if crowd.passed_on(d)), None), timeout_s=60)
        victim.process.kill()
        others = [d for d in crowd.nodes if d is not victim]
        crowd.check_right(others)
        crowd.check_one_copy()
        for d in others:
            equal(d.metric("skimmer_digest_failures_total"), 0, f"wrong pieces on {d.host.name}")
            for host in re.findall(r'"msg":"parent dropped".*?"host":"([^"]+)"', d.process.log_text()):
                check(victim.host.name in host, f"{d.host.name} dropped {host}, not {victim.host.name}")


story.run(globals())
