"""dfctl's other commands: tasks are listed and taken away, top sees a download under way, a preheat is waited
for, the log's level changes while the daemon runs, a value is traced to its line, and a report has no secret."""
import json
import os
import subprocess
import sys
import tarfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
import story
from lab import BIN, Lab, wait_for
from skimmer import Daemon, Manager, Nginx, Scheduler, random_file
from story import check, equal

SIZE = 8 << 20
SECRETS = {"basic auth": "planted-proxy-password", "a header": "planted-header-value",
           "hosts.toml": "planted-toml-header", "registry auth": "planted-toml-auth",
           "registry password": "planted-toml-password", "the environment": "planted-env-password",
           "a log line": "planted-log-token", "a signature": "planted-url-signature",
           "a cookie": "planted-cookie"}


class World:
    def __init__(self, lab):
        self.lab, origin = lab, lab.host("origin")
        web = origin.dir / "web"
        web.mkdir()
        random_file(web / "file", SIZE)
        self.web = Nginx(origin, web, extra=f"location /slowly {{ limit_rate 1m; alias {web}; }}")
        self.manager = Manager(lab.host("manager"))
        self.scheduler = Scheduler(self.manager.host, self.manager)
        self.seed = Daemon(lab.host("seed"), self.manager, seed=True, config={"mount": {"enable": False}})
        self.host = lab.host("node")
        self.node = Daemon(self.host, self.manager, env={
            "https_proxy": f"http://u:{SECRETS['the environment']}@10.0.0.9:3128"}, config={
                "mount": {"enable": False},
                "backend": {"requestHeader": {"X-Api-Key": SECRETS["a header"]}},
                "proxy": {"server": {"basicAuth": {"username": "u", "password": SECRETS["basic auth"]}}}})
        for d in (self.seed, self.node):
            d.in_swarm()
        self.url = f"http://{origin.ip}/file"

    def dfctl(self, *args, code=0, **kw):
        p = subprocess.run(self.host.enter(BIN / "dfctl", *args), capture_output=True, text=True,
                           timeout=120, **kw)
        equal(p.returncode, code, f"dfctl {args}: {p.stdout} {p.stderr}")
        return p.stdout if code == 0 else p.stderr

    def get(self, url):
        self.host.run(BIN / "dfget", "-e", self.node.socket, "--no-progress", "--overwrite", "-O",
                      self.host.dir / "out", url)


def tasks_are_listed_and_taken_away(w):
    w.get(w.url)
    tasks = json.loads(w.dfctl("task", "ls", "--json", "-e", w.node.socket))
    equal([(t["length"], t["complete"]) for t in tasks], [(SIZE, True)], "what is here")
    check(tasks[0]["id"] in w.dfctl("task", "ls", "-e", os.path.relpath(w.node.socket)), "for people too, from here")
    w.dfctl("task", "rm", tasks[0]["id"], "-e", w.node.socket)
    equal(json.loads(w.dfctl("task", "ls", "--json", "-e", w.node.socket)), [], "what is here now")
    w.dfctl("task", "rm", tasks[0]["id"], "-e", w.node.socket, code=4)
    w.dfctl("task", "rm", "sha256:short", "-e", w.node.socket, code=2)
    w.dfctl("task", "ls", "-e", "/nowhere.sock", code=11)


def top_sees_a_download_under_way(w):
    slow = w.host.start([BIN / "dfget", "-e", w.node.socket, "--no-progress", "-O", w.host.dir / "slow",
                         f"http://{w.web.addr.removesuffix(':80')}/slowly/file"], name="dfget")

    def look():
        return json.loads(w.dfctl("top", "-n", "1", "--json", "-e", w.node.socket))
    seen = wait_for("a download under way", look, timeout_s=30)
    equal((seen[0]["length"], seen[0]["url"].endswith("/slowly/file")), (SIZE, True), "which one")
    text = w.dfctl("top", "-n", "1", "-e", w.node.socket)
    check("/slowly/file" in text and "schedulers answer" in text, text)
    slow.kill()


def a_preheat_is_waited_for(w):
    token = w.manager.rest("POST", "personal-access-tokens",
                           {"name": "ci", "scopes": ["job"], "expired_at": "2100-01-01T00:00:00Z"})["token"]
    where = ("--manager", f"http://{w.manager.host.ip}:8080")
    job = json.loads(w.dfctl("preheat", *where, "--token-file", "-", "--wait", "--json", w.url + "?n=1",
                             input=token))
    equal(job["state"], "SUCCESS", "its state")
    w.get(w.url + "?n=1")
    equal(w.web.bytes_given([w.host.ip]) <= SIZE + 8192, True, "the node's second file is not the origin's")
    # --token-file -: nobody reads a token off the list of processes.
    w.dfctl("preheat", *where, "--token-file", "-", w.url, input="dfp_wrong", code=5)
    w.dfctl("preheat", "--manager", "http://127.0.0.1:9", "--token", token, w.url, code=6)
    told = w.dfctl("preheat", *where, "--token", token, "--wait", "--type", "image", "-t", "60s",
                   f"http://{w.web.addr.removesuffix(':80')}/v2/absent/manifests/1", code=6)
    check("the preheat failed: " in told, told)


def the_level_changes_while_it_runs(w):
    equal(w.dfctl("log-level", "-e", w.node.socket), "info\n", "at first")
    check('"level":"debug"' not in w.node.process.log_text(), "nothing of debug yet")
    equal(w.dfctl("log-level", "debug", "-e", w.node.socket), "debug (was info)\n", "the change")
    # What the proxy passes on is told on this level only.
    w.host.run("curl", "-sS", "-o", "/dev/null", "-x", f"http://u:{SECRETS['basic auth']}@127.0.0.1:4001",
               "-b", f"session={SECRETS['a cookie']}", w.url + "?token=" + SECRETS["a signature"])
    w.get(w.url + "?signature=" + SECRETS["a signature"])
    wait_for("a debug line", lambda: '"level":"debug"' in w.node.process.log_text())
    equal(w.dfctl("log-level", "warn", "-e", w.node.socket), "warn (was debug)\n", "and back")
    w.dfctl("log-level", "loud", "-e", w.node.socket, code=2)


def a_value_is_traced_to_its_line(w):
    rows = {r["key"]: r for r in json.loads(w.dfctl("config", "show", "--json", "-c", w.node.file))}
    origin = rows["storage.dir"]["origin"]
    file, _, line = origin.rpartition(":")
    check(rows["storage.dir"]["value"] in open(file).read().splitlines()[int(line) - 1], "the line")
    equal((rows["upload.server.port"]["value"], rows["upload.server.port"]["origin"]), ("4000", "default"),
          "what the file does not give")
    given = w.dfctl("config", "show", "--given", "--origin", "-c", w.node.file)
    check("upload.server.port" not in given and "storage.dir" in given, given)
    equal(rows["proxy.server.basicAuth.password"]["value"], "[redacted]", "the password")


def a_report_has_no_secret(w):
    log = w.host.dir / "extra.log"
    log.write_text(f'x Authorization: Bearer {SECRETS["a log line"]}\n{{"token":"{SECRETS["a log line"]}"}}\n')
    toml = w.host.dir / "config.toml"
    toml.write_text(f'''version = 2
[plugins."io.containerd.grpc.v1.cri".registry.configs."r".auth]
  username = "kept"
  password = "{SECRETS["registry password"]}"
  auth = "{SECRETS["registry auth"]}"
[host."http://127.0.0.1:4001".header]
  X-Anything = "{SECRETS["hosts.toml"]}"
''')
    report = w.host.dir / "report.tar"
    equal(w.dfctl("bugreport", "-o", report, "-c", w.node.file, "--runtime-config", toml, "-l", log, "-l",
                  w.node.process.log), f"{report}\n", "where it is")
    equal(report.stat().st_mode & 0o777, 0o600, "for its owner alone")
    with tarfile.open(report) as tar:
        files = {m.name.removeprefix("skimmer-report/"): tar.extractfile(m).read().decode(errors="replace")
                 for m in tar.getmembers()}
    for want in ("version", "config.json", "doctor.json", "explain.json", "tasks.json", "metrics.txt",
                 "containerd/config.toml", "daemon/environ", "logs/0.log", "logs/1.log"):
        check(files.get(want), f"{want} is in the report: {sorted(files)}")
    for what, secret in SECRETS.items():
        found = [n for n, text in files.items() if secret in text]
        equal(found, [], f"files with the secret of {what}")
    check("kept" in files["containerd/config.toml"], "what is no secret stays")
    check("https_proxy" in files["daemon/environ"], "that a proxy is set stays")
    check(json.loads(files["doctor.json"])["findings"], "doctor's findings")
    equal(json.loads(files["explain.json"])[0]["download"]["url"].partition("?")[0], w.url, "what was pulled")
    check("skimmer_schedulers_alive" in files["metrics.txt"], "metrics")
    # What is planted is where the report looks.
    check(SECRETS["basic auth"] in w.node.file.read_text(), "the configuration has its secret")
    environ = open(f"/proc/{w.node.process.pid}/environ").read()
    check(SECRETS["the environment"] in environ, "the environment has its secret")
    w.dfctl("bugreport", "-o", "/dev/full", "-c", w.node.file, code=10)


def test_dfctl():
    with Lab() as lab:
        w = World(lab)
        for part in (tasks_are_listed_and_taken_away, top_sees_a_download_under_way, a_preheat_is_waited_for,
                     the_level_changes_while_it_runs, a_value_is_traced_to_its_line, a_report_has_no_secret):
            part(w)
            print(f"     {part.__name__}", flush=True)


story.run(globals())
