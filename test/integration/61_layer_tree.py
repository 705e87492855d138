"""A layer's tree out of the layer's index, as the kernel's EROFS shows it and as our FUSE forest does, against GNU
tar's extraction: names, types, modes, owners, times, links, attributes, contents. Needs a kernel with EROFS.
Last line: same N layers."""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
import story
from story import check, equal
from tars import Tar, compress, layers
from trees import as_overlayfs, differences, extract, has_erofs, named_dirs, tree

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOL = ROOT / "build/test/layer_tool"
WORK = pathlib.Path(tempfile.mkdtemp(prefix="layer-tree-", dir="/var/tmp"))
same = 0


class Mount:
    """The index's EROFS over the tar: file-backed, or on kernels before 6.12 over loop devices."""

    def __init__(self, image, tar, folder):
        folder.mkdir(exist_ok=True)
        self.folder, self.loops = folder, []
        if subprocess.run([TOOL, "mount", image, tar, folder], capture_output=True).returncode:
            for file in (image, tar):
                loop = subprocess.run(["losetup", "-r", "-f", "--show", file], check=True, capture_output=True,
                                      text=True).stdout.strip()
                self.loops.append(loop)
            subprocess.run([TOOL, "mount", *self.loops, folder], check=True)

    def __enter__(self):
        return self.folder

    def __exit__(self, *_):
        subprocess.run(["umount", self.folder], check=True)
        for loop in self.loops:
            subprocess.run(["losetup", "-d", loop], check=True)


class Forest:
    """The same without EROFS: a forest of one tree."""

    def __init__(self, image, tar, folder):
        self.folder = folder
        self.process = subprocess.Popen([TOOL, "show", image, tar, folder], stdout=subprocess.PIPE, text=True)
        equal(self.process.stdout.readline(), "shown\n", "what it says once it is mounted")

    def __enter__(self):
        return self.folder / "tree"

    def __exit__(self, *_):
        self.process.terminate()
        self.process.communicate()
        equal(self.process.returncode, 0, "the forest's end")


def run_tool(*args):
    p = subprocess.run([TOOL, *args], capture_output=True, text=True)
    equal(p.returncode, 0, f"layer_tool {args[0]}: {p.stderr}")
    return p.stdout


def index_of(data, no, base):
    """Builds the index of one layer, unpacks it, reads the tar back at random."""
    tar, layer, index, image = (base.with_suffix(s) for s in (".tar", ".layer", ".index", ".erofs"))
    tar.write_bytes(data)
    layer.write_bytes(compress(data, no))
    run_tool("build", layer, index)
    run_tool("erofs", index, image)
    run_tool("unpack", index, layer, base.with_suffix(".again"))
    check(base.with_suffix(".again").read_bytes() == data, f"{base.name}: the tar read at random differs")
    return tar, image


def test_the_kernel_has_erofs():
    check(has_erofs(), "same 0 layers: this kernel has no EROFS, nothing can be compared")


def test_trees_are_the_same():
    global same
    for no, (name, data) in enumerate(layers().items()):
        data, like = data if isinstance(data, tuple) else (data, None)
        base = WORK / name
        tar, image = index_of(data, no, base)
        if like:
            tar.with_suffix(".like").write_bytes(like)
        extract(tar.with_suffix(".like") if like else tar, base.with_suffix(".x"))
        if name.startswith("whiteouts") or name == "aufs":
            as_overlayfs(base.with_suffix(".x"))
        dirs = named_dirs(tar.with_suffix(".like") if like else tar)
        want, by_kernel = tree(base.with_suffix(".x"), dirs), None
        for shown in (Mount(image, tar, base.with_suffix(".m")), Forest(image, tar, base.with_suffix(".f"))):
            what = f"layer {name} by {type(shown).__name__}"
            with shown as folder:
                every = {os.fsdecode(os.path.relpath(p, os.fsencode(folder))) for p, _, _ in
                         os.walk(os.fsencode(folder))}
                seen = tree(folder, every)
            # Times of directories without entry an unpacker makes up; EROFS and FUSE have the same.
            by_kernel = by_kernel or {n: dict(v) for n, v in seen.items()}
            equal(differences(seen, by_kernel), [], f"{what}: what differs from EROFS")
            for lone in every - dirs:
                seen[os.fsencode(lone)]["mtime"] = None
            wrong = differences(seen, want)
            check(not wrong, f"{what}:\n  " + "\n  ".join(wrong))
        same += 1
    check(same >= 20, f"only {same} layers were compared")


def test_more_links_than_16_bits_count():
    t = Tar().add("first", data=b"shared")
    chunks = [t.bytes] + [Tar().add(f"l{i}", "1", link="first").bytes for i in range(70000)] + [bytes(1024)]
    tar, image = index_of(b"".join(chunks), 1, WORK / "links")
    for shown in (Mount(image, tar, WORK / "links.m"), Forest(image, tar, WORK / "links.f")):
        with shown as folder:
            equal(os.lstat(folder / "l69999").st_nlink, 70001, "links")
            equal(os.lstat(folder / "l69999").st_ino, os.lstat(folder / "first").st_ino, "inode")
            equal((folder / "l12345").read_bytes(), b"shared", "content")
            equal(len(os.listdir(folder)), 70001, "names")


def test_a_forest_is_for_root_alone():
    """It has set-user-id programs of whatever images there are."""
    image = WORK / "links.erofs"
    with Forest(image, image.with_suffix(".tar"), WORK / "private.f") as folder:
        equal(oct(os.stat(folder.parent).st_mode), "0o40700", "mode of its root")
        p = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "cat", folder / "first"],
                           capture_output=True)
        check(p.returncode != 0 and not p.stdout, "nobody reads it")
        flags = next(l.split()[5] for l in open("/proc/self/mountinfo") if l.split()[4] == str(folder.parent))
        check({"ro", "nosuid", "nodev"} <= set(flags.split(",")), f"its mount is {flags}")


def test_what_cannot_be_lazy_is_refused():
    odd = bytearray(Tar().add("f", data=b"x").end())
    odd[0] ^= 1
    cases = {"a kind unknown": Tar().add("f", "M").end(), "a link out": Tar().add("l", "1", link="lower").end(),
             "a checksum": bytes(odd), "a whiteout of nothing": Tar().add(".wh.").end(),
             "cut": Tar().add("f", data=b"x" * 5000).bytes[:3000],
             "a file as a directory": Tar().add("f").add("f/x").end()}
    for what, data in cases.items():
        (WORK / "bad").write_bytes(data)
        p = subprocess.run([TOOL, "build", WORK / "bad", WORK / "bad.index"], capture_output=True, text=True)
        equal(p.returncode, 1, f"{what}: {p.stderr}")
        check(p.stderr.count("\n") == 1 and len(p.stderr) > 30, f"{what} is told: {p.stderr}")


try:
    story.run(globals())
finally:
    shutil.rmtree(WORK, ignore_errors=True)
print(f"same {same} layers")
