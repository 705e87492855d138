"""dfctl doctor names each planted fault by its code, and the fix that it prints takes the fault away."""
import json
import os
import re
import shlex
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
import story
from lab import BIN, Lab, listening, sh, wait_for, write_config
from skimmer import Daemon, Scheduler
from story import check, equal

REGISTRY = """
import http.server, ssl, sys, time
class Registry(http.server.BaseHTTPRequestHandler):
    def date_time_string(self, timestamp=None):
        return super().date_time_string(time.time() + float(sys.argv[2]))
    def do_GET(self):
        self.send_response(200); self.send_header("Content-Length", "2"); self.end_headers()
        self.wfile.write(b"{}")
server = http.server.HTTPServer(("0.0.0.0", int(sys.argv[1])), Registry)
if len(sys.argv) > 3:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER); tls.load_cert_chain(sys.argv[3])
    server.socket = tls.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"""


class Node:
    def __init__(self, lab):
        self.lab, self.host = lab, lab.host("node")
        self.scheduler = Scheduler(lab.host("scheduler"))
        self.store = lab.dir / "disk"
        self.store.mkdir()
        sh("mount", "-t", "tmpfs", "-o", "size=200m", "none", str(self.store))
        self.config = {"storage": {"dir": str(self.store / "store")}}
        self.daemon = Daemon(self.host, schedulers=[self.scheduler], config=self.config)
        self.daemon.in_swarm()
        self.file = self.daemon.file
        self.containerd = lab.dir / "containerd.toml"

    def reconfigure(self, **extra):
        """With other keys than the daemon was started with."""
        self.file = write_config(self.host.dir / "changed.yaml", {**self.daemon.config, **extra})

    def doctor(self, *before, options=()):
        """(exit code, {code: finding})"""
        p = subprocess.run(self.host.enter(*before, BIN / "dfctl", "doctor", "--json", "-c", self.file,
                                           "--runtime-config", self.containerd, *options),
                           capture_output=True, text=True)
        check(p.stdout.startswith("{"), f"doctor speaks JSON: {p.stdout} {p.stderr}")
        told = json.loads(p.stdout)
        for f in told["findings"]:
            print(f"     {f['level']:8}{f.get('code', ''):6} {f['check']}: {f['what']}")
        found = {f["code"]: f for f in told["findings"] if "code" in f}
        equal(p.returncode, 1 if told["errors"] else 0, "exit code")
        return found

    def registry(self, port, off_s=0, pem=None):
        r = self.host.start([sys.executable, "-c", REGISTRY, port, off_s, *([pem] if pem else [])],
                            name=f"registry-{port}")
        wait_for("registry", lambda: listening(self.host, port))
        return r


def errors(found):
    return sorted(c for c, f in found.items() if f["level"] == "error")


def sign(lab, name):
    """A CA, and a server's certificate by it: (ca file, pem of key and certificate)."""
    ca, key, pem = lab.dir / f"{name}-ca.crt", lab.dir / f"{name}-ca.key", lab.dir / f"{name}.pem"
    ext = lab.dir / "ext"
    ext.write_text("subjectAltName=IP:127.0.0.1\n")
    sh("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name} CA",
       "-keyout", str(key), "-out", str(ca))
    sh("openssl", "req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=127.0.0.1", "-keyout",
       f"{pem}.key", "-out", f"{pem}.csr")
    sh("openssl", "x509", "-req", "-in", f"{pem}.csr", "-CA", str(ca), "-CAkey", str(key), "-days", "2",
       "-extfile", str(ext), "-CAcreateserial", "-out", f"{pem}.crt")
    pem.write_text(open(f"{pem}.key").read() + open(f"{pem}.crt").read())
    return ca, pem


def port_taken(node):
    node.daemon.process.stop()
    node.host.start([sys.executable, "-m", "http.server", "4001"], name="squatter")
    wait_for("somebody on 4001", lambda: listening(node.host, 4001))
    found = node.doctor()
    equal(errors(found), ["SK130", "SK200"], "no daemon, because of the port")
    check("python3" in found["SK130"]["what"] and "4001" in found["SK130"]["what"], "who has it")
    command = re.match(r"kill \d+", found["SK130"]["fix"])[0]
    sh(*command.split())
    wait_for("the port is free", lambda: not listening(node.host, 4001))
    node.daemon.restart()
    equal(errors(node.doctor()), [], "after the fix")


def full_disk(node):
    filler = node.store / "filler"
    with open(filler, "wb") as f:
        os.posix_fallocate(f.fileno(), 0, (150 << 20))
    found = node.doctor()
    equal(errors(found), ["SK110"], "the disk")
    check(str(node.store / "store") in found["SK110"]["fix"], "the fix names the directory")
    # "free at least 64 MiB on the disk of ..."
    filler.unlink()
    equal(errors(node.doctor()), [], "after the fix")


def wrong_ca(node):
    (other, _), (right, pem) = sign(node.lab, "other"), sign(node.lab, "right")
    registry = node.registry(5443, pem=pem)
    mirror = {**node.daemon.config.get("proxy", {}), "registryMirror": {"addr": "https://127.0.0.1:5443"}}
    node.reconfigure(proxy=mirror, backend={"caCert": str(other)})
    found = node.doctor()
    equal(errors(found), ["SK230"], "the certificate")
    where = re.search(r"backend\.caCert \((.*?):(\d+)\)", found["SK230"]["fix"])
    line = open(where[1]).read().splitlines()[int(where[2]) - 1]
    check(str(other) in line, f"the line that is named is the key's: {line}")
    node.reconfigure(proxy=mirror, backend={"caCert": str(right)})
    equal(errors(node.doctor()), [], "after the fix")
    registry.stop()
    node.file = node.daemon.file


def dead_scheduler(node):
    node.scheduler.process.kill()
    found = node.doctor()
    equal(errors(found), ["SK210"], "the scheduler")
    check(node.scheduler.addr in found["SK210"]["what"], "which one")
    node.scheduler.process.restart()
    node.scheduler.ready()
    equal(errors(node.doctor()), [], "after the fix")


def mirror_not_used(node):
    certs = node.lab.dir / "certs.d"
    node.containerd.write_text('version = 2\n[plugins."io.containerd.grpc.v1.cri".registry]\n'
                               f' config_path = "{certs}"\n')
    found = node.doctor()
    equal(errors(found), ["SK300"], "the mirror")
    # The fix as it is printed, and dfinit's journal in the lab.
    sh(BIN / "dfinit", "--no-restart", "--state-dir", node.lab.dir / "dfinit",
       *shlex.split(found["SK300"]["fix"])[1:])
    found = node.doctor()
    equal(errors(found), [], "after the fix")
    check("SK302" in found, "and it is told that nobody has come yet")
    node.host.get("http://127.0.0.1:4001/v2/")
    check("SK302" not in node.doctor(), "until somebody has")
    node.containerd.unlink()


def clock_off(node):
    off = node.registry(5001, off_s=3600)
    found = node.doctor(options=["-r", "http://127.0.0.1:5001"])
    equal(errors(found), ["SK101"], "the clock")
    check(re.search(r"59 m|60 m|1 h", found["SK101"]["what"]),
          f"how much: {found['SK101']['what']}")
    check("timedatectl set-ntp true" in found["SK101"]["fix"], "the fix")
    off.stop()
    # What the fix does, as this host's clock cannot be moved here: both agree.
    node.registry(5002)
    equal(errors(node.doctor(options=["-r", "http://127.0.0.1:5002"])), [], "after the fix")


def no_erofs(node):
    """No kernel takes EROFS from a file on overlayfs."""
    disk = node.lab.dir / "overlay"
    for part in ("", "lower", "upper", "work", "all"):
        (disk / part).mkdir()
        if not part:
            sh("mount", "-t", "tmpfs", "none", str(disk))
    sh("mount", "-t", "overlay", "-o", f"lowerdir={disk}/lower,upperdir={disk}/upper,workdir={disk}/work", "none",
       str(disk / "all"))
    lazy = {**node.daemon.config["lazy"], "enable": True, "dir": str(disk / "all")}
    node.reconfigure(lazy={**lazy, "trees": "erofs"})
    found = node.doctor()
    equal((found["SK123"]["level"], found["SK123"]["check"]), ("warning", "trees"), "nobody shows lazy layers")
    check("lazy.trees to auto" in found["SK123"]["fix"], "the fix")
    node.reconfigure(lazy={**lazy, "trees": "auto"})
    check("SK123" not in node.doctor(), "after the fix")
    equal(os.listdir(disk / "all"), [], "what doctor leaves")
    node.file = node.daemon.file
    sh("umount", str(disk / "all"))
    sh("umount", str(disk))


def no_fuse(node):
    node.daemon.process.stop()
    hidden = ["unshare", "-m", "sh", "-c",
              'mount -t tmpfs none /dev && mknod -m 666 /dev/null c 1 3 && exec "$@"', "sh"]
    found = node.doctor(*hidden)
    equal(errors(found), ["SK120", "SK200"], "no daemon, because of the device")
    check(f"mount.enable: false ({node.file})" in found["SK120"]["fix"], "what to do in a container")
    node.reconfigure(mount={"enable": False})
    node.host.start([*hidden, BIN / "dfdaemon", "--config", node.file], name="without-fuse")
    wait_for("the daemon without a mount", lambda: listening(node.host, 4003))
    equal(errors(node.doctor(*hidden)), [], "after the fix")


def wrong_key(node):
    node.reconfigure(proxi={"enable": True})
    p = subprocess.run(node.host.enter(BIN / "dfctl", "doctor", "-c", node.file), capture_output=True,
                       text=True)
    equal(p.returncode, 3, "exit code")
    check("SK100" in p.stdout and 'did you mean "proxy"' in p.stdout, p.stdout)
    node.file = node.daemon.file


def test_doctor_names_each_fault_and_its_fix_helps():
    with Lab() as lab:
        node = Node(lab)
        equal(errors(node.doctor()), [], "nothing is planted")
        for fault in (port_taken, full_disk, wrong_ca, dead_scheduler, mirror_not_used, clock_off,
                      wrong_key, no_erofs, no_fuse):
            print(f"   {fault.__name__}")
            fault(node)


story.run(globals())
