"""An image is preheated by the scheduler's PreheatImage, once into the seed and once everywhere: what a node
pulls through its mirror afterwards is the same task, and the registry hears nothing of it."""
import hashlib
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
import story
from foreign import install, node
from lab import Lab
from skimmer import Daemon, Manager, Registry, Scheduler, make_image
from story import check, equal


def pull(daemon, registry, digest):
    p = subprocess.run(daemon.host.enter("curl", "-sS", "--fail", "--max-time", "120",
                                         "-H", f"X-Dragonfly-Registry: http://{registry.addr}",
                                         f"http://127.0.0.1:4001/v2/pre/heat/blobs/{digest}"),
                       capture_output=True)
    equal(p.returncode, 0, f"curl on {daemon.host.name}: {p.stderr.decode()}")
    equal("sha256:" + hashlib.sha256(p.stdout).hexdigest(), digest, "what came")


def preheat_and_pull(scope, hostnames, puller):
    """Where the puller had its bytes from."""
    layout, tag, layers = make_image()
    with Lab() as lab:
        registry = Registry(lab.host("origin"))
        registry.push(layout, tag, "pre/heat:1")
        control = lab.host("control")
        manager = Manager(control)
        scheduler = Scheduler(control, manager)
        daemons = {name: Daemon(lab.host(name), manager, seed=name == "seed")
                   for name in ("seed", "node1", "node2")}
        for d in daemons.values():
            d.in_swarm()
        node(control, "preheat.js", scheduler.addr,
             f"http://{registry.addr}/v2/pre/heat/manifests/1", scope, *hostnames)
        for d in layers:
            size = (layout / "blobs" / d.replace(":", "/")).stat().st_size
            given = registry.bytes_given(d.removeprefix("sha256:"))
            check(size <= given <= size + 4096, f"one copy of {size} bytes, the registry gave {given}")
        before = len(registry.blob_requests())
        remote = daemons[puller].traffic("REMOTE_PEER")
        for d in layers:
            pull(daemons[puller], registry, d)
        equal(len(registry.blob_requests()), before, "blob requests at the registry by then")
        return daemons[puller].traffic("REMOTE_PEER") - remote


def test_a_preheated_seed_feeds_a_node():
    install()
    check(preheat_and_pull("single_seed_peer", ["seed"], "node1") > 0, "the node had it from the seed")


def test_a_preheated_node_asks_nobody():
    got = preheat_and_pull("all_peers", ["seed", "node1", "node2"], "node2")
    equal(got, 0, "bytes that the node had from peers after the preheat")


story.run(globals())
