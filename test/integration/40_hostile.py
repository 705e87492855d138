"""What is refused, bounded and survived: corrupted pieces, garbage on every port, endless headers, ten
thousand idle connections."""
import hashlib
import os
import random
import resource
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
import story
from lab import Lab, listening, wait_for
from skimmer import Daemon, Nginx, Scheduler, random_file
from story import check, equal

SIZE = 48 << 20
PORTS = {"grpc": 4000, "proxy": 4001, "metrics": 4002, "health": 4003, "pieces": 4005}


class World:
    def __init__(self, lab, nodes=("a", "b")):
        origin = lab.host("origin")
        web = origin.dir / "web"
        web.mkdir()
        self.digest = random_file(web / "blob", SIZE)
        self.nginx = Nginx(origin, web)
        self.scheduler = Scheduler(origin)
        self.daemons = [Daemon(lab.host(n), schedulers=[self.scheduler]) for n in nodes]
        for d in self.daemons:
            d.in_swarm()

    def read(self, daemon):
        path = daemon.mount / "http" / self.nginx.addr.removesuffix(":80") / "blob"
        with open(path, "rb") as f:
            return hashlib.sha256(f.read()).hexdigest()


def stored_file(daemon):
    """The task's bytes in the daemon's store."""
    files = [f for f in (daemon.dir / "store/content/tasks").glob("*/*") if f.suffix == ""]
    equal(len(files), 1, "files in the store")
    return files[0]


def test_piece_corrupted_on_a_parents_disk_is_refused():
    with Lab() as lab:
        world = World(lab)
        a, b = world.daemons
        equal(world.read(a), world.digest, "what a reads")
        with open(stored_file(a), "r+b") as f:
            f.seek(9 << 20)
            f.write(b"rotten" * 100)
        equal(world.read(b), world.digest, "what b reads")
        check(b.metric("skimmer_digest_failures_total") >= 1, "b has noticed")
        check(b.traffic("REMOTE_PEER") > 0, "b had the good pieces from a")
        check(0 < b.traffic("BACK_TO_SOURCE") <= SIZE, "and the rest from the origin")


def connect_in(host, port):
    """A socket made inside the host's network."""
    pid = os.open(f"/run/netns/{host.ns}", os.O_RDONLY)
    own = os.open("/proc/self/ns/net", os.O_RDONLY)
    try:
        os.setns(pid) if hasattr(os, "setns") else setns(pid)
        s = socket.create_connection(("127.0.0.1", port), timeout=30)
    finally:
        os.setns(own) if hasattr(os, "setns") else setns(own)
        os.close(pid)
        os.close(own)
    return s


def setns(fd):
    """os.setns() is Python 3.12's."""
    import ctypes
    if ctypes.CDLL(None, use_errno=True).setns(fd, 0) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def test_garbage_on_every_port():
    noise = random.Random(7)
    with Lab() as lab:
        world = World(lab, nodes=("a",))
        a, = world.daemons
        shapes = [lambda: noise.randbytes(4096), lambda: b"\0" * 65536, lambda: b"\xff" * 100,
                  lambda: b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
                          b"Transfer-Encoding: chunked\r\n\r\n",
                  lambda: b"GET http://" + b"a" * 100000 + b" HTTP/1.1\r\n\r\n",
                  lambda: b"\x01\x00\xff\xff\xff\xff" + b"x" * 1000, lambda: b""]
        for port in PORTS.values():
            for shape in shapes * 5:
                with connect_in(a.host, port) as s:
                    try:
                        s.sendall(shape())
                        s.shutdown(socket.SHUT_WR)
                        while s.recv(65536):
                            pass
                    except OSError:
                        pass  # refused in the middle is fine
        check(a.process.alive(), "the daemon lives")
        equal(world.read(a), world.digest, "and serves")
        lines = len(a.process.log_text().splitlines())
        check(lines < 200, f"garbage is not told line by line ({lines} lines)")


def test_endless_header_is_cut():
    with Lab() as lab:
        world = World(lab, nodes=("a",))
        a, = world.daemons
        before = a.process.rss_kib()
        for port in (PORTS["proxy"], PORTS["health"], PORTS["metrics"]):
            with connect_in(a.host, port) as s:
                sent = 0
                try:
                    s.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
                    while sent < 64 << 20:
                        sent += s.send(b"X-Pad: " + b"y" * 1000 + b"\r\n")
                except OSError:
                    pass
                check(sent < 8 << 20, f"port {port} ends it early ({sent} bytes taken)")
        check(a.process.rss_kib() - before < 16 << 10, "memory does not grow")
        equal(world.read(a), world.digest, "service goes on")


def test_ten_thousand_idle_connections():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    count = min(10_000, hard - 500)
    with Lab() as lab:
        world = World(lab, nodes=("a",))
        a, = world.daemons
        before = a.process.rss_kib()
        for port in (PORTS["proxy"], PORTS["pieces"]):
            idle = []
            for _ in range(count):
                idle.append(connect_in(a.host, port))
            status, _, _ = a.host.get("http://127.0.0.1:4003/healthy")
            equal(status, 200, f"health with {count} idle connections on {port}")
            equal(world.read(a), world.digest, "reads go on")
            grown = (a.process.rss_kib() - before) / 1024
            print(f"{count} idle on {port}: resident +{grown:.1f} MiB")
            check(grown < 64, "memory stays bounded")
            for s in idle:
                s.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Liar:
    """An origin that lies: what it says of the length is not what it sends."""

    def __init__(self, host, says, sends):
        code = f"""
import http.server
class H(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        r = self.headers.get("Range")
        first, last = 0, {says} - 1
        if r:
            a, b = r[6:].split("-")
            first, last = int(a), int(b) if b else last
        self.send_response(206 if r else 200)
        if r: self.send_header("Content-Range", f"bytes {{first}}-{{last}}/{says}")
        self.send_header("Content-Length", str(last - first + 1))
        self.end_headers()
        n = min(last + 1, {sends}) - first
        if n > 0: self.wfile.write(b"z" * n)
        self.close_connection = True
    def log_message(self, *a): pass
http.server.ThreadingHTTPServer(("0.0.0.0", 8080), H).serve_forever()
"""
        self.process = host.start(["/usr/bin/python3", "-c", code], name="liar")
        wait_for("the liar", lambda: listening(host, 8080))
        self.addr = f"{host.ip}:8080"


def test_an_origin_that_sends_less_than_it_says_is_an_error():
    with Lab() as lab:
        config = {"mount": {"readTimeout": "5s"}, "backend": {"maxRetries": 1}}
        node = Daemon(lab.host("node"), config=config)
        liar = Liar(lab.host("liar"), says=10 << 20, sends=6 << 20)
        path = node.mount / "http" / liar.addr / "x"
        start = time.monotonic()
        try:
            with open(path, "rb") as f:
                data = f.read()
            raise AssertionError(f"read gave {len(data)} bytes")
        except OSError as e:
            print(f"the reader gets {e.strerror} after {time.monotonic() - start:.1f} s")
        wait_for("the reason", lambda: os.getxattr(path, "user.d7y.error"))


story.run(globals())
