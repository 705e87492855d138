"""A manager on ports of its own and an empty database, without a lab: for tests of its REST API alone."""
import atexit
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class ManagerProcess:
    def __init__(self, server=None):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="skimmer-manager-"))
        self.port, self.grpc = free_port(), free_port()
        (self.dir / "m.yaml").write_text(json.dumps({
            "server": {"grpc": {"listenIP": "127.0.0.1", "port": {"start": self.grpc}},
                       "rest": {"addr": f"127.0.0.1:{self.port}"}, **(server or {})},
            "database": {"type": "sqlite", "sqlite": {"path": str(self.dir / "m.db")}}}))
        atexit.register(self.remove)  # also when a test fails
        self.start()

    def start(self):
        with open(self.dir / "log", "ab") as log:
            self.process = subprocess.Popen([ROOT / "build/bin/manager", "--config", self.dir / "m.yaml"],
                                            stdout=subprocess.DEVNULL, stderr=log)
        end = time.monotonic() + 30
        while True:
            try:
                self.ask("GET", "/healthy")
                return
            except OSError:
                if time.monotonic() > end or self.process.poll() is not None:
                    raise RuntimeError("the manager does not start:\n" + (self.dir / "log").read_text())
                time.sleep(0.05)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def remove(self):
        if self.process.poll() is None:
            self.stop()
        shutil.rmtree(self.dir, ignore_errors=True)

    def ask(self, method, path, body=None, token=None):
        """(status, headers, bytes)"""
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        c.request(method, path, body if body is None else json.dumps(body), headers)
        r = c.getresponse()
        stream = r.headers.get("Content-Type", "").startswith("text/event-stream")
        data = r.readline() + r.readline() + r.readline() if stream else r.read()
        c.close()
        return r.status, r.headers, data

    def sign_in(self, name="root", password="dragonfly"):
        status, _, data = self.ask("POST", "/api/v1/users/signin", {"name": name, "password": password})
        if status != 200:
            raise RuntimeError(f"sign in: {status} {data[:200]}")
        return json.loads(data)["token"]

    def rss_mib(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024
