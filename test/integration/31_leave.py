"""A daemon that is stopped takes itself back from the scheduler before it is gone: nobody is sent to it
afterwards, and who was being fed by it goes on elsewhere."""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
import story
from faults import Fetch
from lab import ROOT, Lab, listening, sh, wait_for
from skimmer import Daemon, Scheduler, random_file
from story import check, equal

MIB = 1 << 20


class Swarm:
    def __init__(self, lab, rate_mbit=None):
        self.origin, control = lab.host("origin"), lab.host("control")
        self.web = self.origin.dir / "web"
        self.web.mkdir()
        self.origin.start(["/usr/bin/python3", ROOT / "test/lab/origin.py", 80, self.web])
        wait_for("origin", lambda: listening(self.origin, 80))
        self.control, self.scheduler = control, Scheduler(control, config={"metrics": {"enable": True}})
        self.a, self.b, self.c = [
            Daemon(lab.host(name, rate_mbit), schedulers=[self.scheduler],
                   config={"mount": {"enable": False}}) for name in "abc"]
        for d in (self.a, self.b, self.c):
            d.in_swarm()

    def publish(self, name, size):
        random_file(self.web / name, size)
        return f"http://{self.origin.ip}/{name}", sh("sha256sum", self.web / name).split()[0]

    def known(self, what):
        text = self.control.get("http://127.0.0.1:8000/metrics")[2].decode()
        found = re.search(rf'^skimmer_scheduler_known{{what="{what}"}} (\d+)', text, re.M)
        return int(found[1])

    def fetch(self, daemon, file):
        f = Fetch(daemon, file[0], 60)
        f.join()
        f.check(daemon.host.name, file[1])


def test_who_is_stopped_is_not_offered():
    with Lab() as lab:
        swarm = Swarm(lab)
        file = swarm.publish("file", 16 * MIB)
        swarm.fetch(swarm.a, file)
        swarm.fetch(swarm.b, file)
        equal(swarm.b.traffic("BACK_TO_SOURCE"), 0, "bytes that b had from the origin: a gave them")
        swarm.b.process.stop()
        # Told before the process ended: nothing to wait for.
        equal(swarm.known("hosts"), 2, "hosts that the scheduler knows without b")
        equal(swarm.known("peers"), 1, "its downloads are forgotten with it")
        swarm.fetch(swarm.c, file)
        equal(swarm.c.traffic("REMOTE_PEER"), 16 * MIB, "bytes that c had from a")
        check(swarm.b.host.ip not in swarm.c.process.log_text(), "c was not sent to b")
        swarm.a.process.stop()
        equal(swarm.known("peers"), 1, "c alone is left")


def test_who_is_being_fed_goes_on_elsewhere():
    with Lab() as lab:
        swarm = Swarm(lab, rate_mbit=100)
        file = swarm.publish("file", 32 * MIB)
        swarm.fetch(swarm.a, file)
        running = Fetch(swarm.b, file[0], 60)
        wait_for("the first bytes", lambda: swarm.b.traffic("REMOTE_PEER") > 0, timeout_s=30)
        swarm.a.process.stop()
        running.join()
        running.check("b", file[1])
        check(swarm.b.traffic("BACK_TO_SOURCE") > 0, "a was gone before it had given all")


story.run(globals())
