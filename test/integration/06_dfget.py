"""dfget against a real daemon, nginx and registry, and without a daemon: each exit code, --json, streaming,
what a terminal sees, and that nothing is fetched twice when dfget or the daemon is killed."""
import contextlib
import hashlib
import json
import os
import pathlib
import pty
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lab"))
import story
from lab import BIN, Lab, wait_for
from skimmer import Daemon, Nginx, Registry, Scheduler, random_file
from story import check, equal

SIZE = 48 << 20
BRISK_BYTES = 24 << 20  # a second and connection
SLOW_BYTES = 4 << 20  # the daemon has several connections
PIECE = 4 << 20
HTTP_SLACK = 64 << 10  # probes and what a closed connection had in flight

LOCATIONS = f"""
 location = /gone {{ return 410; }} location = /unauthorized {{ return 401; }}
 location = /forbidden {{ return 403; }} location = /busy {{ return 429; }}
 location = /broken {{ return 500; }}
 location /slow/ {{ alias {{web}}/; limit_rate {SLOW_BYTES}; }}
 location /brisk/ {{ alias {{web}}/; limit_rate {BRISK_BYTES}; }}
 location /once/ {{ alias {{web}}/; max_ranges 0; limit_rate {BRISK_BYTES}; }}
"""


def digest_of(path):
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


class World:
    def __init__(self, lab, daemon=True):
        self.lab = lab
        self.origin, self.host = lab.host("origin"), lab.host("node")
        web = self.origin.dir / "web"
        web.mkdir()
        self.digest = random_file(web / "blob", SIZE)
        self.nginx = Nginx(self.origin, web, extra=LOCATIONS.replace("{web}", str(web)))
        self.dir = self.host.dir / "out"
        self.dir.mkdir()
        self.out = self.dir / "file"
        self.socket = self.dir / "no.sock"
        self.daemon = Daemon(self.host) if daemon else None
        if daemon:
            self.socket = self.daemon.socket

    def url(self, path="blob"):
        return f"http://{self.nginx.addr.removesuffix(':80')}/{path}"

    def command(self, *args, host=None, socket=None):
        return (host or self.host).enter(BIN / "dfget", "-e", socket or self.socket, *args)

    def run(self, *args, env=None, **kw):
        """(exit code, standard output, standard error)"""
        env = {**os.environ, **(env or {})}
        p = subprocess.run(self.command(*args, **kw), capture_output=True, text=True, env=env,
                           cwd=self.dir, timeout=60)
        return p.returncode, p.stdout, p.stderr

    def json(self, *args, want=0, **kw):
        code, out, err = self.run("--json", *args, **kw)
        equal(code, want, f"exit code of dfget {' '.join(map(str, args))}: {out}{err}")
        said = json.loads(out)
        equal((said["exit_code"], said["ok"]), (want, want == 0), "what the JSON says of it")
        return said

    def fails(self, want, *args, **kw):
        """The text of the error; nothing may be left behind."""
        before = sorted(os.listdir(self.dir))
        code, out, err = self.run(*args, **kw)
        equal(code, want, f"exit code of dfget {' '.join(map(str, args))}: {err}")
        equal(out, "", "standard output of a failure")
        check("dfget" in err and err.endswith("\n"), f"tells why: {err!r}")
        equal(sorted(os.listdir(self.dir)), before, f"files after {' '.join(map(str, args))}")
        return err

    def check_whole(self, path=None):
        equal(digest_of(path or self.out), self.digest, "digest of what came")


@contextlib.contextmanager
def world(**kw):
    with Lab() as lab:
        w = World(lab, **kw)
        yield w
        if w.daemon:
            equal(w.daemon.process.stop(timeout_s=8), 0, "exit code of the daemon, which ends when it is told to")


def test_file_comes_from_the_origin_and_then_from_here():
    with world() as w:
        said = w.json(w.url(), "-O", w.out)
        w.check_whole()
        equal((said["bytes"], said["bytes_origin"], said["bytes_local"]), (SIZE, SIZE, 0), "the first")
        check(said["task_id"], f"the task is told: {said}")
        given = w.nginx.bytes_given()
        again = w.json(w.url(), "-O", w.dir / "again")
        w.check_whole(w.dir / "again")
        equal((again["bytes_origin"], again["bytes_local"]), (0, SIZE), "the second")
        equal(again["task_id"], said["task_id"], "the task")
        check(w.nginx.bytes_given() - given <= HTTP_SLACK, "the origin gave nothing for the second")


def test_name_is_taken_from_the_url():
    with world() as w:
        code, _, err = w.run(w.url("blob?x=y"))
        equal(code, 0, f"dfget: {err}")
        w.check_whole(w.dir / "blob")
        check("/blob" in err and "origin 48" in err and "saved 0 %" in err, f"summary: {err}")


def test_usage_errors():
    with world(daemon=False) as w:
        url = w.url()
        for args, word in (
                ([], "no URL"), ([url, url], "one URL"), (["--diggest", "x", url], "--digest"),
                (["-d", "sha256:abc", url], "sha256"), (["-H", "no colon", url], "Name: value"),
                (["--priority", "7", url], "0 to 6"), (["--piece-length", "1MiB", url], "4MiB"),
                (["--timeout", "soon", url], "timeout"), (["--progress", "dots", url], "progress"),
                (["file:///etc/passwd"], "dfget"), ([url + "/"], "-O"),
                (["sha256:" + "A" * 64, "-O", "x"], "sha256"),
                (["sha256:" + "a" * 64], "-O")):
            err = w.fails(2, *args)
            check(word in err, f"dfget {args} tells of {word}: {err}")


def origins_answers(w):
    for path, code in (("missing", 4), ("gone", 4), ("unauthorized", 5), ("forbidden", 5),
                       ("broken", 6), ("busy", 13)):
        w.fails(code, w.url(path), "-O", w.out)
    w.fails(6, f"http://{w.origin.ip}:81/refused", "-O", w.out)


def test_origins_answers_become_exit_codes():
    with world() as w:
        origins_answers(w)


def test_origins_answers_become_exit_codes_without_a_daemon():
    with world(daemon=False) as w:
        origins_answers(w)


def other_failures(w):
    err = w.fails(8, w.url(), "-O", w.out, "-d", "sha256:" + "0" * 64)
    check("digest" in err or "sha256" in err, f"tells of the digest: {err}")
    w.fails(10, w.url(), "-O", w.dir / "nowhere/file")
    w.fails(7, w.url("slow/blob"), "-O", w.out, "--timeout", "1s")
    w.out.write_text("mine")
    err = w.fails(10, w.url(), "-O", w.out)
    check(str(w.out) in err, f"tells what is there: {err}")
    equal(w.out.read_text(), "mine", "what was there")
    # Another name: a task keeps the digest that it was first asked for with.
    w.json(w.url("blob?again"), "-O", w.out, "--overwrite")
    w.check_whole()


def test_failures_of_digest_output_and_time():
    with world() as w:
        other_failures(w)


def test_failures_of_digest_output_and_time_when_transferred():
    with world() as w:
        os.environ["DFGET_TRANSFER_FROM_DFDAEMON"] = "true"
        try:
            other_failures(w)
        finally:
            del os.environ["DFGET_TRANSFER_FROM_DFDAEMON"]


def test_a_wrong_digest_hurts_nobody_else():
    with world() as w:
        w.fails(8, "-d", "sha256:" + "0" * 64, w.url(), "-O", w.out)
        said = w.json(w.url(), "-O", w.out)
        equal((said["bytes"], digest_of(w.out)), (SIZE, w.digest), "what the next one gets")


def test_full_disk_is_told():
    with world() as w:
        tiny = w.lab.dir / "tiny"
        tiny.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tiny", tiny], check=True)
        w.fails(9, w.url(), "-O", tiny / "file")
        w.fails(9, w.url(), "-O", tiny / "file", "--transfer-from-dfdaemon")
        equal(os.listdir(tiny), [], "files left on the full disk")
        w.fails(9, w.url(), "-O", tiny / "file", socket=w.dir / "no.sock")
        equal(os.listdir(tiny), [], "files left without a daemon")


def test_no_daemon_and_no_peer():
    with world() as w:
        no_socket = w.dir / "no.sock"
        err = w.fails(11, w.url(), "-O", w.out, "--require-p2p", socket=no_socket)
        check(str(no_socket) in err, f"names the socket: {err}")
        w.fails(11, w.url(), "-O", w.out, "--disable-back-to-source", socket=no_socket)
        w.fails(11, "sha256:" + "a" * 64, "-O", w.out, socket=no_socket)
        w.fails(12, w.url(), "-O", w.out, "--disable-back-to-source")
        w.fails(4, "sha256:" + "a" * 64, "-O", w.out)


def test_failure_in_json():
    with world() as w:
        said = w.json(w.url("missing"), "-O", w.out, want=4)
        check("404" in said["error"], f"the reason: {said}")


def test_stream_comes_in_order_and_alone():
    with world() as w:
        p = subprocess.run(w.command("--json", "-O", "-", w.url()), capture_output=True, timeout=60)
        equal(p.returncode, 0, f"dfget -O -: {p.stderr}")
        equal(hashlib.sha256(p.stdout).hexdigest(), w.digest, "digest of the stream")
        equal(json.loads(p.stderr)["bytes"], SIZE, "the JSON on standard error")


def test_stream_without_a_daemon():
    with world(daemon=False) as w:
        p = subprocess.run(w.command("-O", "-", w.url()), capture_output=True, timeout=60)
        equal(p.returncode, 0, f"dfget -O -: {p.stderr}")
        equal(hashlib.sha256(p.stdout).hexdigest(), w.digest, "digest of the stream")


def memory(pid, key):
    """KiB"""
    return next(int(l.split()[1]) for l in open(f"/proc/{pid}/status") if l.startswith(key))


def test_stream_to_a_slow_reader_does_not_fill_the_memory():
    with world() as w:
        big = w.origin.dir / "web/big"
        digest = random_file(big, 256 << 20)
        w.json(w.url("big"), "-O", w.out)  # now the daemon could send it all at once
        p = subprocess.Popen(w.command("-O", "-", "--no-progress", w.url("big")),
                             stdout=subprocess.PIPE)
        got, left = hashlib.sha256(), 256 << 20
        # As much as it takes unread: until its memory has not grown for a second.
        seen, since = 0, time.monotonic()
        while time.monotonic() - since < 1:
            now = memory(p.pid, "VmRSS")
            if now > seen:
                seen, since = now, time.monotonic()
            time.sleep(0.05)
        while left > 1 << 20:
            left -= len(data := p.stdout.read(1 << 20))
            check(data, "the stream goes on")
            got.update(data)
        peak = memory(p.pid, "VmHWM")
        got.update(p.stdout.read())
        equal((p.wait(), got.hexdigest()), (0, digest), "exit code and digest")
        print(f"dfget's peak: {peak >> 10} MiB")
        check(peak < 72 << 10, f"dfget held {peak >> 10} MiB of 256")


def test_reader_of_the_stream_goes_away():
    with world() as w:
        p = subprocess.Popen(w.command("-O", "-", w.url()), stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE)
        p.stdout.read(1000)
        p.stdout.close()
        err = p.stderr.read().decode()
        equal(p.wait(20), 10, f"dfget when nobody reads: {err}")
        check("write output" in err, f"tells why: {err}")


def test_transferred_over_the_socket():
    with world() as w:
        w.json(w.url(), "-O", w.out, "--transfer-from-dfdaemon")
        w.check_whole()
        equal(os.listdir(w.dir), ["file"], "nothing else is left")


def test_hard_link_to_the_store():
    with world() as w:
        w.json(w.url(), "-O", w.out, "--force-hard-link")
        w.check_whole()
        check(w.out.stat().st_nlink > 1, "the output is a link to the stored file")


def put_blob(w, registry, name):
    """Pushes the web's blob into the registry."""
    base = f"http://{registry.addr}/v2/{name}/blobs/uploads/"
    head = w.origin.run("curl", "-sS", "-D-", "-o/dev/null", "-XPOST", base)
    where = next(l.split(": ", 1)[1].strip() for l in head.splitlines()
                 if l.lower().startswith("location:"))
    w.origin.run("curl", "-sS", "--fail", "-XPUT", "-T", w.origin.dir / "web/blob",
                 f"{where}&digest=sha256:{w.digest}")


def test_blob_by_its_digest():
    with world() as w:
        registry = Registry(w.origin)
        put_blob(w, registry, "some/thing")
        w.json(f"http://{registry.addr}/v2/some/thing/blobs/sha256:{w.digest}", "-O", w.out)
        said = w.json(f"sha256:{w.digest}", "-O", w.dir / "again")
        w.check_whole(w.dir / "again")
        equal(said["bytes_local"], SIZE, "bytes that were here")
        given = registry.bytes_given(w.digest)
        check(SIZE <= given <= SIZE + HTTP_SLACK, f"the registry gave {given} of {SIZE} bytes")


def test_second_node_gets_it_from_the_first():
    with world() as w:
        scheduler = Scheduler(w.lab.host("control"))
        nodes = [Daemon(w.lab.host(n), schedulers=[scheduler]) for n in ("one", "two")]
        for d in nodes:
            d.in_swarm()
        w.json(w.url(), "-O", w.out, host=nodes[0].host, socket=nodes[0].socket)
        said = w.json(w.url(), "-O", w.dir / "two", host=nodes[1].host, socket=nodes[1].socket)
        w.check_whole(w.dir / "two")
        equal((said["bytes_peers"], said["bytes_origin"]), (SIZE, 0), "the second")


def start_slowly(w, *args, path="slow/blob"):
    """dfget that has part of it."""
    p = subprocess.Popen(w.command(*args, "-O", w.out, w.url(path)), stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, cwd=w.dir)
    return p


def has_pieces(w, count):
    path = w.daemon.mount / "http" / w.nginx.addr.removesuffix(":80") / "slow/blob"
    wait_for(f"{count} pieces", timeout_s=20,
             probe=lambda: int(os.getxattr(path, "user.d7y.bytes_local")) >= count * PIECE)


def test_dfget_killed_and_nothing_fetched_again():
    with world() as w:
        p = start_slowly(w)
        has_pieces(w, 3)
        p.kill()
        p.wait()
        said = w.json(w.url("slow/blob"), "-O", w.out)
        w.check_whole()
        check(said["bytes_local"] >= 3 * PIECE, f"what was here is told: {said}")
        given = w.nginx.bytes_given()
        check(given <= SIZE + PIECE, f"the origin gave {given} of {SIZE} bytes")
        equal(os.listdir(w.dir), ["file"], "files left")


def test_signals_end_dfget_and_it_goes_on_later():
    for daemon in (True, False):
        for sig in (signal.SIGINT, signal.SIGTERM):
            with world(daemon=daemon) as w:
                p = start_slowly(w)
                if daemon:
                    has_pieces(w, 1)
                else:
                    wait_for("some bytes", lambda: any(f.stat().st_size for f in w.dir.iterdir()))
                p.send_signal(sig)
                err = p.communicate(timeout=60)[1].decode()
                equal(p.returncode, 128 + sig, f"exit code: {err}")
                check("interrupted" in err, f"tells so: {err}")
                check(not w.out.exists(), "half a file has no name")


def test_daemon_killed_and_nothing_fetched_again():
    with world() as w:
        p = start_slowly(w)
        has_pieces(w, 3)
        w.daemon.process.kill()
        err = p.communicate(timeout=20)[1].decode()
        equal(p.returncode, 11, f"exit code when the daemon dies: {err}")
        check(not w.out.exists(), "half a file has no name")
        before = w.nginx.bytes_given()
        w.daemon.restart()
        said = w.json(w.url("slow/blob"), "-O", w.out)
        w.check_whole()
        check(said["bytes_local"] >= 3 * PIECE, f"what was here is told: {said}")
        equal(said["bytes_local"] + said["bytes_origin"], SIZE, "all of it")
        given = w.nginx.bytes_given() - before
        check(given <= SIZE - said["bytes_local"] + HTTP_SLACK,
              f"{said['bytes_local']} bytes were kept, {given} fetched again")


def direct_killed(w, path):
    """Bytes that the origin gave for the second try."""
    digest = f"sha256:{w.digest}"
    p = start_slowly(w, "-d", digest, path=path)
    part = pathlib.Path(f"{w.out}.dfget-part")
    wait_for("a part", lambda: part.exists() and part.stat().st_size > 3 * PIECE)
    p.kill()
    p.wait()
    wait_for("the origin's log", lambda: w.nginx.bytes_given() > 0)
    before = w.nginx.bytes_given()
    kept = part.stat().st_size
    said = w.json("-d", digest, "-O", w.out, w.url(path))
    w.check_whole()
    equal(os.listdir(w.dir), ["file"], "files left")
    return kept, w.nginx.bytes_given() - before, said


def test_direct_download_killed_goes_on_where_it_was():
    with world(daemon=False) as w:
        kept, given, said = direct_killed(w, "brisk/blob")
        check(given <= SIZE - kept + HTTP_SLACK, f"{kept} bytes were kept, {given} fetched again")
        equal((said["bytes_local"], said["bytes_origin"]), (kept, SIZE - kept), "what dfget says")
        equal((said["bytes"], said["direct"]), (SIZE, True), "what dfget says of the whole")


def test_direct_download_killed_begins_anew_at_an_origin_without_ranges():
    with world(daemon=False) as w:
        _, given, said = direct_killed(w, "once/blob")
        check(given >= SIZE, "the origin gave all")
        equal((said["bytes_local"], said["bytes_origin"]), (0, SIZE), "what dfget says")


def test_direct_download_that_lacks_only_its_name():
    with world(daemon=False) as w:
        part = pathlib.Path(f"{w.out}.dfget-part")
        part.write_bytes((w.origin.dir / "web/blob").read_bytes())
        said = w.json("-d", f"sha256:{w.digest}", "-O", w.out, w.url())
        w.check_whole()
        equal((said["bytes_local"], said["bytes_origin"]), (SIZE, 0), "what dfget says")


def test_direct_download_with_a_rotten_part_is_a_mismatch_once():
    with world(daemon=False) as w:
        digest = f"sha256:{w.digest}"
        pathlib.Path(f"{w.out}.dfget-part").write_bytes(b"x" * PIECE)
        equal(w.run("-d", digest, "-O", w.out, w.url())[0], 8, "with a rotten part")
        w.json("-d", digest, "-O", w.out, w.url())
        w.check_whole()


def test_direct_download_says_so():
    with world(daemon=False) as w:
        code, out, err = w.run(w.url(), "-O", w.out)
        equal((code, out), (0, ""), f"without a daemon: {err}")
        check("no daemon" in err and str(w.socket) in err, f"says so and names the socket: {err}")
        w.check_whole()


def on_terminal(w, *args, env=None):
    """(exit code, what a terminal on standard error saw)"""
    here, there = pty.openpty()
    env = {**os.environ, "TERM": "xterm", "LC_ALL": "C.UTF-8", **(env or {})}
    p = subprocess.Popen(w.command(*args), stdout=subprocess.DEVNULL, stderr=there, env=env)
    os.close(there)
    seen = b""
    with contextlib.suppress(OSError):  # EIO: the last one there has closed
        while data := os.read(here, 65536):
            seen += data
    os.close(here)
    return p.wait(20), seen.decode()


def test_terminal_sees_a_bar_and_a_pipe_does_not():
    with world() as w:
        code, seen = on_terminal(w, w.url("slow/blob"), "-O", w.out)
        equal(code, 0, f"on a terminal: {seen!r}")
        check("\r[" in seen and "%" in seen and "\033[K" in seen, f"a bar: {seen[-300:]!r}")
        check("░" in seen, f"the origin's share of the bar: {seen[-300:]!r}")
        check("\r\033[K" in seen and "saved" in seen.splitlines()[-1], f"its end: {seen[-300:]!r}")
        _, seen = on_terminal(w, w.url(), "-O", w.out, "--overwrite", env={"TERM": "dumb"})
        check("\033" not in seen, f"no bar on a dumb terminal: {seen!r}")
        _, seen = on_terminal(w, w.url(), "-O", w.out, "--overwrite", "--no-progress")
        equal(seen, "", "--no-progress")
        _, out, err = w.run(w.url(), "-O", w.out, "--overwrite")
        check("\r" not in err and "\033" not in err, f"no bar into a pipe: {err!r}")
        equal((out, len(err.splitlines())), ("", 1), f"one line into a pipe: {err!r}")


story.run(globals())
