"""Lazy start where the kernel has no EROFS: dfdaemon shows the layers' trees itself (lazy.trees). A container of such
layers starts, writes, and reads on while dfdaemon is killed; what nobody uses any more is let go.
runs: --all
"""
import os
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lab"))
import story
from lab import Lab, wait_for
from lazy_node import K8S, LazyNode
from skimmer import Daemon, Manager, Registry, Scheduler, make_image
from story import check, equal

PRINT = ("/usr/bin/python3", "-c", "import re; print(6 * 7)")
# Reads every file of the image again and again, and says how much and what it was.
READ = """
import hashlib, os, sys
while True:
    sha, count = hashlib.sha256(), 0
    for path, dirs, files in os.walk("/usr"):
        dirs.sort()
        for name in sorted(files):
            full = os.path.join(path, name)
            if os.path.islink(full):
                continue
            with open(full, "rb") as f:
                os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
                sha.update(f.read())
                count += 1
    print(count, sha.hexdigest(), flush=True)
"""
KILLS = 3
lab = Lab()
origin, control = lab.host("origin", 400), lab.host("control")
layout, tag, layers = make_image()
registry = Registry(origin)
registry.push(layout, tag, "lazy/python:1")
REF = f"{registry.addr}/lazy/python:1"
manager = Manager(control)
Scheduler(control, manager)
CONFIG = {"backend": {"plainHTTP": [registry.addr]}, "mount": {"holdFor": "300s"},
          "lazy": {"enable": True, "completeAfter": "1h", "trees": "fuse"}}


class Node(LazyNode):
    def __init__(self, name):
        super().__init__(lab.host(name, 1000), manager, registry, CONFIG)

    def run(self, name, *cmd):
        return self.containerd.run(REF, name, *cmd, namespace=K8S).strip()

    def shown(self):
        """Where trees are bound to, and with what options."""
        rows = [l.split() for l in open("/proc/self/mountinfo")]
        return {r[4]: r[5].split(",") for r in rows
                if "fuse.skimmer" in r and r[4].startswith(str(self.snapshotter.root))}


seed = Daemon(lab.host("seed", 1000), manager, seed=True, config=CONFIG)
seed.in_swarm()
one, two = Node("one"), Node("two")


def test_layers_are_shown_by_fuse():
    one.containerd.cri_pull(REF)
    wait_for("the indexes", lambda: seed.process.log_text().count("layer's index is built") == len(layers),
             timeout_s=120)
    two.containerd.cri_pull(REF)
    equal(two.lazy(), len(layers), "lazy layers")
    check("are shown by FUSE" in two.daemon.process.log_text(), "the choice is in the log")
    shown = two.shown()
    equal(len(shown), len(layers), "trees that are bound")
    for options in shown.values():
        check("ro" in options and not {"nosuid", "nodev"} & set(options), f"{options} is as a container's root is")


def test_a_container_starts_and_writes():
    equal(two.run("c1", *PRINT), "42", "what the container prints")
    out = two.run("c2", "/bin/busybox", "sh", "-c",
                  "echo new > /new && echo x >> /etc/debconf.conf; busybox rm -r /usr/share/doc; "
                  "busybox ls /usr/share/doc 2>/dev/null; busybox cat /new")
    equal(out, "new", "what the container wrote")


def test_a_container_reads_on_while_dfdaemon_is_killed():
    """The node that unpacked the image says what is right."""
    want = subprocess.run(one.host.enter("ctr", "-a", one.containerd.socket, "-n", K8S, "run", "--rm", "--snapshotter",
                                         "skimmer", REF, f"want-{os.getpid()}", "/usr/bin/python3", "-c",
                                         READ.replace("while True:", "for _ in range(1):")),
                          capture_output=True, text=True, timeout=600).stdout.strip()
    check(len(want.split()) == 2 and int(want.split()[0]) > 1000, f"{want} is what was read")
    log = two.host.dir / "read.log"
    name = f"reads-{os.getpid()}"
    reader = subprocess.Popen(two.host.enter("ctr", "-a", two.containerd.socket, "-n", K8S, "run", "--rm",
                                             "--snapshotter", "skimmer", REF, name, "/usr/bin/python3", "-c", READ),
                              stdin=subprocess.DEVNULL, stdout=open(log, "wb"), stderr=subprocess.STDOUT)

    def rounds(count):
        wait_for("the reader", lambda: log.read_text().count("\n") >= count or reader.poll() is not None,
                 timeout_s=600)
        equal((set(log.read_text().splitlines()), reader.poll()), ({want}, None), "what it read, its end")

    def taken_over():
        return len([l for l in two.daemon.process.log_text().splitlines()
                    if "mount is taken over" in l and "/trees" in l])

    rounds(1)
    for kill in range(KILLS):
        two.daemon.process.kill()
        two.daemon.restart()
        wait_for("the mount", lambda: taken_over() > kill)
        # One of them began after the kill.
        rounds(log.read_text().count("\n") + 2)
    two.containerd.ctr("-n", K8S, "tasks", "kill", "-s", "SIGKILL", name)
    reader.wait(timeout=60)


def test_a_new_container_after_the_snapshotter_was_killed():
    two.snapshotter.process.kill()
    two.snapshotter.restart()
    wait_for("containerd's next try", lambda: two.containerd.ctr(
        "-n", K8S, "snapshots", "--snapshotter", "skimmer", "usage", check=False).count("\n") > 1, timeout_s=60)
    equal(two.run("c3", *PRINT), "42", "what the container prints")


def test_removed_with_the_image():
    two.daemon.reconfigure({"gc": {"interval": "1s", "policy": {"taskTTL": "1s"}}})
    equal(two.run("c4", *PRINT), "42", "what the container prints, as nothing of it went")
    for ref in two.containerd.ctr("-n", K8S, "images", "ls", "-q").split():
        two.containerd.ctr("-n", K8S, "images", "rm", "--sync", ref)
    wait_for("no directory left", lambda: not two.snapshotter.ids(), timeout_s=60)
    equal(two.shown(), {}, "trees that are bound")
    wait_for("no layer left", lambda: not list((two.daemon.dir / "layers").iterdir()), timeout_s=60)


with lab:
    story.run(globals())
