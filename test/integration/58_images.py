# runs: --all
"""The images of script/images, pushed into a real registry, pulled and run by a real containerd: the same bytes
each time, every program starts, servers run as a user on a read-only root, the node's mount is seen by the host."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
import story
from lab import ROOT, Lab, listening, sh, wait_for
from skimmer import Containerd, Registry
from story import check, equal

PROGRAMS = {"manager": ["manager"], "scheduler": ["scheduler"],
            "dfdaemon": ["dfdaemon", "dfget", "dfctl", "dfinit"]}
USER = 65532


def make(out):
    """{name: digest}, as script/images tells them; archives are in out."""
    lines = sh(str(ROOT / "script/images"), "--tag", "t", "--out", str(out)).splitlines()
    return {l.split()[1].split("/")[1].split(":")[0]: l.split()[2] for l in lines}


def test_the_same_programs_make_the_same_images():
    with tempfile.TemporaryDirectory() as d:
        first, second = make(pathlib.Path(d) / "1"), make(pathlib.Path(d) / "2")
        equal(set(first), set(PROGRAMS), "the images")
        equal(first, second, "the digests of two runs")
        for name in PROGRAMS:
            a, b = (pathlib.Path(d, n, f"{name}.tar").read_bytes() for n in "12")
            check(a == b, f"{name}.tar differs from run to run")
            kinds = {k: json.loads(sh("skopeo", "inspect", f"{k}:{d}/1/{name}.tar")) for k in
                     ("oci-archive", "docker-archive")}
            layers = {k: len(v["Layers"]) for k, v in kinds.items()}
            equal(layers, {"oci-archive": 2, "docker-archive": 2}, f"layers of {name} as skopeo reads it")


class Node:
    """A host with a containerd, and the registry that has the images."""

    def __init__(self, lab):
        self.host = lab.host("node")
        self.registry = Registry(self.host)
        self.containerd = Containerd(self.host)
        self.archives = self.host.dir / "images"
        make(self.archives)
        for name in PROGRAMS:
            self.push(f"oci-archive:{self.archives}/{name}.tar", name)
        # Kubernetes' runAsUser: 0 of the container that mounts; ctr can say that by the image only.
        layout = f"{self.host.dir}/root-layout"
        sh("skopeo", "copy", "-q", "--insecure-policy", f"oci-archive:{self.archives}/dfdaemon.tar", f"oci:{layout}:t")
        sh("umoci", "config", "--image", f"{layout}:t", "--config.user", "0:0")
        self.push(f"oci:{layout}:t", "dfdaemon-root")

    def push(self, source, name):
        self.host.run("skopeo", "copy", "-q", "--insecure-policy", "--dest-tls-verify=false", source,
                      f"docker://{self.ref(name)}")

    def ref(self, name):
        return f"{self.registry.addr}/skimmer/{name}:t"

    def pull(self, name):
        self.containerd.ctr("images", "pull", "--plain-http", "--snapshotter", "native", self.ref(name))

    def run(self, image, name, *cmd, options=()):
        return self.containerd.ctr("run", "--snapshotter", "native", "--net-host", *options, self.ref(image), name,
                                   *cmd)

    def folder(self, name, owner=USER):
        path = self.host.dir / name
        path.mkdir()
        os.chown(path, owner, owner)
        return path

    def server(self, name, config, *folders):
        """As the chart runs it: a read-only root, its configuration, what it writes in a volume."""
        file = self.host.dir / f"{name}.yaml"
        file.write_text(config)
        mounts = [f"type=bind,src={file},dst=/etc/dragonfly/{name}.yaml,options=rbind:ro"] if config else []
        mounts += [f"type=bind,src={self.folder(name + str(i))},dst={dst},options=rbind:rw"
                   for i, dst in enumerate(folders)]
        self.run(name, name, name, options=["-d", "--read-only", *(x for m in mounts for x in ("--mount", m))])

    def user_of(self, name):
        pid = next(l.split()[1] for l in self.containerd.ctr("tasks", "ls").splitlines() if l.startswith(f"{name} "))
        return next(int(l.split()[1]) for l in open(f"/proc/{pid}/status") if l.startswith("Uid:"))

    def end(self, *names):
        for name in names:
            self.containerd.ctr("tasks", "kill", "-s", "KILL", name, check=False)
            self.containerd.ctr("tasks", "rm", "-f", name, check=False)


def test_containerd_pulls_and_runs_them():
    with Lab() as lab:
        node = Node(lab)
        try:
            every_program_starts(node)
            servers_run_as_a_user(node)
            the_mount_is_seen_by_the_host(node)
            dfinit_sets_up_the_host_it_is_given(node)
        finally:
            node.end("manager", "scheduler", "dfdaemon", "mounts")


def every_program_starts(node):
    for image, programs in PROGRAMS.items():
        node.pull(image)
        for program in programs:
            out = node.run(image, f"v-{program}", program, "--version", options=["--rm"])
            check(out.startswith(program), f"{program} --version of its image: {out!r}")


def servers_run_as_a_user(node):
    node.server("manager", "", "/var/lib/dragonfly")
    wait_for("the manager's health", lambda: node.host.run(
        "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "http://127.0.0.1:8080/healthy", check=False) == "200",
        60)
    node.server("scheduler", f"manager: {{addr: 127.0.0.1:65003}}\nserver: {{advertiseIP: {node.host.ip}}}\n")
    wait_for("the scheduler", lambda: listening(node.host, 8002), 60)
    node.server("dfdaemon", f"host: {{ip: {node.host.ip}}}\nmanager: {{addr: 127.0.0.1:65003}}\nmount: {{enable: false}}\n",
                "/var/lib/dragonfly", "/var/run/dragonfly", "/var/cache/dragonfly")
    wait_for("dfdaemon", lambda: node.host.run(
        "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "http://127.0.0.1:4003/readyz", check=False) == "200",
        60)
    equal({n: node.user_of(n) for n in PROGRAMS}, {n: USER for n in PROGRAMS}, "the users that servers run as")
    node.end("dfdaemon")
    wait_for("its port", lambda: not listening(node.host, 4003), 60)


def the_mount_is_seen_by_the_host(node):
    """The DaemonSet's container: privileged, root, its folder propagated in both directions."""
    d7y = node.folder("d7y", 0)
    sh("mount", "--bind", str(d7y), str(d7y))
    sh("mount", "--make-shared", str(d7y))
    config = node.host.dir / "mounts.yaml"
    config.write_text(f"host: {{ip: {node.host.ip}}}\nmanager: {{addr: 127.0.0.1:65003}}\n"
                      f"backend: {{plainHTTP: [\"{node.registry.addr}\"]}}\n")
    node.pull("dfdaemon-root")
    node.run("dfdaemon-root", "mounts", "dfdaemon", options=[
        "-d", "--privileged", "--rootfs-propagation", "rshared",
        "--mount", f"type=bind,src={config},dst=/etc/dragonfly/dfdaemon.yaml,options=rbind:ro",
        "--mount", f"type=bind,src={d7y},dst=/var/lib/d7y,options=rbind:rshared"])
    wait_for("dfdaemon with its mount", lambda: os.path.ismount(d7y / "blobs"), 60)
    manifest = sh("cat", str(d7y / f"blobs/oci/{node.registry.addr}/skimmer/dfdaemon/t/manifest.json"))
    equal(len(json.loads(manifest)["layers"]), 2, "layers of the manifest that the host reads in the mount")
    node.end("mounts")
    subprocess.run(["umount", "-l", str(d7y / "blobs")], capture_output=True)


def dfinit_sets_up_the_host_it_is_given(node):
    """The chart's init container, with a command that needs a shell and nsenter as the restart does."""
    etc = node.folder("etc", 0)
    (etc / "containerd").mkdir()
    (etc / "containerd/config.toml").write_text("version = 2\n")
    node.run("dfdaemon-root", "init", "dfinit", "--root=/host", "--registry", f"http://{node.registry.addr}",
             "--restart-command", "nsenter --version >/host/etc/restarted", "containerd",
             options=["--rm", "--mount", f"type=bind,src={etc},dst=/host/etc,options=rbind:rw"])
    check("config_path" in (etc / "containerd/config.toml").read_text(), "containerd's configuration of the host")
    hosts = (etc / f"containerd/certs.d/{node.registry.addr}/hosts.toml").read_text()
    check("127.0.0.1:4001" in hosts, f"the mirror: {hosts}")
    check("util-linux" in (etc / "restarted").read_text(), "the restart command ran in the image")


story.run(globals())
