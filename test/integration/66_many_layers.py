"""An image of 127 layers, as many as Docker allows, starts lazily: all are lazy, overlayfs takes them all, and a
container sees the very tree that containerd's own unpacking makes.
# runs: --all
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lab"))
import images
import story
from lab import Lab, wait_for
from skimmer import Containerd, Daemon, Manager, Registry, Scheduler, Snapshotter
from story import check, equal

K8S, COUNT = "k8s.io", 127
# Sizes and times of directories are their file system's business.
LISTING = ("busybox find / -xdev ! -type d -exec busybox stat -c '%n %f %u %g %s %Y' {} + | busybox sort; "
           "busybox find / -xdev -type d -exec busybox stat -c '%n %f %u %g' {} + | busybox sort; "
           "busybox find / -xdev -type f -print0 | busybox sort -z | busybox xargs -0 busybox sha256sum")
lab = Lab()
image = images.make(f"layers{COUNT}")
registry = Registry(lab.host("origin", 1000))
registry.push(image.layout, image.tag, "many/layers:1")
REF = f"{registry.addr}/many/layers:1"
control = lab.host("control")
manager = Manager(control)
Scheduler(control, manager)
CONFIG = {"backend": {"plainHTTP": [registry.addr]}, "lazy": {"enable": True}}
seed = Daemon(lab.host("seed", 1000), manager, seed=True, config=CONFIG)
seed.in_swarm()


class Node:
    def __init__(self, name):
        self.host = lab.host(name, 1000)
        self.daemon = Daemon(self.host, manager, config=CONFIG)
        self.daemon.in_swarm()
        self.snapshotter = Snapshotter(self.host)
        self.containerd = Containerd(self.host, registries=[registry.addr], cri=True, snapshotter=self.snapshotter)

    def lazy(self):
        return self.snapshotter.process.log_text().count('"layer is lazy"')


def output(containerd, name, *command):
    return containerd.run(REF, name, *command, namespace=K8S)


def test_the_first_pull_makes_the_indexes():
    first = Node("first")
    first.containerd.cri_pull(REF)
    logs = lambda: seed.process.log_text() + first.daemon.process.log_text()
    wait_for("the indexes", lambda: all(any("index is built" in l and d in l for l in logs().splitlines())
                                        for d in set(image.layers)), timeout_s=300, every_s=0.5)
    equal(len(image.layers), COUNT, "layers of the image")


def test_all_layers_are_lazy_and_the_tree_is_the_unpacked_one():
    node, plain = Node("node"), Containerd(lab.host("plain", 1000), mirror=f"http://{registry.addr}",
                                           registries=[registry.addr], cri=True)
    node.containerd.cri_pull(REF)
    equal(node.lazy(), COUNT, "lazy layers")
    equal(output(node.containerd, "c1", *image.command).strip(), str(COUNT), "what the container prints")
    plain.cri_pull(REF)
    got = output(node.containerd, "c2", "/bin/busybox", "sh", "-c", LISTING).splitlines()
    want = output(plain, "c2", "/bin/busybox", "sh", "-c", LISTING).splitlines()
    check(len(want) > 1000, "there are a thousand lines to compare")
    equal(([l for l in got if l not in set(want)][:3], len(got)), ([], len(want)), "the trees")


with lab:
    story.run(globals())
