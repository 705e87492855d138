"""dfdaemon is killed, stopped and started again under its readers: its mounts are kept by a holder (or by
systemd's descriptor store) and handed to the next one. Nobody sees an error or a wrong byte."""
import array
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lab"))
import story
from lab import BIN, Lab, wait_for
from skimmer import Daemon, Nginx, random_file
from story import check, equal

SIZE = 64 << 20
# Reads the whole again and again, from the file system and not from the kernel's cache; a line for each
# time. Opens it anew every other time.
READER = """
import hashlib, os, sys
path, digest = sys.argv[1:]
count, fd = 0, os.open(path, os.O_RDONLY)
while True:
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    sha, off = hashlib.sha256(), 0
    while data := os.pread(fd, 1 << 17, off):
        sha.update(data)
        off += len(data)
    print("right" if sha.hexdigest() == digest else "wrong bytes", flush=True)
    count += 1
    if count % 2 == 0:
        os.close(fd)
        fd = os.open(path, os.O_RDONLY)
"""
lab = Lab()
origin, node = lab.host("origin", 1000), lab.host("node", 1000)
web = origin.dir / "web"
web.mkdir()
digest = random_file(web / "blob", SIZE)
nginx = Nginx(origin, web)
CONFIG = {"mount": {"holdFor": "60s", "passthrough": False}}
daemon = Daemon(node, config=CONFIG)
blob = daemon.mount / "http" / nginx.addr.removesuffix(":80") / "blob"
SOCKET = f"{daemon.socket}.hold"


class Reader:
    def __init__(self, path=blob):
        self.log = node.dir / f"reader-{id(self)}"
        self.popen = subprocess.Popen([sys.executable, "-c", READER, path, digest],
                                      stdout=open(self.log, "wb"), stderr=subprocess.STDOUT)

    def lines(self):
        return self.log.read_text().splitlines()

    def reads_on(self, times=2):
        """Two more times from the beginning to the end."""
        begun = len(self.lines())
        wait_for("the reader", lambda: len(self.lines()) >= begun + times or
                 self.popen.poll() is not None, timeout_s=60)
        equal(set(self.lines()), {"right"}, "what the reader saw")

    def end(self):
        self.popen.kill()
        self.popen.wait()
        equal(set(self.lines()), {"right"}, "what the reader saw")


def mounted():
    return f" {daemon.mount} " in open("/proc/self/mountinfo").read()


def holders():
    """Processes that keep this daemon's mounts."""
    if f"{SOCKET}\n" not in node.run("cat", "/proc/net/unix"):
        return []
    found = []
    for pid in node.run("ip", "netns", "pids", node.ns).split():
        try:
            if open(f"/proc/{pid}/comm").read() == "skimmer-holder\n":
                found.append(int(pid))
        except FileNotFoundError:
            pass  # it has just ended
    return found


def taken_over():
    return daemon.process.log_text().count("mount is taken over")


def test_killed_under_readers():
    readers = [Reader(), Reader()]
    for r in readers:
        r.reads_on(1)
    for i in range(3):
        daemon.process.kill()
        daemon.restart()
        equal(taken_over(), i + 1, "mounts taken over")
        for r in readers:
            r.reads_on(1)
    # A reader that is there already, a new one, and one more kill in the middle of both.
    readers.append(Reader())
    daemon.process.kill()
    daemon.restart()
    for r in readers:
        r.reads_on()
        r.end()


def test_stopped_and_started_under_a_reader():
    reader, before = Reader(), taken_over()
    reader.reads_on(1)
    equal(daemon.process.stop(), 0, "the daemon's end")
    check(mounted(), "what is in use stays mounted")
    daemon.restart()
    reader.reads_on()
    reader.end()
    equal(taken_over(), before + 1, "mounts taken over")


def test_the_holder_may_be_killed_while_the_daemon_lives():
    reader, (old,) = Reader(), holders()
    os.kill(old, signal.SIGKILL)
    wait_for("another holder", lambda: "mounts are kept again" in daemon.process.log_text(),
             timeout_s=60)
    check(holders() not in ([], [old]), "it is another one")
    daemon.process.kill()
    daemon.restart()
    reader.reads_on()
    reader.end()


def test_a_stop_unmounts_what_nobody_uses():
    def stopped():
        # The kernel tells late that a file is closed.
        daemon.process.stop()
        if mounted():
            daemon.restart()
            return False
        return True
    wait_for("an unmounted end", stopped, timeout_s=60)
    wait_for("the holder's end", lambda: not holders(), timeout_s=60)
    daemon.restart()
    check(mounted(), "mounted anew")


def test_readers_get_an_error_when_no_daemon_comes():
    daemon.process.stop()
    daemon.config["mount"]["holdFor"] = "1s"
    daemon.file.write_text(json.dumps(daemon.config))
    daemon.restart()
    reader = Reader()
    wait_for("the reader", lambda: reader.lines(), timeout_s=60)
    daemon.process.kill()
    wait_for("the reader's end", lambda: reader.popen.poll() is not None, timeout_s=60)
    check("Transport endpoint is not connected" in reader.log.read_text() or
          "Software caused connection abort" in reader.log.read_text(),
          f"an error: {reader.log.read_text()[-300:]}")
    equal(holders(), [], "holders")
    daemon.restart()
    again = Reader()
    again.reads_on(1)
    again.end()
    daemon.process.stop()


class Systemd:
    """What systemd does with descriptors: keeps what FDSTORE brings, gives it to the next process."""

    def __init__(self, directory):
        self.path, self.store = directory / "notify", {}
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(self.path))
        self.socket.settimeout(60)

    def until(self, word):
        while True:
            text, room, _, _ = self.socket.recvmsg(4096, 4096)
            fields = dict(l.split("=", 1) for l in text.decode().splitlines())
            if "FDSTORE" in fields:
                fds = array.array("i", room[0][2])
                equal((len(fds), fields["FDPOLL"]), (1, "0"), "descriptors of a message")
                self.remove(fields["FDNAME"])
                self.store[fields["FDNAME"]] = fds[0]
            if "FDSTOREREMOVE" in fields:
                self.remove(fields["FDNAME"])
            if word in fields:
                return

    def remove(self, name):
        if name in self.store:
            os.close(self.store.pop(name))

    def start(self):
        env = {**os.environ, "NOTIFY_SOCKET": str(self.path), "FDSTORE": "8"}
        # Out of the way of the numbers that they are to get.
        high = [os.dup2(fd, 50 + i) for i, fd in enumerate(self.store.values())]
        moves = " ".join(f"{3 + i}<&{fd} {fd}<&-" for i, fd in enumerate(high))
        # The shell's own process becomes the daemon, so that LISTEN_PID is right.
        script = (f"exec env LISTEN_PID=$$ LISTEN_FDS={len(high)} LISTEN_FDNAMES={':'.join(self.store)} "
                  f"'{BIN}/dfdaemon' --config '{daemon.file}' {moves}")
        p = subprocess.Popen(node.enter("bash", "-c", script), env=env, pass_fds=high,
                             stdout=open(daemon.process.log, "ab"), stderr=subprocess.STDOUT)
        for fd in high:
            os.close(fd)
        self.until("READY")
        return p


def test_systemd_keeps_the_mounts():
    manager, before = Systemd(node.dir), taken_over()
    p = manager.start()
    equal(set(manager.store), {"blobs-fuse", "blobs-ledger"}, "what is stored")
    reader = Reader()
    for _ in range(2):
        reader.reads_on(1)
        p.kill()
        p.wait()
        p = manager.start()
    reader.reads_on()
    reader.end()
    equal((taken_over(), holders()), (before + 2, []), "mounts taken over, holders")

    def ended():
        nonlocal p
        p.terminate()
        manager.until("STOPPING")
        p.wait()
        if mounted():
            p = manager.start()
        return not mounted()
    wait_for("an unmounted end", ended, timeout_s=60)
    manager.socket.settimeout(0.1)
    try:
        manager.until("nothing more")
    except TimeoutError:
        pass
    equal(manager.store, {}, "what is stored after the end")


with lab:
    story.run(globals())
