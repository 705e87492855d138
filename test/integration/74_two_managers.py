"""Two managers on one PostgreSQL and one Redis: they start at once, one is killed in the middle of a
form and of a preheat, and nothing is lost or done twice; attempts are counted together."""
import concurrent.futures
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
import databases
import story
from lab import Lab, wait_for
from skimmer import Daemon, Manager, Nginx, Scheduler, random_file
from story import check, equal

REDIS_PASSWORD = "planted-redis-password"
FILE_LEN = 12_000_000


def redis(host):
    host.start(["redis-server", "--port", "6379", "--bind", host.ip, "--save", "", "--requirepass",
                REDIS_PASSWORD], name="redis")
    wait_for("redis", lambda: subprocess.run(
        host.enter("redis-cli", "-h", host.ip, "-a", REDIS_PASSWORD, "ping"),
        capture_output=True).stdout.strip() == b"PONG", timeout_s=30)
    return {"addrs": [f"{host.ip}:6379"], "password": REDIS_PASSWORD}


def ask(manager, method, path, body=None):
    """(status, JSON); status 0 when there is no answer."""
    done = subprocess.run(manager.host.enter(
        "curl", "-s", "--max-time", "60", "-X", method, "-w", "\n%{http_code}", "-H",
        f"Authorization: Bearer {manager.token}", "-d", json.dumps(body or {}),
        f"http://127.0.0.1:8080/api/v1/{path}"), capture_output=True, text=True)
    text, _, status = done.stdout.rpartition("\n")
    return int(status or 0), json.loads(text) if text and done.returncode == 0 else None


class World:
    def __init__(self, lab, database):
        self.lab, self.database = lab, database
        data = database.host
        key = data.dir / "key"
        key.write_text(os.urandom(32).hex())
        key.chmod(0o600)
        config = {"database": {**database.config(), "redis": redis(data)},
                  "auth": {"keyFile": str(key)}}
        hosts = [lab.host("manager1"), lab.host("manager2")]
        with concurrent.futures.ThreadPoolExecutor() as pool:  # on an empty database, at once
            self.managers = list(pool.map(lambda h: Manager(h, config), hosts))
        self.a, self.b = self.managers
        self.a.rest("GET", "clusters", {})
        self.b.token = self.a.token  # a token of one is good at the other


def test_two_managers():
    with Lab() as lab, databases.Postgres(lab.host("data")) as database:
        w = World(lab, database)
        both_made_one_beginning(w)
        wrong_passwords_are_counted_together(w)
        a_form_is_sent_once_or_not_at_all(w)
        a_preheat_goes_on_at_the_other(w)
        without_redis_each_counts_for_itself(w)
        what_one_has_no_time_for_the_other_does(w)
        for m in w.managers:
            for word in (databases.PASSWORD, REDIS_PASSWORD):
                check(word not in m.process.log.read_text(), f"{word} is not in the log")


def both_made_one_beginning(w):
    for m in w.managers:
        equal([c["name"] for c in m.rest("GET", "clusters", {})], ["cluster-1"], "clusters")
        equal([u["name"] for u in m.rest("GET", "users", {})], ["root"], "users")


def wrong_passwords_are_counted_together(w):
    wrong = {"name": "nobody", "password": "wrong-password"}
    got = [ask(m, "POST", "users/signin", wrong)[0] for m in [w.a] * 3 + [w.b] * 2]
    equal(got, [401] * 5, "five tries in all")
    # By name and address: each manager's curl has the loopback's.
    equal([ask(m, "POST", "users/signin", wrong)[0] for m in w.managers], [429, 429], "and no more")


def a_form_is_sent_once_or_not_at_all(w):
    names = [f"form-{i:02d}" for i in range(24)]
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        first = {n: pool.submit(ask, w.a, "POST", "clusters", {"name": n}) for n in names}
        wait_for("some forms are through", lambda: sum(
            f.done() for f in first.values()) >= 4, timeout_s=60)
        w.a.process.kill()
        answers = {n: f.result()[0] for n, f in first.items()}
    lost = [n for n, status in answers.items() if status != 200]
    check(0 < len(lost) < len(names), f"it was killed in the middle: {answers}")
    again = {n: ask(w.b, "POST", "clusters", {"name": n})[0] for n in lost}
    check(set(again.values()) <= {200, 409}, f"asked again: {again}")
    rows = [c for c in w.b.rest("GET", "clusters?per_page=1000", {}) if c["name"] != "cluster-1"]
    equal(sorted(c["name"] for c in rows), names, "each of them once")
    equal(len({c["seed_peer_cluster_id"] for c in rows} - {0}), len(names), "each of them whole")
    equal(len(w.b.rest("GET", "seed-peer-clusters?per_page=1000", {})), len(names) + 1, "no halves")
    w.a.process.restart()
    w.a.ready()


def a_preheat_goes_on_at_the_other(w):
    origin, control = w.lab.host("origin", 20), w.lab.host("control")
    web = origin.dir / "web"
    web.mkdir()
    random_file(web / "file.bin", FILE_LEN)
    nginx = Nginx(origin, web)
    scheduler = Scheduler(control, w.b)
    seed = Daemon(w.lab.host("seed"), w.b, seed=True)
    seed.in_swarm()
    wait_for("the scheduler is active at both", lambda: all(
        [s["state"] for s in m.rest("GET", "schedulers", {})] == ["active"] for m in w.managers),
        timeout_s=60)
    job = w.a.rest("POST", "jobs", {"type": "preheat", "args": {
        "type": "file", "url": f"http://{origin.ip}/file.bin", "scope": "all_seed_peers"}})
    wait_for("the seed has begun", lambda: origin.tx_bytes() > FILE_LEN // 10, timeout_s=60)
    equal(w.b.rest("GET", f"jobs/{job['id']}", {})["state"], "STARTED", "in the middle")
    w.a.process.kill()
    row = wait_for("the other ends it", lambda: (r := w.b.rest("GET", f"jobs/{job['id']}", {}))
                   and r["state"] in ("SUCCESS", "FAILURE") and r, timeout_s=120, every_s=0.3)
    equal(row["state"], "SUCCESS", json.dumps(row["result"])[:1500])
    done = [t["hostname"] for s in row["result"]["job_states"] for r in s["results"]
            for t in r["success_tasks"]]
    equal(done, ["seed"], "done once")
    check("unfinished job is taken up" in w.b.process.log.read_text(), "by the other")
    given = nginx.bytes_given()  # with the heads of a few answers
    check(given <= FILE_LEN + 65536, f"each byte came once: {given} of {FILE_LEN}")
    equal(len(w.b.rest("GET", "jobs?per_page=100", {})), 1, "one job")
    scheduler.process.stop()


def without_redis_each_counts_for_itself(w):
    next(p for p in w.lab.processes if p.name == "redis").kill()
    wrong = {"name": "somebody", "password": "wrong-password"}
    got = [ask(w.b, "POST", "users/signin", wrong)[0] for _ in range(6)]
    equal(got, [401] * 5 + [429], "tries")
    check("this manager counts for itself" in w.b.process.log.read_text(), "said in the log")


def what_one_has_no_time_for_the_other_does(w):
    """Also without Redis. A job for a cluster without a scheduler waits for one for a while."""
    w.a.process.restart()
    w.a.ready()
    empty = w.a.rest("POST", "clusters", {"name": "empty", "scheduler_cluster_config": {
        "job_rate_limit": 1000}})["id"]
    before = w.b.process.log_text().count("job begins")
    posted = []

    def begun_at_b():
        status, row = ask(w.a, "POST", "jobs", {"type": "preheat", "scheduler_cluster_ids": [empty],
                                                "args": {"type": "file", "url": "http://10.0.0.1/f"}})
        posted.append((status, row))
        return w.b.process.log_text().count("job begins") > before
    wait_for("a job that A has no thread for begins at B", begun_at_b, timeout_s=120, every_s=0.01)
    equal({status for status, _ in posted}, {200}, "all are taken")


story.run(globals())
