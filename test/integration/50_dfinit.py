"""dfinit with Debian's real containerd: configure, pull through the mirror (the daemon's counters and the
registry's log are the judges), daemon killed and a pull still works, undo gives every byte back."""
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
import story
from lab import BIN, Lab, wait_for
from skimmer import Daemon, Manager, Registry, Scheduler, make_image
from story import check, equal

# As containerd's own default configuration spells the table; config_path empty, a mirror of old times.
CONFIG = '''# kept by hand
version = 2
root = "{dir}/root"
state = "{dir}/state"
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.devmapper",
 "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.btrfs",
 "io.containerd.snapshotter.v1.aufs"]

[grpc]
  address = "{dir}/c.sock"

[plugins]
  [plugins."io.containerd.grpc.v1.cri"]
    disable_tcp_service = true
    stream_server_address = "127.0.0.1"
    [plugins."io.containerd.grpc.v1.cri".cni]
      conf_dir = "{dir}/net.d"
    [plugins."io.containerd.grpc.v1.cri".registry]
      config_path = ""   # nothing yet

      [plugins."io.containerd.grpc.v1.cri".registry.mirrors]
        [plugins."io.containerd.grpc.v1.cri".registry.mirrors."{registry}"]
          endpoint = ["http://{registry}"]
'''


class Runtime:
    """containerd of one host, whose configuration dfinit edits, and which dfinit restarts."""

    def __init__(self, host, registry):
        self.host, self.dir = host, host.dir / "containerd"
        self.dir.mkdir()
        self.file = self.dir / "config.toml"
        self.file.write_text(CONFIG.format(dir=self.dir, registry=registry))
        self.process = host.start(["containerd", "-c", self.file, "-l", "warn"], name="containerd")
        self.ready()

    def ready(self):
        wait_for("containerd", lambda: self.ctr("version", check=False).count("Server:"))

    def ctr(self, *args, check=True):
        return self.host.run("ctr", "-a", self.dir / "c.sock", *args, check=check)

    def dfinit(self, *args, want=0):
        """The result that --json prints. The restart command leaves a line each time it is run."""
        p = subprocess.run(self.host.enter(BIN / "dfinit", "--json", "--config-path", self.file,
                                           "--state-dir", self.dir / "dfinit", *args),
                           capture_output=True, text=True)
        equal(p.returncode, want, f"dfinit {' '.join(args)}: {p.stderr}")
        return json.loads(p.stdout)

    def restarts(self):
        log = self.dir / "restarts"
        return log.read_text().count("\n") if log.exists() else 0

    def tree(self):
        """Every file below, that containerd itself does not write: {path: bytes}."""
        names = [self.file, *(self.dir / "certs.d").rglob("*")]
        return {str(p): p.read_bytes() for p in names if p.is_file()}


def test_configure_pull_kill_undo():
    layout, tag, _ = make_image()
    with Lab() as lab:
        origin, control, node = lab.host("origin"), lab.host("control"), lab.host("node")
        registry = Registry(origin)
        registry.push(layout, tag, "set/up:1")
        registry.push(layout, tag, "set/up:2")
        ref = f"{registry.addr}/set/up"
        manager = Manager(control)
        Scheduler(control, manager)
        daemon = Daemon(node, manager, config={
            "backend": {"plainHTTP": [registry.addr]},
            "proxy": {"registryMirror": {"addr": f"http://{registry.addr}"}}})
        daemon.in_swarm()
        runtime = Runtime(node, registry.addr)
        before = runtime.tree()
        restart = ("--restart-command", f"test $1 = containerd && echo again >> {runtime.dir}/restarts")
        pull = ("--probe-command", f"ctr -a {runtime.dir}/c.sock images pull --plain-http "
                                   '--hosts-dir "$2" "$1"')
        wish = ("--registry", f"http://{registry.addr}", *restart, "containerd")

        dry = runtime.dfinit("--dry-run", *wish)
        check('+      config_path = "' in dry["diff"], f"a diff: {dry['diff']}")
        equal(len(dry["changed"]), 2, "files that would change")
        equal(runtime.tree(), before, "what --dry-run changed")

        done = runtime.dfinit("--probe", f"{ref}:1", *pull, *wish)
        equal((done["restarted"], runtime.restarts()), (["containerd"], 1), "restarts")
        check(done["probe_requests"] >= 4, "the probe's requests reached the daemon")
        asked = {r[0] for r in registry.blob_requests() if r[1] == "GET"}
        equal(asked, {node.ip}, "who asked the registry for blobs")
        check(daemon.traffic("BACK_TO_SOURCE") > 100e6, "the daemon fetched the layers")
        runtime.process.restart()
        runtime.ready()
        plugins = [l.split() for l in runtime.ctr("plugins", "ls").splitlines() if " cri " in l]
        equal([p[-1] for p in plugins], ["ok"], "containerd's CRI plugin with what dfinit wrote")
        equal(runtime.dfinit(*wish)["changed"], [], "what a second run changes")
        equal(runtime.restarts(), 1, "restarts after a second run")

        # Stored under another name already: nothing is pulled through the daemon, and that is told.
        runtime.dfinit("--probe", f"{ref}:1", "--probe-command", "true", *wish, want=12)

        runtime.ctr("images", "rm", "--sync", f"{ref}:1")
        daemon.process.kill()
        runtime.ctr("images", "pull", "--plain-http", "--hosts-dir", runtime.dir / "certs.d",
                    f"{ref}:2")
        runtime.dfinit("--probe", f"{ref}:2", *pull, *wish, want=11)

        equal(len(runtime.dfinit("undo", *restart)["changed"]), 2, "files put back")
        equal(runtime.tree(), before, "what undo left")
        equal(runtime.restarts(), 2, "restarts after undo")
        check(not (runtime.dir / "certs.d").exists(), "the directory made is gone")
        check(not (runtime.dir / "dfinit").exists(), "the originals are gone")

        daemon.restart()
        all_registries(runtime, daemon, f"{ref}:1", restart)
        daemon.restart()
        what_podman_and_crio_read(runtime, daemon, registry, f"{ref}:1")


def proxied(daemon):
    return daemon.metric("dragonfly_client_proxy_request_total")


def all_registries(runtime, daemon, ref, restart):
    """One _default for all: through the daemon while it lives, past it afterwards."""
    before = runtime.tree()
    runtime.dfinit(*restart, "containerd")
    check((runtime.dir / "certs.d/_default/hosts.toml").exists(), "hosts.toml of all registries")

    def pull():
        runtime.ctr("images", "rm", "--sync", ref, check=False)
        runtime.ctr("images", "pull", "--plain-http", "--hosts-dir", runtime.dir / "certs.d", ref)
    count = proxied(daemon)
    pull()
    check(proxied(daemon) > count, "a registry that nobody listed is pulled through the daemon")
    daemon.process.kill()
    pull()
    runtime.dfinit("undo", *restart)
    equal(runtime.tree(), before, "what undo left")


def what_podman_and_crio_read(runtime, daemon, registry, ref):
    """registries.conf as their library understands it; skopeo has the same."""
    conf, state = runtime.dir / "registries.conf", runtime.dir / "podman"
    conf.write_text('unqualified-search-registries = ["docker.io"]  # kept\n')
    before = conf.read_bytes()

    def dfinit(*args):
        return runtime.host.run(BIN / "dfinit", "--state-dir", state, *args)

    def inspect():
        return json.loads(runtime.host.run("skopeo", "--registries-conf", conf, "inspect", "--tls-verify=false",
                                           f"docker://{ref}"))["Layers"]
    layers = inspect()
    dfinit("--config-path", conf, "--registry", f"http://{registry.addr}", "podman")
    check(conf.read_bytes().startswith(before), "what was there is kept")
    count = proxied(daemon)
    equal(inspect(), layers, "layers through the daemon")
    check(proxied(daemon) > count, "the library asked the daemon")
    daemon.process.kill()
    equal(inspect(), layers, "layers with the daemon dead")
    dfinit("undo")
    equal(conf.read_bytes(), before, "registries.conf after undo")


def test_what_cannot_be_edited_is_left_alone():
    with Lab() as lab:
        host = lab.host("node")
        for name, text in (("broken", "version = \n"), ("newer", "version = 9\n")):
            file = host.dir / f"{name}.toml"
            file.write_text(text)
            p = subprocess.run([BIN / "dfinit", "--config-path", file, "--state-dir",
                                host.dir / "state", "containerd"], capture_output=True, text=True)
            equal((p.returncode, file.read_text()), (3, text), f"{name}: {p.stderr}")
            check(str(file) in p.stderr, f"the file is named: {p.stderr}")


story.run(globals())
