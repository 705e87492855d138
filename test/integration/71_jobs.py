"""Jobs of the manager with real schedulers and daemons: a preheat is done when a later pull finds it,
is taken up again by a manager that was killed, and keeps its credentials to itself."""
import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
import story
from article import Containerd
from lab import Lab, wait_for
from skimmer import Daemon, Manager, Nginx, Registry, Scheduler, make_image, random_file
from story import check, equal

# planted-registry-password
HTPASSWD = "puller:$2b$04$yZlQ8f30W/xCefQsEe0wa.bXJTiMcTusmtZji0kaUKtI/OKwulEXa"
SECRETS = ("planted-registry-password", "planted-header-secret")


class World:
    def __init__(self, lab):
        self.origin, control = lab.host("origin", 200), lab.host("control")
        self.layout, tag, self.layers = make_image()
        self.registry = Registry(self.origin)
        self.registry.push(self.layout, tag, "jobs/image:1")
        # The same images for those with a password only.
        self.private = Registry(self.origin, 5001, self.registry.dir / "data", HTPASSWD)
        web = self.origin.dir / "web"
        web.mkdir()
        random_file(web / "file.bin", 20_000_000)
        self.web = Nginx(self.origin, web)
        self.manager = Manager(control)
        self.scheduler = Scheduler(control, self.manager)
        self.seed = Daemon(lab.host("seed"), self.manager, seed=True)
        self.nodes = [Daemon(lab.host(n), self.manager) for n in ("node1", "node2")]
        for d in [self.seed, *self.nodes]:
            d.in_swarm()

    def image_url(self, registry=None):
        return f"http://{(registry or self.registry).addr}/v2/jobs/image/manifests/1"

    def start(self, kind, args, **more):
        return self.manager.rest("POST", "jobs", {"type": kind, "args": args, **more})

    def wait(self, job, state="SUCCESS"):
        def over():
            row = self.manager.rest("GET", f"jobs/{job['id']}", {})
            return row if row["state"] in ("SUCCESS", "FAILURE") else None
        row = wait_for(f"job {job['id']}", over, timeout_s=90, every_s=0.3)
        equal(row["state"], state, json.dumps(row["result"])[:1500])
        return row

    def given(self):
        """Bytes of layers that the registries have given."""
        return sum(r.bytes_given(d.removeprefix("sha256:")) for r in (self.registry, self.private)
                   for d in self.layers)

    def stand_in(self, number):
        """What a node that nobody preheated takes of the registry when it pulls every layer."""
        node = self.nodes[number]
        before = self.registry.bytes_given()
        for digest in self.layers:
            url = f"http://127.0.0.1:4001/v2/jobs/image/blobs/{digest}?ns={self.registry.addr}"
            node.host.run("curl", "-sS", "--fail", "-o", "/dev/null", "-H",
                          f"X-Dragonfly-Registry: http://{self.registry.addr}", url)
        return self.registry.bytes_given() - before


def test_jobs():
    with Lab() as lab:
        w = World(lab)
        nobody = a_cluster_without_a_scheduler_is_asked(w)
        an_image_is_preheated_and_a_pull_finds_it(w)
        a_file_is_preheated_on_all_peers(w)
        peers_are_synced_and_found(w)
        tasks_are_found_and_deleted(w)
        what_cannot_be_done_fails_with_a_reason(w, nobody)
        a_killed_manager_goes_on(w)
        rows_are_old_at_some_time(w)
        secrets_are_kept(w)


def a_cluster_without_a_scheduler_is_asked(w):
    """The job, which gives up after some 20 s: other things are done meanwhile."""
    empty = w.manager.add_cluster("empty", {"idc": "x"})
    return w.start("preheat", {"type": "image", "url": w.image_url()}, scheduler_cluster_ids=[empty])


def an_image_is_preheated_and_a_pull_finds_it(w):
    """Of a private registry."""
    row = w.wait(w.start("preheat", {"type": "image", "url": w.image_url(w.private), "username": "puller",
                                     "password": "wrong"}), "FAILURE")
    check(row["result"]["job_states"][0]["error"], "a reason")
    equal(w.private.bytes_given(), 0, "bytes without the password")
    job = w.start("preheat", {"type": "image", "url": w.image_url(w.private), "username": "puller",
                              "password": SECRETS[0], "headers": {"X-Secret": SECRETS[1]},
                              "scope": "single_seed_peer"}, bio="before the release")
    check(job["state"] in ("PENDING", "STARTED"), f"at once: {job['state']}")
    equal((job["type"], job["bio"]), ("preheat", "before the release"), "at once")
    row = w.wait(job)
    state = row["result"]["job_states"][0]
    done = state["results"][0]["success_tasks"]
    equal({t["task_id"] for t in done} >= {d.removeprefix("sha256:") for d in w.layers}, True,
          "every layer, by the id of a pull")
    equal({t["hostname"] for t in done}, {"seed"}, "by the seed")
    check(w.private.bytes_given() > 0, "the seed had the password")
    before = w.given()
    Containerd(w.nodes[0].host, w.registry.addr).pull(f"{w.registry.addr}/jobs/image:1")
    equal(w.given() - before, 0, "bytes of layers that containerd's pull takes of a registry")
    equal(w.stand_in(1), 0, "bytes that another's takes")
    shares = w.start("get_image_distribution", {"url": w.image_url()})
    check(len(shares["image"]["layers"]) >= len(w.layers), "layers of the image")
    check("seed" in [p["hostname"] for p in shares["peers"]], "who has them")


def a_file_is_preheated_on_all_peers(w):
    url = f"http://{w.origin.ip}/file.bin"
    row = w.wait(w.start("preheat", {"type": "file", "url": url, "scope": "all_peers"}))
    done = row["result"]["job_states"][0]["results"][0]["success_tasks"]
    equal(sorted(t["hostname"] for t in done), ["node1", "node2", "seed"], "who has the file")
    equal([w.image_url(w.private) in json.dumps(r["args"]) for r in w.manager.rest(
        "GET", "jobs?type=preheat&state=SUCCESS", {})], [False, True], "newest first")


def peers_are_synced_and_found(w):
    equal(w.start("sync_peers", {}), "OK", "the answer")
    rows = w.manager.rest("GET", "peers", {})
    equal(sorted((r["host_name"], r["type"], r["state"]) for r in rows),
          [("node1", "normal", "active"), ("node2", "normal", "active"), ("seed", "super", "active")],
          "peers")
    check(all(r["git_version"].startswith("skimmer-") for r in rows), f"versions of peers: {rows}")
    ids = sorted(r["id"] for r in rows)
    w.start("sync_peers", {})
    equal(sorted(r["id"] for r in w.manager.rest("GET", "peers", {})), ids, "the same rows again")


def tasks_are_found_and_deleted(w):
    url = f"http://{w.origin.ip}/file.bin"

    def holders(kind="get_task"):
        row = w.wait(w.start(kind, {"url": url}))
        return sorted(t["hostname"] for t in
                      row["result"]["job_states"][0]["results"][0]["success_tasks"])
    equal(holders(), ["node1", "node2", "seed"], "who has the task")
    equal(holders("delete_task"), ["node1", "node2", "seed"], "who deleted it")
    equal(holders(), [], "who has it now")


def what_cannot_be_done_fails_with_a_reason(w, nobody):
    row = w.wait(w.start("preheat", {"type": "image", "url": w.image_url() + "0"}), "FAILURE")
    check(row["result"]["job_states"][0]["error"], "a reason")
    url = f"http://{w.origin.ip}/no/such.bin?signature=planted-query-secret"
    for scope, hosts in (("single_seed_peer", {"seed"}), ("all_peers", {"seed", "node1", "node2"})):
        row = w.wait(w.start("preheat", {"type": "file", "url": url, "scope": scope}), "FAILURE")
        state = row["result"]["job_states"][0]
        rows = state["results"][0]["failure_tasks"]
        equal({r["hostname"] for r in rows}, hosts, "who has failed")
        for text in (state["error"], *(r["description"] for r in rows)):
            check("404" in text and "planted" not in text, text)
    row = w.wait(nobody, "FAILURE")
    check("no active scheduler" in row["result"]["job_states"][0]["error"], "a reason")


def a_killed_manager_goes_on(w):
    file = w.origin.dir / "web" / "big.bin"
    random_file(file, 60_000_000)
    job = w.start("preheat", {"type": "file", "url": f"http://{w.origin.ip}/big.bin",
                              "scope": "all_seed_peers"})
    w.manager.process.kill()
    w.manager.process.restart()
    w.manager.ready()
    row = w.wait(job)
    equal([t["hostname"] for t in row["result"]["job_states"][0]["results"][0]["success_tasks"]],
          ["seed"], "done once, by the next life")


def rows_are_old_at_some_time(w):
    config, = w.manager.rest("GET", "configs?name=gc", None)
    w.manager.rest("PATCH", f"configs/{config['id']}", {"value": json.dumps(
        {"job": {"ttl": 1}, "audit": {"ttl": 1}})})
    for kind in ("audit", "job"):
        time.sleep(0.01)  # a row of this very millisecond is not old
        row = w.start("gc", {"type": kind})
        equal(row["state"], "SUCCESS", "gc")
        check(row["result"]["job_states"][0]["results"][0]["purged"] > 0, f"{kind} rows removed")
    equal([r["type"] for r in w.manager.rest("GET", "jobs", {})], ["gc"], "what is left")


def secrets_are_kept(w):
    w.manager.process.stop()
    for name in w.manager.dir.iterdir():
        for word in SECRETS:
            check(word.encode() not in name.read_bytes(), f"{word} stands in {name.name}")
    for word in SECRETS:
        check(word not in w.manager.process.log_text(), f"{word} stands in the log")


story.run(globals())
