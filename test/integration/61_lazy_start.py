"""A stock image starts before it is there. The first pull of the cluster is an ordinary one, by which
the seed builds the layers' indexes; a second node then starts the image by them, takes from its peers
what it reads, and shows the tree that the first node's unpacking made."""
import pathlib
import re
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lab"))
import story
from lab import Lab, wait_for
from lazy_node import K8S, LazyNode
from skimmer import Daemon, Manager, Registry, Scheduler, make_image
from story import check, equal

# The size of a directory is its file system's business.
LISTING = ("cd $0 && stat -c '%f %u %g' . && find . -xdev -mindepth 1 -type d "
           "-printf '%p d %m %U %G %T@\\n' -o -printf '%p %y %m %U %G %n %s %T@ %l\\n' | sort && "
           "getfattr -R -h -d -m '^(user|security)' . && "
           "find . -xdev -type f -print0 | sort -z | xargs -0 sha256sum")
PRINT = ("/usr/bin/python3", "-c", "import re; print(6 * 7)")
lab = Lab()
origin, control = lab.host("origin", 400), lab.host("control")
layout, tag, layers = make_image()
sizes = {d: (layout / "blobs" / d.replace(":", "/")).stat().st_size for d in layers}
registry = Registry(origin)
registry.push(layout, tag, "lazy/python:1")
REF = f"{registry.addr}/lazy/python:1"
manager = Manager(control)
Scheduler(control, manager)
CONFIG = {"backend": {"plainHTTP": [registry.addr]}, "lazy": {"enable": True, "completeAfter": "15s"}}


class Node(LazyNode):
    def __init__(self, name):
        super().__init__(lab.host(name, 1000), manager, registry, CONFIG)

    def run(self, name, *cmd):
        return self.containerd.run(REF, name, *cmd, namespace=K8S).strip()

    def tree(self):
        """A listing with checksums of the image's root file system."""
        ctr, where = self.containerd.ctr, self.host.dir / "view"
        rows = [l.split() for l in ctr("-n", K8S, "snapshots", "--snapshotter", "skimmer",
                                       "ls").splitlines()[1:]]
        parents = {r[1] for r in rows if len(r) == 3}
        top = next(r[0] for r in rows if r[-1] == "Committed" and r[0] not in parents)
        where.mkdir(exist_ok=True)
        ctr("-n", K8S, "snapshots", "--snapshotter", "skimmer", "view", "look", top)
        ctr("-n", K8S, "snapshots", "--snapshotter", "skimmer", "label", "look",
            "containerd.io/gc.root=test")
        command = ctr("-n", K8S, "snapshots", "--snapshotter", "skimmer", "mounts", where, "look")
        subprocess.run(command, shell=True, check=True)
        p = subprocess.run(["sh", "-c", LISTING, where], capture_output=True, text=True)
        subprocess.run(["umount", where], check=True)
        equal((p.returncode, p.stderr), (0, ""), f"reading of the tree on {self.host.name}")
        ctr("-n", K8S, "snapshots", "--snapshotter", "skimmer", "rm", "look")
        return p.stdout.splitlines()


def remove_images(node):
    for ref in node.containerd.ctr("-n", K8S, "images", "ls", "-q").split():
        node.containerd.ctr("-n", K8S, "images", "rm", "--sync", ref)
    wait_for("no directory left", lambda: not node.snapshotter.ids(), timeout_s=60)


seed = Daemon(lab.host("seed", 1000), manager, seed=True, config=CONFIG)
seed.in_swarm()
one, two = Node("one"), Node("two")


def test_the_first_pull_is_an_ordinary_one():
    start = time.monotonic()
    one.containerd.cri_pull(REF)
    equal(one.run("c1", *PRINT), "42", "what the container prints")
    print(f"     first pull and start {time.monotonic() - start:.1f} s", flush=True)
    # The lower layers' indexes may be there when the upper ones are asked for.
    check(one.lazy() < len(layers), "the first node unpacked something")


def test_the_seed_has_built_an_index_for_each_layer():
    def built():
        return seed.process.log_text().count("layer's index is built") == len(layers)
    wait_for("the indexes", built, timeout_s=120)
    check("index is built" not in one.daemon.process.log_text(), "only the seed builds")


def test_the_second_node_starts_with_a_part_of_the_image():
    given = registry.bytes_given()
    start = time.monotonic()
    two.containerd.cri_pull(REF)
    pulled = time.monotonic() - start
    equal(two.lazy(), len(layers), "lazy layers")
    equal(two.run("c1", *PRINT), "42", "what the container prints")
    seconds = time.monotonic() - start
    came = two.daemon.traffic("REMOTE_PEER")
    share = came / sum(sizes.values())
    print(f"     lazy pull {pulled:.1f} s, first output after {seconds:.1f} s, "
          f"{share:.2f} of the image's bytes", flush=True)
    check(share < 0.7, f"{share:.2f} of the image came before the first output")
    equal(registry.bytes_given() - given, 0, "bytes that the registry gave for it")


def test_an_index_is_a_few_per_cent_of_its_layer():
    for digest, size in sizes.items():
        index = (two.daemon.dir / "layers" / digest.removeprefix("sha256:")).with_suffix(".idx").stat().st_size
        check(index <= 0.05 * size, f"an index of {index} bytes for a layer of {size}")


def test_the_lazy_tree_equals_the_unpacked_one():
    want, got = one.tree(), two.tree()
    check(len(want) > 1000, "there are a thousand lines to compare")
    different = [(a, b) for a, b in zip(want, got) if a != b]
    equal((len(got), different[:3]), (len(want), []), "the trees")


def test_what_the_second_node_read_first_another_fetches_before_it_is_asked_for():
    wait_for("the record", lambda: "start is recorded" in two.daemon.process.log_text(), timeout_s=120)
    remove_images(one)
    one.daemon.process.stop()
    one.daemon.restart()
    one.daemon.in_swarm()
    lazy = one.lazy()
    one.containerd.cri_pull(REF)
    equal(one.lazy() - lazy, len(layers), "lazy layers")
    wait_for("what the record names",
             lambda: "start is prefetched" in one.daemon.process.log_text(), timeout_s=120)
    unpacked = re.search(r'"start is unpacked".*?"bytes":(\d+)', one.daemon.process.log_text())
    check(unpacked and int(unpacked[1]) > 0, "blocks came in a pack")
    equal(one.run("c2", *PRINT), "42", "what the container prints")


def test_a_container_writes_over_lazy_layers():
    out = two.run("c2", "/bin/busybox", "sh", "-c",
                  "echo new > /new && echo x >> /etc/debconf.conf; busybox rm -r /usr/share/doc; "
                  "busybox ls /usr/share/doc 2>/dev/null; busybox cat /new")
    equal(out, "new", "what the container wrote")


def test_a_new_container_after_both_were_killed():
    two.daemon.process.kill()
    two.snapshotter.process.kill()
    two.daemon.restart()
    two.snapshotter.restart()
    wait_for("containerd's next try", lambda: two.containerd.ctr(
        "-n", K8S, "snapshots", "--snapshotter", "skimmer", "usage", check=False).count("\n") > 1,
        timeout_s=60)
    equal(two.run("c3", *PRINT), "42", "what the container prints")


def test_layers_are_completed_in_the_background():
    def done():
        return len(list((two.daemon.dir / "layers").glob("*.done"))) == len(layers)
    wait_for("complete layers", done, timeout_s=180, every_s=0.2)
    # What it has completed it needs no FUSE for.
    two.snapshotter.restart()
    wait_for("containerd's next try", lambda: two.containerd.ctr(
        "-n", K8S, "snapshots", "--snapshotter", "skimmer", "usage", check=False).count("\n") > 1,
        timeout_s=60)
    equal(two.run("c4", *PRINT), "42", "what the container prints")
    two.daemon.process.kill()
    registry.process.kill()
    equal(two.run("c5", *PRINT), "42", "a container without daemon and registry")
    two.daemon.restart()


def test_the_node_is_rebooted():
    """Nothing runs and nothing is mounted any more; the registry is gone, too."""
    for process in (two.containerd.process, two.snapshotter.process, two.daemon.process):
        process.kill()
    points = [l.split()[4] for l in open("/proc/self/mountinfo") if str(two.host.dir) in l.split()[4]]
    check(points, "there is something to unmount")
    for point in reversed(points):
        subprocess.run(["umount", "-l", point], check=True)
    # No snapshot's row waited until the directory for its mount was on the disk: here none got there.
    for directory in (two.snapshotter.root / "snapshots").glob("*/fs"):
        if str(directory) in points:
            directory.rmdir()
            directory.parent.rmdir()
    for process in (two.daemon, two.snapshotter, two.containerd.process):
        process.restart()
    wait_for("containerd", lambda: two.containerd.ctr("version", check=False).count("Server:"))
    # The snapshotter mounts what its images need, before anybody asks.
    wait_for("lazy mounts", lambda: len([l for l in open("/proc/self/mountinfo") if " erofs " in l and
                                         str(two.snapshotter.root) in l]) == len(layers))
    equal(two.run("c6", *PRINT), "42", "what the container prints")


def layer_files():
    return [p.name for p in (two.daemon.dir / "layers").iterdir()]


def test_what_is_mounted_stays_whatever_the_limits():
    """From now on what was not used for a second goes: tasks at once, layers when nothing has them."""
    two.daemon.reconfigure({"gc": {"interval": "1s", "policy": {"taskTTL": "1s"}}})
    wait_for("no task left", lambda: not list((two.daemon.dir / "store").rglob("*.rec")), timeout_s=60)
    equal(len([n for n in layer_files() if n.endswith(".done")]), len(layers), "layers")
    equal(two.run("c7", *PRINT), "42", "what the container prints")


def test_removed_with_the_image():
    remove_images(two)
    left = [l for l in open("/proc/self/mountinfo") if str(two.snapshotter.root) in l]
    equal(left, [], "mounts left")
    wait_for("no layer left", lambda: not layer_files(), timeout_s=60)


with lab:
    story.run(globals())
