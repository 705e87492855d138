"""containerd-skimmer as the snapshotter of a real containerd: pull, run, write, commit, label, list, remove,
collect; what it shows equals what containerd's own overlayfs shows; kill -9 at any moment."""
import json
import pathlib
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lab"))
import story
from lab import Lab, LabError, wait_for
from skimmer import Containerd, Registry, Snapshotter, make_image
from story import check, equal

# The root's time is that of the unpacking, when no layer names it.
LISTING = ("cd $0 && stat -c '%f %u %g' . && find . -xdev -mindepth 1 -printf '%p %y %m %U %G %n %s %T@ %l\\n' | sort && "
           "find . -xdev -type f -print0 | sort -z | xargs -0 sha256sum")
lab = Lab()
node = lab.host("node")
registry = Registry(node)
layout, tag, layers = make_image()
registry.push(layout, tag, "demo/python:1")
REF = f"{registry.addr}/demo/python:1"
snapshotter = Snapshotter(node)
containerd = Containerd(node, mirror=f"http://{registry.addr}", registries=[registry.addr],
                        snapshotter=snapshotter)


def snap(*args, name="skimmer", check=True):
    return containerd.ctr("snapshots", "--snapshotter", name, *args, check=check)


def keys(name="skimmer"):
    """Names of all snapshots, as containerd lists them."""
    return {l.split()[0] for l in snap("ls", name=name).splitlines()[1:] if l.strip()}


def committed():
    return [l.split()[0] for l in snap("ls").splitlines() if l.strip().endswith("Committed")]


def test_containerd_sees_the_plugin():
    line = next(l for l in containerd.ctr("plugins", "ls").splitlines() if " skimmer " in l)
    check(line.split()[-1] == "ok", line)


def test_the_examples_say_what_they_mean_to_this_containerd():
    """Version 2 of the file is 1.6's and 1.7's; of 2.x' version 3 this one reads the common parts only."""
    examples = pathlib.Path(__file__).resolve().parents[2] / "examples/containerd"
    address = 'address = "/run/containerd-skimmer/containerd-skimmer.sock"'
    cri = ['snapshotter = "skimmer"', "disable_snapshot_annotations = false",
           'config_path = "/etc/containerd/certs.d"']
    for name, wanted in {"config-1.6.toml": cri, "config-1.7.toml": cri, "config-2.toml": []}.items():
        p = subprocess.run(["containerd", "-c", examples / name, "config", "dump"], capture_output=True, text=True)
        equal((p.returncode, [w for w in [address, *wanted] if w not in p.stdout]), (0, []), name)


def test_pull_and_run():
    containerd.pull(REF)
    equal(len(committed()), len(layers), "committed snapshots of the image")
    out = containerd.run(REF, "c1", "/usr/bin/python3", "-c", "print(6 * 7)")
    equal(out.strip(), "42", "what the container prints")


def test_container_writes():
    out = containerd.run(REF, "c2", "/bin/busybox", "sh", "-c",
                         "echo one > /new && echo two >> /new && busybox rm -r /usr/share/doc && "
                         "busybox mkdir /usr/share/doc && busybox ls /usr/share/doc && busybox cat /new")
    equal(out.split(), ["one", "two"], "what the container wrote")
    check("c2" not in keys(), "the container's snapshot is gone")


def made(verb, key, *parent, name="skimmer"):
    """A snapshot that containerd does not collect; its collector may come before the label."""
    for attempt in range(10):
        snap(verb, key, *parent, name=name)
        try:
            snap("label", key, "containerd.io/gc.root=test", name=name)
            return
        except LabError:
            check(key not in keys(name), "a snapshot that is there can be labelled")
    raise AssertionError(f"{key} was collected ten times")


def mounted(name, key, where):
    """Mounts a view of the snapshot as ctr tells it to be mounted."""
    where.mkdir()
    command = snap("mounts", str(where), key, name=name).strip()
    subprocess.run(command, shell=True, check=True)


def test_the_tree_equals_that_of_overlayfs():
    # The chains are the same in both; the uppermost is no one's parent.
    containerd.ctr("images", "pull", "--plain-http", "--hosts-dir", str(containerd.hosts_dir),
                   "--snapshotter", "overlayfs", REF)
    parents = {l.split()[1] for l in snap("ls").splitlines()[1:] if len(l.split()) == 3}
    top = next(k for k in committed() if k not in parents)
    trees = []
    for name in ("overlayfs", "skimmer"):
        where = node.dir / f"view-{name}"
        made("view", "look", top, name=name)
        mounted(name, "look", where)
        trees.append(subprocess.run(["sh", "-c", LISTING, where], capture_output=True, text=True,
                                    check=True).stdout.splitlines())
        subprocess.run(["umount", where], check=True)
        snap("rm", "look", name=name)
    check(len(trees[0]) > 1000, "the image has a thousand lines to compare")
    different = [(a, b) for a, b in zip(*trees) if a != b]
    equal((len(trees[1]), different[:3]), (len(trees[0]), []), "the trees")


def test_prepare_commit_label_usage_and_remove():
    made("prepare", "base")
    where = node.dir / "base"
    mounted("skimmer", "base", where)
    (where / "file").write_bytes(b"x" * 100000)
    subprocess.run(["umount", where], check=True)
    snap("commit", "first", "base")
    check("base" not in keys() and "first" in keys(), "the key became the name")
    usage = snap("usage", "-b", "first").splitlines()[1].split()
    check(100000 <= int(usage[1]) < 150000 and usage[2] == "2", f"usage {usage}")
    snap("label", "first", "containerd.io/gc.root=now")
    info = json.loads(snap("info", "first"))
    check("containerd.io/gc.root" in info["Labels"], f"the label stays: {info}")
    snap("prepare", "child", "first")
    message = ""
    try:
        snap("rm", "first")
    except LabError as e:
        message = str(e)
    check("child" in message, f"a parent is not removed: {message}")
    snap("rm", "child")
    snap("rm", "first")


def test_state_survives_kill_and_restart_of_both():
    before = keys()
    snapshotter.process.kill()
    snapshotter.restart()
    containerd.process.kill()
    containerd.process.restart()
    wait_for("containerd", lambda: containerd.ctr("version", check=False).count("Server:"))
    equal(keys(), before, "snapshots after the kill")
    equal(containerd.run(REF, "c3", "/bin/busybox", "echo", "well").strip(), "well", "a container")


def test_container_outlives_the_snapshotter():
    containerd.ctr("run", "-d", "--snapshotter", "skimmer", REF, "long", "/bin/busybox", "sleep", "1000")
    snapshotter.process.kill()
    out = containerd.ctr("tasks", "exec", "--exec-id", "e1", "long", "/bin/busybox", "sh", "-c",
                         "echo kept > /kept; busybox cat /kept")
    equal(out.strip(), "kept", "a container without its snapshotter")
    snapshotter.restart()
    wait_for("containerd's next try", lambda: snap("ls", check=False))
    containerd.ctr("tasks", "kill", "-s", "KILL", "long")
    wait_for("the task's end", lambda: "STOPPED" in containerd.ctr("tasks", "ls"))
    containerd.ctr("tasks", "rm", "long")
    containerd.ctr("containers", "rm", "long")


def remove_images():
    for ref in containerd.ctr("images", "ls", "-q").split():
        containerd.ctr("images", "rm", "--sync", ref)


def no_directory():
    """One thread takes them away, which on a busy machine needs seconds for each."""
    wait_for("no directory left", lambda: not snapshotter.ids(), timeout_s=120)


def test_collected_when_the_image_is_gone():
    remove_images()
    wait_for("no snapshot left", lambda: not keys())
    no_directory()


def pulled():
    try:
        containerd.pull(REF)
    except LabError as e:
        # What gRPC says of a plugin that is gone depends on how far its connection had come:
        # refused, closed, an end before the first frame. All are "unavailable".
        check(str(e).endswith(": unavailable"), f"{e}")
        return False
    return True


def test_killed_during_pulls():
    for after_s in (0.1, 0.4, 1.2):
        pull = subprocess.Popen(node.enter(
            "ctr", "-a", containerd.socket, "images", "pull", "--plain-http", "--hosts-dir",
            containerd.hosts_dir, "--snapshotter", "skimmer", REF),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(after_s)  # the moment is the subject of the test, not a wait
        snapshotter.process.kill()
        snapshotter.restart()
        pull.wait(timeout=120)
        # What was pulled up to there is of use or does no harm. Some seconds pass before
        # containerd tries to connect again.
        wait_for("a pull after the kill", pulled, timeout_s=60, every_s=0.5)
        out = containerd.run(REF, "k", "/usr/bin/python3", "-c", "print('good')")
        equal(out.strip(), "good", f"a container after a kill at {after_s} s")
        remove_images()
        wait_for("no snapshot left", lambda: not keys())
    no_directory()
    left = [l for l in open("/proc/self/mountinfo") if str(snapshotter.root) in l]
    equal(left, [], "mounts left")


with lab:
    story.run(globals())
