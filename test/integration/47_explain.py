"""dfctl explain names the true cause of ready-made slow pulls: each pull is made slow by one thing that was
planted, and the verdict's code must be that thing's."""
import json
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
import story
from lab import BIN, Lab, sh
from skimmer import Daemon, Nginx, Scheduler, random_file
from story import check, equal

SIZE = 8 << 20
# A disk that takes its time: every write of the store waits.
SLOW_DISK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <sys/types.h>
#include <unistd.h>
ssize_t pwrite64(int fd, const void *data, size_t len, off_t off)
{
	static ssize_t (*real)(int, const void *, size_t, off_t);
	if (!real)
		real = (ssize_t (*)(int, const void *, size_t, off_t))(intptr_t)dlsym(RTLD_NEXT, "pwrite64");
	usleep(len / 10);
	return real(fd, data, len, off);
}
"""


class World:
    def __init__(self, lab):
        self.lab, self.origin, self.count = lab, lab.host("origin"), 0
        self.web = self.origin.dir / "web"
        self.web.mkdir()
        random_file(self.web / "file", SIZE)
        self.nginx = Nginx(self.origin, self.web, extra="location /slowly { limit_rate 4m; alias "
                           f"{self.web}; }}")
        self.scheduler = Scheduler(lab.host("scheduler"))
        self.child = lab.host("child")
        self.parent = lab.host("parent")

    def daemon(self, host, config=None, schedulers=None, seed=False, env=None):
        self.count += 1
        d = Daemon(host, schedulers=[self.scheduler] if schedulers is None else schedulers, seed=seed, env=env,
                   config={"mount": {"enable": False}, **(config or {})}, name=f"dfdaemon{self.count}")
        if schedulers is None:
            d.in_swarm()
        return d

    def url(self, way=""):
        """Another file each time, as far as anybody knows."""
        self.count += 1
        return f"http://{self.origin.ip}{way}/file?n={self.count}"

    def get(self, daemon, url):
        daemon.host.run(BIN / "dfget", "-e", daemon.socket, "--no-progress", "--overwrite", "-O",
                        daemon.dir / "out", url)

    def explain(self, daemon, what=None):
        args = [BIN / "dfctl", "explain", "-e", daemon.socket, *([what] if what else [])]
        told = json.loads(daemon.host.run(*args, "--json"))
        text = daemon.host.run(*args)
        verdict = told["verdict"]
        print(f"     {verdict.get('code', '-')} {verdict.get('name', '')}: {verdict['text']}")
        if os.environ.get("EXPLAIN_TEXT"):
            print(text)
        check(text.splitlines()[-2 if "code" in verdict else -1].startswith("verdict "), text)
        return told


def pulled(world, daemon, url=None):
    url = url or world.url()
    world.get(daemon, url)
    told = world.explain(daemon)
    givers = told["download"]["givers"]
    equal(sum(g["bytes"] for g in givers), SIZE, "every byte has a giver")
    daemon.process.stop()
    return told


def with_parent(world, config=None, child=None, spoil=None):
    """A parent has the file; then it is spoiled, and the child pulls."""
    parent, url = world.daemon(world.parent, config), world.url()
    world.get(parent, url)
    if spoil:
        spoil(parent)
    told = pulled(world, world.daemon(world.child, child), url)
    parent.process.stop()
    world.parent.set_rate(None)
    peers = [g for g in told["download"]["givers"] if g["host"]]
    equal([g["offered"] for g in peers], [True], "the parent was offered by the scheduler")
    equal(peers[0]["ip"], world.parent.ip, "the parent's address")
    return told


def fast(world):
    told = with_parent(world)
    check("code" not in told["verdict"] or told["download"]["total_us"] > 200_000, "nothing is wrong")
    equal(told["download"]["scheduler"], world.scheduler.addr, "the scheduler that was asked")


def slow_origin(world):
    told = pulled(world, world.daemon(world.child), world.url("/slowly"))
    equal(told["verdict"]["code"], "SK401", "cause")


def slow_parent(world):
    told = with_parent(world, spoil=lambda p: p.host.set_rate(40))
    equal(told["verdict"]["code"], "SK402", "cause")
    check(world.parent.ip in told["verdict"]["text"], "which one")


def small_upload_limit(world):
    told = with_parent(world, {"upload": {"bandwidthLimit": "6MB"}})
    equal(told["verdict"]["code"], "SK403", "cause")


def download_limit(world):
    told = with_parent(world, child={"download": {"bandwidthLimit": "6MB"}})
    equal(told["verdict"]["code"], "SK404", "cause")


def back_to_source_limit(world):
    told = pulled(world, world.daemon(world.child, {"download": {"backToSourceBandwidthLimit": "6MB"}}))
    equal(told["verdict"]["code"], "SK405", "cause")


def no_scheduler(world):
    told = pulled(world, world.daemon(world.child, schedulers=[]))
    equal(told["verdict"]["code"], "SK406", "cause")


def rule_not_matching(world):
    daemon = world.daemon(world.child, {"proxy": {"rules": [{"regex": "blobs/sha256.*"}]}})
    url = world.url()
    daemon.host.run("curl", "-sS", "-o", "/dev/null", "-x", "http://127.0.0.1:4001", url)
    told = world.explain(daemon, url)
    equal(told["verdict"]["code"], "SK407", "cause")
    equal(told["request"]["way"], "relay", "the way it went")
    daemon.process.stop()


def rule_matching(world):
    daemon, url = world.daemon(world.child, {"proxy": {"rules": [{"regex": ".*/file"}]}}), world.url()
    for _ in range(2):
        daemon.host.run("curl", "-sS", "-o", "/dev/null", "-x", "http://127.0.0.1:4001", url)
        told = world.explain(daemon, url)
        equal(told["request"]["rule"], ".*/file", "the rule that matched")
        time.sleep(0.01)
    check("download" not in told and "here already" in told["verdict"]["text"], "the second was here")
    daemon.process.stop()


def corrupt_parent(world):
    def rot(parent):
        files = [f for f in (parent.dir / "store/content/tasks").glob("*/*") if f.suffix == ""]
        with open(files[0], "r+b") as f:
            f.seek(5 << 20)
            f.write(b"rotten" * 100)
    told = with_parent(world, spoil=rot)
    equal(told["verdict"]["code"], "SK408", "cause")
    check(world.parent.ip in told["verdict"]["text"], "which one")


def disk_full(world):
    disk = world.lab.dir / "disk"
    disk.mkdir()
    sh("mount", "-t", "tmpfs", "-o", "size=6m", "none", str(disk))
    daemon, url = world.daemon(world.child, {"storage": {"dir": str(disk / "store")}}), world.url()
    daemon.host.run("curl", "-sS", "-o", "/dev/null", "-x", "http://127.0.0.1:4001", "-H",
                    "X-Dragonfly-Use-P2P: true", url)
    equal(world.explain(daemon, url)["verdict"]["code"], "SK409", "cause")
    daemon.process.stop()


def slow_disk(world):
    source, shim = world.lab.dir / "slow.c", world.lab.dir / "slow.so"
    source.write_text(SLOW_DISK)
    sh("cc", "-shared", "-fPIC", "-O1", "-o", shim, source)
    told = pulled(world, world.daemon(world.child, env={"LD_PRELOAD": str(shim)}))
    equal(told["verdict"]["code"], "SK410", "cause")


def cold_seed(world):
    seed = world.daemon(world.parent, {"download": {"backToSourceBandwidthLimit": "6MB"}}, seed=True)
    told = pulled(world, world.daemon(world.child))
    equal(told["verdict"]["code"], "SK411", "cause")
    check(any(g["seed"] and g["offered"] for g in told["download"]["givers"]), "by the seed")
    seed.process.stop()


def test_each_cause_is_named():
    with Lab() as lab:
        world = World(lab)
        for case in (fast, slow_origin, slow_parent, small_upload_limit, download_limit,
                     back_to_source_limit, no_scheduler, rule_not_matching, rule_matching, corrupt_parent,
                     disk_full, slow_disk, cold_seed):
            start = time.monotonic()
            case(world)
            print(f"   {case.__name__}: {time.monotonic() - start:.1f} s", flush=True)


def test_what_nobody_pulled_is_told_as_such():
    with Lab() as lab:
        world = World(lab)
        daemon = world.daemon(world.child, schedulers=[])
        p = subprocess.run(daemon.host.enter(BIN / "dfctl", "explain", "-e", daemon.socket,
                                             "http://nobody/pulled/this"), capture_output=True, text=True)
        equal(p.returncode, 4, "exit code")
        check("remembers no pull" in p.stderr, p.stderr)
        daemon.process.stop()
        p = subprocess.run(daemon.host.enter(BIN / "dfctl", "explain", "-e", daemon.socket),
                           capture_output=True, text=True)
        equal(p.returncode, 11, "exit code without a daemon")


story.run(globals())
