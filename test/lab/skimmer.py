"""Skimmer's own programs and the real ones around them, as a lab starts them."""
import hashlib
import json
import pathlib
import re
import subprocess
import tempfile
import time

from lab import BIN, ROOT, LabError, listening, sh, wait_for, write_config


def merge(base, extra):
    for k, v in (extra or {}).items():
        if isinstance(v, dict) and isinstance(base.get(k), dict):
            merge(base[k], v)
        else:
            base[k] = v
    return base


class Manager:
    def __init__(self, host, config=None):
        self.host, self.dir, self.token = host, host.dir / "manager", ""
        self.dir.mkdir(exist_ok=True)
        base = {"server": {"grpc": {"port": {"start": 65003}}, "rest": {"addr": ":8080"}},
                "database": {"type": "sqlite", "sqlite": {"path": str(self.dir / "manager.db")}}}
        file = write_config(self.dir / "manager.yaml", merge(base, config))
        self.addr = f"{host.ip}:65003"
        self.process = host.start([BIN / "manager", "--config", file], name="manager")
        self.ready()

    def ready(self):
        wait_for("manager", lambda: listening(self.host, 65003))

    def rest(self, method, path, body):
        """The answer, parsed; as root, whose password is the one of a first start."""
        if not self.token and path != "users/signin":
            self.token = self.rest("POST", "users/signin",
                                   {"name": "root", "password": "dragonfly"})["token"]
        answer = self.host.run("curl", "-sS", "--fail-with-body", "--max-time", "30", "-X", method,
                               "-H", "Content-Type: application/json",
                               "-H", f"Authorization: Bearer {self.token}", "-d", json.dumps(body),
                               f"http://127.0.0.1:8080/api/v1/{path}")
        return json.loads(answer)

    def add_cluster(self, name, scopes):
        """A scheduler cluster with a seed peer cluster of its own; its id."""
        seeds = self.rest("POST", "seed-peer-clusters", {"name": name})["id"]
        return self.rest("POST", "scheduler-clusters",
                         {"name": name, "scopes": scopes, "seed_peer_cluster_id": seeds})["id"]

    def set_scopes(self, number, scopes):
        self.rest("PATCH", f"scheduler-clusters/{number}", {"scopes": scopes})


class Scheduler:
    def __init__(self, host, manager=None, cluster=1, config=None):
        self.host, self.dir = host, host.dir / "scheduler"
        self.dir.mkdir(exist_ok=True)
        base = {"server": {"advertiseIP": host.ip, "port": 8002},
                "scheduler": {"retryInterval": "100ms"}}
        if manager:
            base["manager"] = {"addr": manager.addr, "schedulerClusterID": cluster,
                               "keepAlive": {"interval": "1s"}}
        file = write_config(self.dir / "scheduler.yaml", merge(base, config))
        self.addr = f"{host.ip}:8002"
        self.process = host.start([BIN / "scheduler", "--config", file], name="scheduler")
        self.ready()

    def ready(self):
        wait_for("scheduler", lambda: listening(self.host, 8002))


class Daemon:
    """A dfdaemon with its mount at <host dir>/blobs."""

    def __init__(self, host, manager=None, schedulers=(), seed=False, config=None, name="dfdaemon",
                 env=None):
        self.host, self.name, self.dir = host, name, host.dir / name
        self.dir.mkdir(exist_ok=True)
        self.mount = self.dir / "blobs"
        self.socket = self.dir / "dfdaemon.sock"
        base = {
            "host": {"ip": host.ip, "hostname": host.name},
            "server": {"cacheDir": str(self.dir / "cache")},
            "download": {"server": {"socketPath": str(self.socket)}},
            "storage": {"dir": str(self.dir / "store"), "keep": True},
            # Not held: most stories want to see what a killed daemon's readers see at once.
            "mount": {"path": str(self.mount), "holdFor": "0s"},
            "lazy": {"dir": str(self.dir / "layers"), "mountPath": str(self.dir / "diffs"),
                     "treesPath": str(self.dir / "trees")},
            "dynconfig": {"refreshInterval": "1s"},
            "scheduler": {"announceInterval": "2s"},
            "seedPeer": {"enable": seed},
        }
        if manager:
            base["manager"] = {"addr": manager.addr}
        if schedulers:
            base["scheduler"]["addrs"] = [s.addr for s in schedulers]
        self.config = merge(base, config)
        self.file = write_config(self.dir / "dfdaemon.yaml", self.config)
        self.process = host.start([BIN / "dfdaemon", "--config", self.file], name=name, env=env)
        self.ready()

    def ready(self):
        def probe():
            if not self.process.alive():
                raise LabError(f"{self.name} on {self.host.name}: {self.process.state()}\n"
                               + self.process.log_text()[-2000:])
            return listening(self.host, 4005) and listening(self.host, 4003)
        wait_for(f"dfdaemon on {self.host.name}", probe)

    def restart(self):
        self.process.restart()
        self.ready()

    def reconfigure(self, config):
        """Stops it as an operator does, and starts it with these keys changed."""
        self.process.stop()
        self.config = merge(self.config, config)
        write_config(self.file, self.config)
        self.restart()

    def in_swarm(self):
        """Waits until it has a scheduler."""
        wait_for(f"{self.host.name} in the swarm", lambda: self.metric("skimmer_schedulers_alive") >= 1)

    def metrics(self):
        _, _, body = self.host.get("http://127.0.0.1:4002/metrics")
        out = {}
        for line in body.decode().splitlines():
            if line and not line.startswith("#"):
                name, _, value = line.rpartition(" ")
                out[name] = float(value)
        return out

    def metric(self, name):
        """Sum over the labels."""
        return sum(v for k, v in self.metrics().items() if k == name or k.startswith(name + "{"))

    def traffic(self, kind):
        """Bytes by source: BACK_TO_SOURCE, REMOTE_PEER, LOCAL_PEER."""
        return self.metrics().get(f'dragonfly_client_download_traffic{{type="{kind}"}}', 0.0)

    def blob(self, digest):
        return self.mount / "sha256" / digest.removeprefix("sha256:")


class Registry:
    """A real docker-registry; its access log is the judge of what the origin gave."""

    def __init__(self, host, port=5000, storage=None, htpasswd=None):
        """htpasswd: a line of such a file, for a private one."""
        self.host, self.port = host, port
        self.dir = host.dir / ("registry" if port == 5000 else f"registry-{port}")
        self.dir.mkdir(exist_ok=True)
        self.addr = f"{host.ip}:{port}"
        config = {"version": "0.1", "log": {"accesslog": {"disabled": False}, "level": "warn"},
                  "storage": {"filesystem": {"rootdirectory": str(storage or self.dir / "data")},
                              "delete": {"enabled": True}},
                  "http": {"addr": f"0.0.0.0:{port}", "secret": "lab"}}
        if htpasswd:
            (self.dir / "htpasswd").write_text(htpasswd + "\n")
            config["auth"] = {"htpasswd": {"realm": "lab", "path": str(self.dir / "htpasswd")}}
        file = write_config(self.dir / "config.yml", config)
        self.process = host.start(["docker-registry", "serve", file], name=self.dir.name)
        wait_for("registry", lambda: listening(host, port))

    def push(self, layout, tag, name):
        self.host.run("skopeo", "copy", "-q", "--preserve-digests", "--insecure-policy", "--dest-tls-verify=false",
                      f"oci:{layout}:{tag}", f"docker://{self.addr}/{name}")

    def blob_requests(self):
        """(client ip, method, digest, status, bytes) of each blob request answered so far."""
        pattern = re.compile(r'^(\S+) - .*"(GET|HEAD) (/v2/\S*/blobs/sha256:([0-9a-f]{64}))\S* '
                             r'HTTP/[0-9.]+" (\d+) (\d+)', re.M)
        return [(m[1], m[2], m[4], int(m[5]), int(m[6]))
                for m in pattern.finditer(self.process.log_text())]

    def bytes_given(self, digest=None, client=None):
        return sum(r[4] for r in self.blob_requests()
                   if r[1] == "GET" and r[3] in (200, 206)
                   and digest in (None, r[2]) and client in (None, r[0]))


class Nginx:
    """A real nginx serving a folder; /fast?... as files are."""

    def __init__(self, host, root, port=80, extra=""):
        self.host, self.dir = host, host.dir / "nginx"
        self.dir.mkdir(exist_ok=True)
        self.addr = f"{host.ip}:{port}"
        conf = self.dir / "nginx.conf"
        conf.write_text(f"""daemon off; pid {self.dir}/pid; error_log {self.dir}/error.log; user root;
worker_processes 1; events {{ worker_connections 4096; }}
http {{ access_log {self.dir}/access.log; sendfile on; tcp_nopush on; keepalive_requests 100000;
 client_body_temp_path {self.dir}/b; proxy_temp_path {self.dir}/p; fastcgi_temp_path {self.dir}/f;
 uwsgi_temp_path {self.dir}/u; scgi_temp_path {self.dir}/s; default_type application/octet-stream;
 server {{ listen {port}; listen [::]:{port}; root {root}; {extra} }} }}
""")
        self.process = host.start(["nginx", "-p", self.dir, "-c", conf], name="nginx")
        wait_for("nginx", lambda: listening(host, port))

    def bytes_given(self, clients=None):
        """To these addresses, or to all."""
        lines = [l.split() for l in (self.dir / "access.log").read_text().splitlines()
                 if '"GET ' in l]
        return sum(int(l[9]) for l in lines if clients is None or l[0] in clients)


class Containerd:
    """A real containerd of the host's own, whose pulls go through the host's dfdaemon."""

    def __init__(self, host, mirror="http://127.0.0.1:4001", registries=(), snapshotter=None,
                 cri=False):
        self.host, self.dir = host, host.dir / "containerd"
        self.snapshotter = snapshotter.name if snapshotter else "overlayfs"
        self.dir.mkdir(exist_ok=True)
        self.socket = self.dir / "c.sock"
        self.hosts_dir = self.dir / "certs.d"
        for reg in registries:
            d = self.hosts_dir / reg
            d.mkdir(parents=True)
            (d / "hosts.toml").write_text(
                f'server = "http://{reg}"\n[host."{mirror}"]\n capabilities = ["pull", "resolve"]\n'
                f' [host."{mirror}".header]\n  X-Dragonfly-Registry = "http://{reg}"\n')
        conf = self.dir / "config.toml"
        conf.write_text(f'''version = 2
root = "{self.dir}/root"
state = "{self.dir}/state"
disabled_plugins = [{'' if cri else '"io.containerd.grpc.v1.cri",'} "io.containerd.internal.v1.opt",
 "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
 "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.aufs"]
[grpc]
 address = "{self.socket}"
[ttrpc]
 address = "{self.socket}.ttrpc"
''' + (f'''[proxy_plugins.{self.snapshotter}]
 type = "snapshot"
 address = "{snapshotter.socket}"
''' if snapshotter else "") + (f'''[plugins."io.containerd.grpc.v1.cri".containerd]
 snapshotter = "{self.snapshotter}"
 disable_snapshot_annotations = false
[plugins."io.containerd.grpc.v1.cri".registry]
 config_path = "{self.hosts_dir}"
''' if cri else ""))
        self.process = host.start(["containerd", "-c", conf, "-l", "warn"], name="containerd")
        wait_for("containerd", lambda: self.ctr("version", check=False).count("Server:"))

    def ctr(self, *args, check=True):
        return self.host.run("ctr", "-a", self.socket, *args, check=check)

    def pull(self, ref):
        return self.ctr("images", "pull", "--plain-http", "--hosts-dir", self.hosts_dir,
                        "--snapshotter", self.snapshotter, ref)

    def cri_pull(self, ref):
        """As kubelet pulls, so into its namespace: runtime.v1 PullImage{image=1: {image=1}}."""
        spec = b"\x0a" + varint(len(ref)) + ref.encode()
        request = b"\x0a" + varint(len(spec)) + spec
        p = subprocess.run(self.host.enter(
            "curl", "-sS", "-i", "--max-time", "300", "--http2-prior-knowledge", "--unix-socket",
            self.socket, "-H", "content-type: application/grpc", "-H", "te: trailers",
            "--data-binary", "@-", "http://localhost/runtime.v1.ImageService/PullImage"),
            input=b"\0" + len(request).to_bytes(4, "big") + request, capture_output=True)
        if b"grpc-status: 0" not in p.stdout:
            raise LabError(f"pull of {ref}: {p.stdout[-800:]!r} {p.stderr!r}")

    def run(self, ref, name, *cmd, namespace="default"):
        return self.ctr("-n", namespace, "run", "--rm", "--snapshotter", self.snapshotter, ref, name,
                        *cmd)

    def first_line(self, ref, name, *cmd, namespace="default"):
        """Runs it to its end; when its first line was here (time.monotonic())."""
        with subprocess.Popen(self.host.enter("ctr", "-a", self.socket, "-n", namespace, "run", "--rm", "--snapshotter",
                                              self.snapshotter, ref, name, *cmd),
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as p:
            line = p.stdout.readline()
            at = time.monotonic()
            _, errors = p.communicate()
        if p.returncode != 0 or not line.strip():
            raise LabError(f"container {name}: code {p.returncode}, first line {line!r}: {errors.strip()}")
        return at


def varint(n):
    out = b""
    while n > 0x7f:
        out += bytes([n & 0x7f | 0x80])
        n >>= 7
    return out + bytes([n])


class Snapshotter:
    """containerd-skimmer, for the Containerd of the same host."""

    name = "skimmer"

    def __init__(self, host, config=None):
        self.host, self.dir = host, host.dir / "snapshotter"
        self.dir.mkdir(exist_ok=True)
        self.root, self.socket = self.dir / "root", self.dir / "s.sock"
        base = {"root": str(self.root), "socketPath": str(self.socket),
                "daemon": {"socketPath": str(host.dir / "dfdaemon/dfdaemon.sock")}}
        self.file = write_config(self.dir / "containerd-skimmer.yaml", merge(base, config))
        self.process = host.start([BIN / "containerd-skimmer", "--config", self.file])
        self.ready()

    def ready(self):
        # The socket file of one that was killed stays: only who listens is in this list.
        wait_for("containerd-skimmer",
                 lambda: f"{self.socket}\n" in self.host.run("cat", "/proc/net/unix"))

    def restart(self):
        """After a kill or with a stop."""
        self.process.restart()
        self.ready()

    def ids(self):
        """The snapshots that have a directory."""
        return {int(d.name) for d in (self.root / "snapshots").iterdir()}


def make_image(where=None):
    """A real image of several layers (100 MB and more compressed) out of Debian packages, made once and
    kept under build/: (OCI layout, tag, [layer digests])."""
    where = pathlib.Path(where or ROOT / "build/lab-image")
    layout = where / "oci"
    if not (where / "done").exists():
        sh("rm", "-rf", str(where))
        where.mkdir(parents=True)
        sh("umoci", "init", "--layout", str(layout))
        sh("umoci", "new", "--image", f"{layout}:demo")
        # One layer a group; each group brings the packages it needs and the earlier ones lack.
        seen = set()
        for number, packages in enumerate((["busybox-static"], ["python3-minimal"],
                                           ["libllvm14" if has("libllvm14") else "libllvm19"],
                                           ["git"])):
            debs = [d for d in download_packages(where, packages) if d.name not in seen]
            seen |= {d.name for d in debs}
            rootfs = unpack_archives(where, debs)
            sh("umoci", "insert", "--image", f"{layout}:demo", str(rootfs), "/")
            sh("rm", "-rf", str(rootfs))
        sh("umoci", "gc", "--layout", str(layout))
        sh("umoci", "config", "--image", f"{layout}:demo", "--config.cmd", "/bin/busybox")
        (where / "done").write_text("")
    return layout, "demo", image_layers(layout, "demo")[0]


def image_layers(layout, tag):
    """Digests of an image's layers, the lowest first, and their lengths by digest."""
    index = json.loads((layout / "index.json").read_text())
    manifest = next(m for m in index["manifests"]
                    if m["annotations"].get("org.opencontainers.image.ref.name") == tag)
    text = (layout / "blobs" / manifest["digest"].replace(":", "/")).read_text()
    layers = json.loads(text)["layers"]
    return [l["digest"] for l in layers], {l["digest"]: l["size"] for l in layers}


def has(package):
    return bool(sh("apt-cache", "show", package, check=False))


def download_packages(where, packages):
    """The packages with all they depend on, as for an empty system: their archives, and those of earlier calls."""
    archives = where / "archives"
    (archives / "partial").mkdir(parents=True, exist_ok=True)
    (where / "status").write_text("")
    if not has(packages[0]):
        sh("apt-get", "update", "-qq")
    sh("apt-get", "install", "-y", "-qq", "--download-only", "--no-install-recommends",
       "-o", f"Dir::State::status={where}/status", "-o", f"Dir::Cache::archives={archives}",
       "-o", "APT::Sandbox::User=root", *packages)
    return sorted(archives.glob("*.deb"))


def unpack_archives(where, debs):
    """A new folder with what is in them."""
    rootfs = pathlib.Path(tempfile.mkdtemp(dir=where))
    for d in ("bin", "sbin", "lib", "lib64"):
        (rootfs / "usr" / d).mkdir(parents=True)
        (rootfs / d).symlink_to(f"usr/{d}")
    for deb in debs:
        subprocess.run(f"dpkg-deb --fsys-tarfile '{deb}' | tar -x --keep-directory-symlink "
                       f"-C '{rootfs}'", shell=True, check=True)
    return rootfs


def random_file(path, size):
    """size bytes of noise made from a fixed seed; its sha256."""
    h = hashlib.sha256()
    with open(path, "wb") as f:
        with subprocess.Popen(["openssl", "enc", "-aes-128-ctr", "-pass", "pass:lab", "-nosalt",
                               "-md", "sha256", "-in", "/dev/zero"], stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL) as p:
            left = size
            while left:
                data = p.stdout.read(min(left, 1 << 20))
                f.write(data)
                h.update(data)
                left -= len(data)
            p.kill()
    return h.hexdigest()
