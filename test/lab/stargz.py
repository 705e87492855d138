"""stargz-snapshotter beside Skimmer, for the benchmarks of lazy start: the program that is in the PATH, and eStargz
copies of an image, made once by ctr-remote and kept beside the image below build/lab-images/.

    stargz.prepare()
    copies = stargz.copies(images.make("nginx"))    # {"eStargz": Copy, "eStargz, optimized": Copy}
    node = stargz.StargzNode(host, registry)
"""
import json
import shutil

from lab import Lab, LabError, wait_for
from skimmer import Containerd, Registry, image_layers

PROGRAM = "containerd-stargz-grpc"
# optimize runs the command, and waits no longer than this for its end.
WATCHED_S = 120
PLAIN, OPTIMIZED = "eStargz", "eStargz, optimized"


def prepare():
    for name in (PROGRAM, "ctr-remote"):
        if not shutil.which(name):
            raise LabError(f"no {name} in the PATH: releases of stargz-snapshotter have both, Debian 12's package "
                           "stargz-snapshotter has ctr-remote only")


class Copy:
    """An image's eStargz copy, an OCI layout."""

    def __init__(self, image, what):
        self.what, self.name, self.command = what, image.name, image.command
        self.tag = "estargz-optimized" if what == OPTIMIZED else "estargz"
        self.layout = image.where / self.tag

    def look(self):
        self.layers, self.sizes = image_layers(self.layout, self.tag)
        return self


def copies(image):
    """One as convert makes it; and one as optimize does, which puts first what the image's command reads."""
    both = [Copy(image, PLAIN), Copy(image, OPTIMIZED)]
    missing = [c for c in both if not (c.layout / "done").exists()]
    if missing:
        with Lab() as lab:
            convert(lab, image, missing)
    return {c.what: c.look() for c in both}


def convert(lab, image, missing):
    registry = Registry(lab.host("origin"))
    registry.push(image.layout, image.tag, "stock:1")
    containerd = Containerd(lab.host("converter"), mirror=f"http://{registry.addr}", registries=[registry.addr])
    stock = f"{registry.addr}/stock:1"
    containerd.pull(stock)
    how = {PLAIN: ["convert", "--estargz"],
           OPTIMIZED: ["optimize", "--period", str(WATCHED_S), "--args", json.dumps(image.command)]}
    for copy in missing:
        shutil.rmtree(copy.layout, ignore_errors=True)
        ref = f"{registry.addr}/{copy.tag}:1"
        containerd.host.run("ctr-remote", "-a", containerd.socket, "images", *how[copy.what], "--oci", stock, ref)
        containerd.ctr("images", "push", "--plain-http", ref)
        registry.host.run("skopeo", "copy", "-q", "--preserve-digests", "--insecure-policy", "--src-tls-verify=false",
                          f"docker://{ref}", f"oci:{copy.layout}:{copy.tag}")
        (copy.layout / "done").write_text("")


class Stargz:
    """The snapshotter with its own defaults, for the Containerd of the same host."""

    name = "stargz"

    def __init__(self, host, registry):
        self.dir = host.dir / "stargz"
        self.dir.mkdir()
        self.socket = self.dir / "s.sock"
        config = self.dir / "config.toml"
        config.write_text(f'[[resolver.host."{registry.addr}".mirrors]]\nhost = "{registry.addr}"\ninsecure = true\n')
        self.process = host.start([PROGRAM, "-address", self.socket, "-root", self.dir / "root", "-config", config])
        wait_for("stargz-snapshotter", lambda: f"{self.socket}\n" in host.run("cat", "/proc/net/unix"))


class StargzNode:
    """A node with that and nothing of Skimmer."""

    def __init__(self, host, registry):
        self.host, self.snapshotter = host, Stargz(host, registry)
        self.programs = [self.snapshotter.process]
        self.containerd = Containerd(host, mirror=f"http://{registry.addr}", registries=[registry.addr], cri=True,
                                     snapshotter=self.snapshotter)

    def lazy(self):
        """How many layers are mounted; each is a FUSE file system of its own."""
        with open("/proc/self/mountinfo") as mounts:
            return sum(f" {self.snapshotter.dir}/" in line and " fuse." in line for line in mounts)
