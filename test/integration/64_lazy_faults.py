"""What goes wrong with lazy layers, planted one by one under a real containerd and real daemons: an index with a
bit changed, an index of another layer, a layer whose bytes are not its digest's, a peer that goes in the middle
of a start, a full disk, one of large sectors, a registry that goes after the index came. Every file that a container
reads is the image's or an error: never other bytes. What is broken is named in the log and refused from then on.
# runs: --all
"""
import hashlib
import itertools
import os
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lab"))
import story
from lab import ROOT, Lab, LabError, sh, wait_for
from skimmer import (Containerd, Daemon, Manager, Nginx, Registry, Scheduler, Snapshotter, download_packages,
                     image_layers, unpack_archives, varint)
from story import check, equal

FILES, FILE_LEN, K8S = 8, 3 << 20, "k8s.io"
SUMS = ("/bin/busybox", "sh", "-c", "for f in /own/*; do /bin/busybox sha256sum $f || echo error $f; done")
lab = Lab()
origin, control = lab.host("origin", 1000), lab.host("control")
registry = Registry(origin)
manager = Manager(control)
Scheduler(control, manager)
numbers = itertools.count()
CONFIG = {"backend": {"plainHTTP": [registry.addr]}, "mount": {"holdFor": "60s"},
          "lazy": {"enable": True, "completeAfter": "3600s", "record": "0s"}}


class Image:
    """busybox below, and a layer of files that no other image has."""

    def __init__(self, name):
        self.ref, own = f"{registry.addr}/faults/{name}:1", control.dir / name / "own"
        own.mkdir(parents=True)
        self.want = {}
        for n in range(FILES):
            data = os.urandom(FILE_LEN)
            (own / f"{n}").write_bytes(data)
            self.want[f"/own/{n}"] = hashlib.sha256(data).hexdigest()
        sh("umoci", "insert", "--image", f"{layout}:base", "--tag", name, str(own), "/own")
        registry.push(layout, name, f"faults/{name}:1")
        self.layers = image_layers(layout, name)[0]
        self.own = self.layers[-1].removeprefix("sha256:")
        self.blob = layout / "blobs/sha256" / self.own
        self.stored = registry.dir / f"data/docker/registry/v2/blobs/sha256/{self.own[:2]}/{self.own}/data"
        self.name = f"faults/{name}"

    def index(self):
        """As the seed would build it."""
        path = control.dir / f"{self.own}.idx"
        sh(str(ROOT / "build/test/layer_tool"), "build", str(self.blob), str(path))
        return path.read_bytes()


class Node:
    def __init__(self, name, disk=None, sector=512, **lazy):
        """disk: bytes that are free where its lazy layers are."""
        self.host = lab.host(name, 1000)
        if disk:
            self.make_disk(disk, sector)
        self.daemon = Daemon(self.host, manager, config={**CONFIG, "lazy": {**CONFIG["lazy"], **lazy}})
        self.daemon.in_swarm()
        self.snapshotter = Snapshotter(self.host)
        self.containerd = Containerd(self.host, registries=[registry.addr], cri=True, snapshotter=self.snapshotter)

    def make_disk(self, free, sector):
        where, image = self.host.dir / "dfdaemon/layers", self.host.dir / "disk"
        where.mkdir(parents=True)
        sh("truncate", "-s", "256M", str(image))
        loop = sh("losetup", "-f", "--show", "-b", str(sector), str(image)).strip()
        sh("mkfs.ext4", "-q", "-m", "0", loop)
        sh("mount", loop, str(where))
        sh("losetup", "-d", loop)  # once it is unmounted
        self.ballast = where / "ballast"
        stat = os.statvfs(where)
        sh("fallocate", "-l", str(stat.f_bavail * stat.f_frsize - free), str(self.ballast))

    def log(self):
        return self.daemon.process.log_text()

    def told(self, sentence, word):
        """Lines of the daemon's log that say this of that."""
        return [l for l in self.log().splitlines() if sentence in l and word in l]

    def is_lazy(self, image):
        return any("layer is lazy" in l and image.own in l
                   for l in self.snapshotter.process.log_text().splitlines())

    def pull(self, image):
        self.containerd.cri_pull(image.ref)

    def start(self, image):
        """runc knows the containers of all containerds of the machine by name and namespace alone."""
        name = f"faults-{os.getpid()}-{next(numbers)}"
        return subprocess.Popen(self.host.enter(
            "ctr", "-a", self.containerd.socket, "-n", K8S, "run", "--rm", "--snapshotter", "skimmer", image.ref,
            name, *SUMS), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def read(self, image, popen=None):
        """The files that a container could read; the others gave it an error. Never other bytes."""
        out, err = (popen or self.start(image)).communicate(timeout=600)
        lines = [l.split() for l in out.splitlines()]
        got = {l[1]: l[0] for l in lines if len(l) == 2 and l[0] != "error"}
        wrong = [f for f, s in got.items() if image.want.get(f) != s]
        equal(wrong, [], f"files with other bytes on {self.host.name}: {out}")
        check(len(got) == FILES or err, "who could not read hears why")
        return got, err

    def reads_all(self, image, popen=None):
        got, err = self.read(image, popen)
        equal(len(got), FILES, f"files that could be read; {err[-500:]}")

    def reads_not_all(self, image):
        got, err = self.read(image)
        check(len(got) < FILES, "something could not be read")
        print(f"     {len(got)} of {FILES} files, then: {err.strip().splitlines()[0]}", flush=True)
        return err

    def forget_images(self):
        for ref in self.containerd.ctr("-n", K8S, "images", "ls", "-q").split():
            self.containerd.ctr("-n", K8S, "images", "rm", "--sync", ref)
        wait_for("no directory left", lambda: not self.snapshotter.ids(), timeout_s=60)


def index_is_built(image):
    return any("index is built" in l and image.own in l for l in seed.process.log_text().splitlines())


def prime(image):
    """The layers go through the seed, which builds their indexes."""
    for d in image.layers:
        seed.host.run("curl", "-sSf", "-o", "/dev/null", "-H", f"X-Dragonfly-Registry: http://{registry.addr}",
                      f"http://127.0.0.1:4001/v2/{image.name}/blobs/{d}")
    wait_for("the index", lambda: index_is_built(image), timeout_s=120)


def field(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


def plant(node, image, index):
    """A member of the cluster has this as the layer's index: a task of the name that indexes have, as root
    makes it at the daemon's socket: DownloadTask{download=1: {url=1, content_for_calculating_task_id=23}}."""
    (web / image.own).write_bytes(index)
    download = field(1, f"http://{nginx.addr}/{image.own}".encode())
    download += field(23, f"skimmer/layer-index/2/sha256:{image.own}".encode())
    request = field(1, download)
    p = subprocess.run(node.host.enter(
        "curl", "-sS", "-i", "--max-time", "60", "--http2-prior-knowledge", "--unix-socket", node.daemon.socket,
        "-H", "content-type: application/grpc", "-H", "te: trailers", "--data-binary", "@-",
        "http://localhost/dfdaemon.v2.DfdaemonDownload/DownloadTask"),
        input=b"\0" + len(request).to_bytes(4, "big") + request, capture_output=True)
    check(b"grpc-status: 0" in p.stdout, f"planted: {p.stdout[-300:]} {p.stderr}")


def flip(data, at):
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1:]


def refused_and_unpacked(node, image):
    node.pull(image)
    check(node.told("index is broken and forgotten", image.own), "the log names the layer whose index is broken")
    # The seed may have built a good one before containerd came to ask for this layer.
    check(not node.is_lazy(image) or index_is_built(image), "the layer is unpacked, or lazy by another index")
    node.reads_all(image)


def pulled(node, image):
    try:
        node.pull(image)
    except LabError as e:
        print(f"     {str(e)[-300:]}", flush=True)
        return False
    return True


layout = control.dir / "oci"
archives = control.dir / "packages"
archives.mkdir()
root = unpack_archives(archives, [d for d in download_packages(archives, ["busybox-static"])
                                  if d.name.startswith("busybox")])
sh("umoci", "init", "--layout", str(layout))
sh("umoci", "new", "--image", f"{layout}:base")
sh("umoci", "insert", "--image", f"{layout}:base", str(root), "/")
bit, other, rotten, peer, full, large, away = (
    Image(n) for n in ("bit", "other", "rotten", "peer", "full", "large", "away"))
web = origin.dir / "web"
web.mkdir()
nginx = Nginx(origin, web)
seed = Daemon(lab.host("seed", 1000), manager, seed=True, config=CONFIG)
seed.in_swarm()
one, two = Node("one"), Node("two")


def test_an_index_with_one_bit_changed():
    index = bit.index()
    plant(two, bit, flip(index, len(index) // 2))
    refused_and_unpacked(one, bit)


def test_an_index_of_another_layer():
    plant(two, other, bit.index())
    refused_and_unpacked(one, other)


def test_a_broken_index_is_built_anew():
    """Who lets a layer pass for the first time does not believe it either."""
    for image in (bit, other):
        wait_for("another index", lambda: index_is_built(image), timeout_s=120)


def test_bytes_that_are_not_the_layers():
    prime(rotten)
    one.pull(rotten)
    check(one.is_lazy(rotten), "the layer is lazy")
    seed.process.stop()
    good = rotten.stored.read_bytes()
    rotten.stored.write_bytes(flip(good, len(good) // 2))
    one.reads_not_all(rotten)
    check(one.told("layer is broken and refused", rotten.own), "the log names the layer")
    one.reads_not_all(rotten)
    one.daemon.restart()
    one.reads_not_all(rotten)
    # Nor is it believed when it is pulled anew; unpacking finds that it is another, too.
    one.forget_images()
    check(not pulled(one, rotten), "the pull is refused")
    rotten.stored.write_bytes(good)
    seed.restart()
    seed.in_swarm()
    # A registry that gave wrong bytes is asked again after a minute.
    wait_for("a pull of what was mended", lambda: pulled(one, rotten), timeout_s=180, every_s=5)
    one.reads_all(rotten)
    check([l for l in one.snapshotter.process.log_text().splitlines() if "layer is unpacked" in l and rotten.own in l
           and "broken here" in l], "it is not lazy any more, and the log says why")


def test_a_peer_goes_in_the_middle_of_a_start():
    prime(peer)
    two.pull(peer)
    check(two.is_lazy(peer), "the layer is lazy")
    two.host.set_rate(50)
    before, begun = two.host.rx_bytes(), two.start(peer)
    wait_for("some bytes", lambda: two.host.rx_bytes() - before > FILE_LEN)
    seed.process.kill()
    two.reads_all(peer, begun)
    two.host.set_rate(1000)
    seed.restart()
    seed.in_swarm()


def test_the_disk_is_full():
    prime(full)
    small = Node("small", disk=FILES * FILE_LEN // 2)
    small.pull(full)
    check(small.is_lazy(full), "the layer is lazy")
    small.reads_not_all(full)
    check(small.told("read failed", "No space left"), "the log says why")
    small.ballast.unlink()
    small.reads_all(full)


def test_a_disk_of_large_sectors():
    """A complete layer's file is read directly where the disk allows that in the blocks of a tar."""
    prime(large)
    node = Node("large", disk=2 * FILES * FILE_LEN, sector=4096, completeAfter="1s")
    node.pull(large)
    check(node.is_lazy(large), "the layer is lazy")
    wait_for("the complete layer", lambda: list((node.daemon.dir / "layers").glob(f"{large.own}*.done")), timeout_s=120)
    node.snapshotter.restart()
    wait_for("containerd's next try", lambda: node.containerd.ctr(
        "-n", K8S, "snapshots", "--snapshotter", "skimmer", "usage", check=False).count("\n") > 1, timeout_s=60)
    node.reads_all(large)


def test_the_registry_goes_after_the_index_came():
    prime(away)
    two.pull(away)
    check(two.is_lazy(away), "the layer is lazy")
    seed.process.stop()
    registry.process.kill()
    two.reads_not_all(away)
    check(two.told("task failed", away.own), "the log names the layer")
    registry.process.restart()
    wait_for("bytes from the registry", lambda: two.read(away)[0] == away.want, timeout_s=180, every_s=1)


with lab:
    story.run(globals())
