"""Images of eStargz and zstd:chunked start lazily on the very first pull of a cluster, where nobody has an index: by
the tables of contents that their layers bring, on nodes that believe them. The trees are those of containerd's own
unpacking. A table with one bit changed is not believed, and the layer is unpacked.
# runs: --all
"""
import hashlib
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lab"))
import story
from lab import Lab, wait_for
from lazy_node import K8S, LazyNode
from skimmer import Manager, Registry, Scheduler, download_packages, unpack_archives
from story import check, equal
from toc_images import GZIP, ZSTD, TocLayer, write_image

FILE_LEN = 4 << 20
LIST = ("/bin/busybox", "sh", "-c", "for d in /bin /own /more; do /bin/busybox find $d -type d -exec /bin/busybox stat "
        "-c '%n %a %u %g %Y' {} +; /bin/busybox find $d ! -type d -exec /bin/busybox stat -c '%N %a %u %g %Y %s %h' {} +; "
        "/bin/busybox find $d -type f -exec /bin/busybox sha256sum {} +; done | /bin/busybox sort")
lab = Lab()
origin, control = lab.host("origin", 400), lab.host("control")
registry = Registry(origin)
manager = Manager(control)
Scheduler(control, manager)
archives = control.dir / "packages"
archives.mkdir()
busybox = next((unpack_archives(archives, [d for d in download_packages(archives, ["busybox-static"])
                                           if d.name.startswith("busybox")])).glob("usr/bin/busybox")).read_bytes()


class Image:
    """Two layers: what a container reads first, a landmark and files of noise; what changes the last of them."""

    def __init__(self, kind, name, files, spoil=False):
        self.ref, self.sums = f"{registry.addr}/own/{name}:1", {}
        below, above, layout = TocLayer(kind), TocLayer(kind), control.dir / name
        below.dir("bin").file("bin/busybox", busybox, 0o755).dir("own")
        for n in range(files):
            data = os.urandom(FILE_LEN + n)
            self.sums[f"/own/{n}"] = hashlib.sha256(data).hexdigest()
            below.file(f"own/{n}", data)
            if n == 0:
                below.file(".prefetch.landmark", b"\x0f")
        below.file("own/empty", b"").link("own/same", "own/1", "hardlink").link("own/other", "2", "symlink")
        self.gone, self.changed = f"/own/{files - 1}", f"/own/{files - 2}"
        above.dir("own").file(f"own/.wh.{files - 1}", b"").file(self.changed[1:], b"changed").dir("more", 0o700)
        above.file("more/" + 120 * "n", bytes(FILE_LEN), 0o600)
        del self.sums[self.gone]
        self.sums[self.changed] = hashlib.sha256(b"changed").hexdigest()
        self.layers = write_image(layout, "1", [below.end(spoil), above.end()])
        self.len = len(below.blob) + len(above.blob)
        registry.push(layout, "1", f"own/{name}:1")


class Node(LazyNode):
    def __init__(self, name, believes=True, trees="auto"):
        super().__init__(lab.host(name, 1000), manager, registry, {
            "backend": {"plainHTTP": [registry.addr]}, "mount": {"holdFor": "60s"},
            "lazy": {"enable": True, "completeAfter": "3600s", "record": "0s", "trees": trees,
                     "tablesFrom": [f"{registry.addr}/own/*"] if believes else []}})
        self.runs = 0

    def run(self, image, *cmd):
        self.runs += 1
        name = f"toc-{os.getpid()}-{self.host.name}-{self.runs}"
        return self.containerd.run(image.ref, name, *cmd, namespace=K8S)

    def told(self, *words):
        """Lines of the daemon's log with all of these."""
        return [l for l in self.daemon.process.log_text().splitlines() if all(w in l for w in words)]

    def by_table(self, image):
        return sum(len(self.told('"layer is lazy"', d, '"by":"table"')) for d in image.layers)

    def shows(self, image):
        lines = self.run(image, *LIST).splitlines()
        for path, want in image.sums.items():
            check(f"{want}  {path}" in lines, f"{path} has its contents on {self.host.name}")
        check(not [l for l in lines if image.gone + " " in l], "what is whited out is not there")
        return lines


images = {GZIP: Image(GZIP, "estargz", 16), ZSTD: Image(ZSTD, "chunked", 16)}
spoiled = {GZIP: Image(GZIP, "estargz-spoiled", 4, True), ZSTD: Image(ZSTD, "chunked-spoiled", 4, True)}
one, fuse, plain = Node("one"), Node("two", trees="fuse"), Node("three", believes=False)


def test_the_very_first_pull_of_the_cluster_is_lazy():
    for kind, image in images.items():
        given, lazy = registry.bytes_given(), one.lazy()
        one.containerd.cri_pull(image.ref)
        equal(one.lazy() - lazy, len(image.layers), f"lazy layers of {kind}")
        equal(one.by_table(image), len(image.layers), f"layers of {kind} by their own table")
        sums = one.run(image, "/bin/busybox", "sha256sum", "/own/0", image.changed).split()
        equal(sums[0::2], [image.sums["/own/0"], image.sums[image.changed]], "contents of two files")
        share = (registry.bytes_given() - given) / image.len
        print(f"     {kind}: {share:.2f} of the image came before the first output", flush=True)
        check(share < 0.6, f"{share:.2f} of the image came before the first output")


def test_what_stands_before_a_landmark_comes_first():
    for image in images.values():
        wait_for("the landmark", lambda: one.told("prefetched to its landmark", image.layers[0]), timeout_s=120)


def test_all_is_as_containerd_unpacks_it():
    """By EROFS, from the registry; by FUSE, from the first node; and unpacked."""
    for kind, image in images.items():
        fuse.containerd.cri_pull(image.ref)
        plain.containerd.cri_pull(image.ref)
        equal((fuse.by_table(image), plain.by_table(image)), (len(image.layers), 0), "layers by their own table")
        # The small layer above has come whole to the first node, which built its index.
        equal(plain.told('"layer is lazy"', image.layers[0]), [], "lazy without a table")
        want = plain.shows(image)
        check(len(want) > 2 * len(image.sums), "there is something to compare")
        for node in (one, fuse):
            equal(sorted(set(want) ^ set(node.shows(image))), [], f"lines of {kind} that differ on {node.host.name}")


def test_a_table_with_one_bit_changed_is_not_believed():
    for kind, image in spoiled.items():
        one.containerd.cri_pull(image.ref)
        equal(one.told('"layer is lazy"', image.layers[0]), [], f"lazy without a good table of {kind}")
        lines = one.told("own table of contents is refused", image.layers[0])
        equal(len(lines), 1, "lines of the log that name the layer")
        print("     " + lines[0], flush=True)
        one.shows(image)


def test_it_goes_on_after_daemon_and_snapshotter_were_killed():
    one.daemon.process.kill()
    one.snapshotter.process.kill()
    one.daemon.restart()
    one.snapshotter.restart()
    wait_for("containerd's next try", lambda: one.containerd.ctr(
        "-n", K8S, "snapshots", "--snapshotter", "skimmer", "usage", check=False).count("\n") > 1, timeout_s=60)
    for image in images.values():
        one.shows(image)


def test_it_is_completed_and_needs_no_registry_any_more():
    one.daemon.reconfigure({"lazy": {"completeAfter": "1s"}})
    for image in images.values():
        for digest in image.layers:
            wait_for("complete layers", lambda: one.told('"layer is complete"', digest), timeout_s=180)
    registry.process.kill()
    for image in images.values():
        one.shows(image)


with lab:
    story.run(globals())
