"""Hosts as network namespaces on one switch, each with its own link rate; the programs that run on
them; and their removal, whatever happens.

    with Lab() as lab:
        a = lab.host("a", rate_mbit=1000)
        web = a.start(["python3", "-m", "http.server", "80"])
        print(a.ip, a.tx_bytes())

The switch is a bridge in a namespace of its own, so the machine's own network is never touched and
deleting the namespaces deletes everything. Names begin with "skm<pid>-": a lab whose process has
gone (a crash, kill -9) is removed by the next one. Needs root.
"""
import atexit
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("SKIMMER_BIN", ROOT / "build/bin"))
PREFIX = "skm"


class LabError(Exception):
    pass


def sh(*args, check=True, **kw):
    r = subprocess.run(args, capture_output=True, text=True, **kw)
    if check and r.returncode:
        raise LabError(f"{' '.join(map(str, args))}: {r.stderr.strip() or r.returncode}")
    return r.stdout


def wait_for(what, probe, timeout_s=60.0, every_s=0.02):
    """Until probe() is true; its value. LabError names what did not come."""
    end = time.monotonic() + timeout_s
    while True:
        value = probe()
        if value:
            return value
        if time.monotonic() > end:
            raise LabError(f"{what}: not within {timeout_s:g} s")
        time.sleep(every_s)


def remove_stale():
    """Namespaces, processes and mounts of labs whose process is gone."""
    for line in sh("ip", "netns", "list").splitlines():
        name = line.split()[0]
        m = re.match(rf"{PREFIX}(\d+)-", name)
        if m and not os.path.exists(f"/proc/{m.group(1)}"):
            for pid in sh("ip", "netns", "pids", name, check=False).split():
                try:
                    os.kill(int(pid), signal.SIGKILL)
                except ProcessLookupError:
                    pass
            sh("ip", "netns", "del", name, check=False)
    # A benchmark's lab may be in memory.
    folders = {pathlib.Path(d) for d in (tempfile.gettempdir(), "/tmp", "/dev/shm")}
    for d in [d for folder in folders for d in folder.glob(f"{PREFIX}-lab-*")]:
        m = re.match(rf"{PREFIX}-lab-(\d+)-", d.name)
        if m and not os.path.exists(f"/proc/{m.group(1)}"):
            unmount_below(d)
            shutil.rmtree(d, ignore_errors=True)


def unmount_below(directory):
    mounts = [l.split()[4] for l in open("/proc/self/mountinfo")]
    for m in sorted((m for m in mounts if m.startswith(f"{directory}/")), reverse=True):
        subprocess.run(["umount", "-l", m], capture_output=True)


class Lab:
    def __init__(self):
        if os.geteuid():
            raise LabError("a lab needs root: it makes network namespaces")
        remove_stale()
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix=f"{PREFIX}-lab-{os.getpid()}-"))
        self.id = f"{PREFIX}{os.getpid()}-{self.dir.name[-4:]}"
        self.hosts, self.processes, self.closed = [], [], False
        self.switch = f"{self.id}-sw"
        atexit.register(self.close)
        for s in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(s, lambda n, f: sys.exit(128 + n))
        sh("ip", "netns", "add", self.switch)
        self._ip(self.switch, "link", "add", "br0", "type", "bridge")
        self._ip(self.switch, "link", "set", "br0", "up")

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if exc[0] and os.environ.get("LAB_LOGS", "1") == "1":
            self.show_logs()
        self.close()

    def _ip(self, ns, *args):
        sh("ip", "-n", ns, *args)

    def host(self, name, rate_mbit=None):
        h = Host(self, name, len(self.hosts) + 1)
        self.hosts.append(h)
        if rate_mbit:
            h.set_rate(rate_mbit)
        return h

    def show_logs(self, lines=25):
        """The tail of each program's log, for a story that went wrong."""
        for p in self.processes:
            text = p.log_text().splitlines()[-lines:]
            print(f"--- {p.name} on {p.host.name} ({p.state()})", *text, sep="\n", file=sys.stderr)

    def close(self):
        if self.closed:
            return
        self.closed = True
        # Told together, so that each one's end is not waited for before the next one's begins.
        for p in reversed(self.processes):
            if p.alive():
                p.popen.terminate()
        for p in reversed(self.processes):
            p.stop(timeout_s=5)
        unmount_below(self.dir)
        for h in self.hosts:
            for pid in sh("ip", "netns", "pids", h.ns, check=False).split():
                try:
                    os.kill(int(pid), signal.SIGKILL)
                except ProcessLookupError:
                    pass
            sh("ip", "netns", "del", h.ns, check=False)
        sh("ip", "netns", "del", self.switch, check=False)
        shutil.rmtree(self.dir, ignore_errors=True)


# Debian's own choice, whatever this kernel's is; and packets go out in bunches of 16, as a network card takes
# them, not of 2: with dozens of hosts on one machine it is the number of packets that its cores are busy with.
TCP = {"tcp_congestion_control": "cubic", "tcp_min_tso_segs": 16}
ALLOWED = pathlib.Path("/proc/sys/net/ipv4/tcp_allowed_congestion_control")


def allow_congestion_control(name):
    """A namespace may choose among those that the machine allows; where another is the machine's own, cubic
    may not be one of them."""
    allowed = ALLOWED.read_text().split()
    if name not in allowed:
        ALLOWED.write_text(" ".join([*allowed, name]))


class Host:
    """A namespace with one link to the switch: 10.77.0.<n> and fd77::<n>."""

    def __init__(self, lab, name, number):
        self.lab, self.name, self.number = lab, name, number
        self.ns = f"{lab.id}-{name}"
        self.ip, self.ip6 = f"10.77.0.{number}", f"fd77::{number:x}"
        self.dir = lab.dir / name
        self.dir.mkdir()
        port = f"p{number}"
        sh("ip", "netns", "add", self.ns)
        sh("ip", "-n", self.ns, "link", "add", "eth0", "type", "veth",
           "peer", "name", port, "netns", lab.switch)
        for args in (["addr", "add", f"{self.ip}/16", "dev", "eth0"],
                     ["-6", "addr", "add", f"{self.ip6}/64", "dev", "eth0", "nodad"],
                     ["link", "set", "lo", "up"], ["link", "set", "eth0", "up"],
                     ["route", "add", "default", "dev", "eth0"]):
            sh("ip", "-n", self.ns, *args)
        lab._ip(lab.switch, "link", "set", port, "master", "br0", "up")
        self.port = port
        allow_congestion_control(TCP["tcp_congestion_control"])
        for key, value in TCP.items():
            self.run("sysctl", "-qw", f"net.ipv4.{key}={value}")

    def enter(self, *cmd):
        # Only the network is the host's own: mounts stay visible to the test.
        return ["nsenter", f"--net=/run/netns/{self.ns}", *map(str, cmd)]

    def run(self, *cmd, check=True, **kw):
        return sh(*self.enter(*cmd), check=check, **kw)

    def start(self, cmd, name=None, env=None, **kw):
        p = Process(self, name or pathlib.Path(str(cmd[0])).name, cmd, env, **kw)
        self.lab.processes.append(p)
        return p

    def set_rate(self, mbit):
        """Limits both directions; None lifts the limit. What waits is what a switch keeps, not what a modem
        does: a port of 1 Gbit/s with 2.5 MB has 20 ms."""
        for ns, dev in ((self.ns, "eth0"), (self.lab.switch, self.port)):
            sh("tc", "-n", ns, "qdisc", "del", "dev", dev, "root", check=False)
            if mbit:
                sh("tc", "-n", ns, "qdisc", "add", "dev", dev, "root", "tbf",
                   "rate", f"{mbit}mbit", "burst", f"{max(64, int(mbit))}kb", "latency", "20ms")

    def cut(self):
        self.lab._ip(self.lab.switch, "link", "set", self.port, "down")

    def heal(self):
        self.lab._ip(self.lab.switch, "link", "set", self.port, "up")

    def _counter(self, which):
        text = self.run("cat", "/proc/net/dev")
        m = re.search(r"eth0:\s*(.*)", text).group(1).split()
        return int(m[0 if which == "rx" else 8])

    def rx_bytes(self):
        return self._counter("rx")

    def tx_bytes(self):
        return self._counter("tx")

    def get(self, url, headers=None, timeout_s=30):
        """curl from this host: (status, headers, body)."""
        args = ["curl", "-sS", "-i", "--max-time", str(timeout_s), "--noproxy", "*"]
        for k, v in (headers or {}).items():
            args += ["-H", f"{k}: {v}"]
        raw = subprocess.run(self.enter(*args, url), capture_output=True)
        if raw.returncode:
            raise urllib.error.URLError(raw.stderr.decode().strip())
        head, _, body = raw.stdout.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        got = dict((k.strip().lower(), v.strip()) for k, _, v in (l.partition(":") for l in lines[1:]))
        return int(lines[0].split()[1]), got, body


class Process:
    """A program on a host; its output goes to <host dir>/<name>.log."""

    def __init__(self, host, name, cmd, env=None, stdin=None):
        self.host, self.name, self.cmd, self.env = host, name, [str(c) for c in cmd], env
        self.log = host.dir / f"{name}.log"
        self.popen = None
        self.launch()

    def launch(self):
        env = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
        env.update(self.env or {})
        self.popen = subprocess.Popen(self.host.enter(*self.cmd), stdin=subprocess.DEVNULL,
                                      stdout=open(self.log, "ab"), stderr=subprocess.STDOUT,
                                      env=env, start_new_session=True)

    @property
    def pid(self):
        # nsenter execs the program: the pid stays.
        return self.popen.pid

    def alive(self):
        return self.popen.poll() is None

    def state(self):
        return "running" if self.alive() else f"ended with {self.popen.returncode}"

    def log_text(self):
        return self.log.read_text(errors="replace")

    def kill(self):
        """kill -9, and waits for the end."""
        if self.alive():
            os.killpg(self.pid, signal.SIGKILL)
        self.popen.wait()

    def stop(self, timeout_s=30):
        """SIGTERM; SIGKILL when that does not help. The exit code."""
        if self.alive():
            self.popen.terminate()
            try:
                self.popen.wait(timeout_s)
            except subprocess.TimeoutExpired:
                self.kill()
        return self.popen.returncode

    def restart(self):
        if self.alive():
            self.stop()
        self.launch()

    def rss_kib(self, peak=False):
        key = "VmHWM" if peak else "VmRSS"
        for line in open(f"/proc/{self.pid}/status"):
            if line.startswith(key):
                return int(line.split()[1])
        return 0

    def threads(self):
        return len(os.listdir(f"/proc/{self.pid}/task"))


def listening(host, port):
    """True once something accepts on the port of the host."""
    # Not by connecting: a daemon's log of refused garbage is part of what is tested.
    text = host.run("cat", "/proc/net/tcp", "/proc/net/tcp6")
    return any(f":{port:04X} " in l and " 0A " in l for l in text.splitlines())


def write_config(path, config):
    """JSON is YAML."""
    path.write_text(json.dumps(config, indent=1))
    return path
