"""Lazy start under load: eight nodes start the same image at once and the registry gives one copy, while a
node that feeds them dies; then 50 containers of five images start at once on one node. Every container
reads a file of its image and tells its checksum; memory of daemon and snapshotter stays bounded.
# runs: --all
"""
import concurrent.futures
import hashlib
import itertools
import os
import pathlib
import shutil
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lab"))
import story
from lab import Lab, wait_for
from lazy_node import K8S, LazyNode
from skimmer import Daemon, Manager, Registry, Scheduler, image_layers, make_image
from story import check, equal

NODES, IMAGES, CONTAINERS, OWN_LEN = 8, 5, 50, 16 << 20
DAEMON_MIB, SNAPSHOTTER_MIB = 192, 64
SUM = ("/usr/bin/python3", "-c", "import hashlib; print(hashlib.sha256(open('/own', 'rb').read()).hexdigest())")
lab = Lab()
origin, control = lab.host("origin", 400), lab.host("control")
registry = Registry(origin)


def make_images():
    """The lab's image, each time with another layer of its own: [(reference, checksum of /own)], and a copy's bytes."""
    layout, tag, _ = make_image()
    where = control.dir / "images"
    shutil.copytree(layout, where)
    out, sizes = [], {}
    for n in range(IMAGES):
        (control.dir / "own").write_bytes(os.urandom(1 << 20) * (OWN_LEN >> 20))
        subprocess.run(["umoci", "insert", "--image", f"{where}:{tag}", "--tag", f"i{n}",
                        control.dir / "own", "/own"], check=True, capture_output=True)
        registry.push(where, f"i{n}", f"load/i{n}:1")
        sizes |= image_layers(where, f"i{n}")[1]
        out.append((f"{registry.addr}/load/i{n}:1", hashlib.sha256((control.dir / "own").read_bytes()).hexdigest()))
    return out, sum(sizes.values())


images, one_copy = make_images()
manager = Manager(control)
Scheduler(control, manager)
numbers = itertools.count()
CONFIG = {"backend": {"plainHTTP": [registry.addr]}, "lazy": {"enable": True}}


class Node(LazyNode):
    def __init__(self, name):
        super().__init__(lab.host(name, 1000), manager, registry, CONFIG)

    def run(self, ref):
        """runc knows the containers of all containerds of the machine by name and namespace alone."""
        name = f"load-{os.getpid()}-{next(numbers)}"
        return self.containerd.run(ref, name, *SUM, namespace=K8S).strip()

    def start(self, ref):
        self.containerd.cri_pull(ref)
        return self.run(ref)

    def tell_memory(self):
        mib = [p.process.rss_kib(peak=True) >> 10 for p in (self.daemon, self.snapshotter)]
        print(f"     {self.host.name}: dfdaemon {mib[0]} MiB with {self.daemon.process.threads()} threads, "
              f"containerd-skimmer {mib[1]} MiB", flush=True)
        check(mib[0] < DAEMON_MIB and mib[1] < SNAPSHOTTER_MIB, f"{mib} MiB are too much")


seed = Daemon(lab.host("seed", 1000), manager, seed=True, config=CONFIG)
seed.in_swarm()
first = Node("first")
nodes = [Node(f"node{n}") for n in range(NODES)]


def at_once(jobs):
    """Results of all; what any of them raised is raised."""
    with concurrent.futures.ThreadPoolExecutor(len(jobs)) as pool:
        return [f.result() for f in [pool.submit(*j) for j in jobs]]


def test_the_first_pulls_build_the_indexes():
    for ref, want in images:
        equal(first.start(ref), want, "what the container has read")
    digests = {d for ref, _ in images for d in image_layers(control.dir / "images", ref.split("/")[2].split(":")[0])[0]}

    def built():
        text = seed.process.log_text() + first.daemon.process.log_text()
        return all(any(d in l for l in text.splitlines() if "index is built" in l) for d in digests)
    wait_for("the indexes", built, timeout_s=300, every_s=0.5)


def test_eight_nodes_start_the_same_image_while_a_peer_dies():
    given, (ref, want) = registry.bytes_given(), images[0]
    begin = time.monotonic()
    jobs = [(n.start, ref) for n in nodes]
    with concurrent.futures.ThreadPoolExecutor(len(jobs)) as pool:
        answers = [pool.submit(*j) for j in jobs]
        wait_for("bytes from peers", lambda: any(n.host.rx_bytes() > 1 << 20 for n in nodes), timeout_s=120)
        first.daemon.process.kill()
        got = [a.result() for a in answers]
    equal(got, [want] * NODES, "what the containers have read")
    print(f"     {NODES} nodes in {time.monotonic() - begin:.1f} s; the registry gave "
          f"{registry.bytes_given() - given} bytes more, {registry.bytes_given() / one_copy:.2f} copies in all", flush=True)
    check(registry.bytes_given() < one_copy * 1.1, "the registry gives one copy")
    for n in nodes:
        n.tell_memory()


def test_fifty_containers_of_five_images_start_at_once():
    node, begin = nodes[0], time.monotonic()
    at_once([(node.containerd.cri_pull, ref) for ref, _ in images])
    got = at_once([(node.run, images[n % IMAGES][0]) for n in range(CONTAINERS)])
    equal(got, [images[n % IMAGES][1] for n in range(CONTAINERS)], "what the containers have read")
    print(f"     {CONTAINERS} containers in {time.monotonic() - begin:.1f} s", flush=True)
    check(registry.bytes_given() < one_copy * 1.1, "the registry gives one copy")
    node.tell_memory()


with lab:
    story.run(globals())
