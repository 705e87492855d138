"""What the programs show is good by promtool, a real Prometheus scrapes it, and every query of the
dashboards and alert rules is answered by it."""
import json
import os
import re
import shutil
import subprocess
import sys
import urllib.parse

import yaml

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
import story
from lab import ROOT, Lab, LabError, sh, wait_for, write_config
from skimmer import Daemon, Manager, Registry, Scheduler, make_image
from story import check, equal

MONITORING = ROOT / "contrib/helm/skimmer/files/monitoring"
RUNBOOKS = ROOT / "docs/how-to/alerts.md"


def alerts():
    groups = yaml.safe_load((MONITORING / "alerts.yaml").read_text())["groups"]
    return [r for g in groups for r in g["rules"]]


def panels():
    """(dashboard, panel, query) of all."""
    for name in ("fleet", "node"):
        for panel in json.loads((MONITORING / f"{name}.json").read_text())["panels"]:
            for target in panel["targets"]:
                yield name, panel, target["expr"]


def names_in(query):
    """Names of metrics; a word with an underscore that is none of a label."""
    bare = re.sub(r'\{[^}]*\}|"[^"]*"|\b(by|without) \([^)]*\)', "", query)
    return set(re.findall(r"\b(?:dragonfly|skimmer|process)_\w+", bare))


# What Dragonfly's published dashboards (Grafana 15944, 15945, 21053, 21054) ask for by name.
PUBLISHED = [f"dragonfly_{name}" for name in """
client_download_task_total client_download_task_failure_total client_concurrent_download_task_total
client_download_task_duration_milliseconds_bucket client_prefetch_task_total client_download_traffic
client_upload_traffic client_concurrent_upload_piece_total client_proxy_request_total
client_proxy_request_failure_total client_proxy_request_via_dfdaemon_total client_backend_request_total
client_backend_request_failure_total client_backend_request_duration_milliseconds_bucket
client_disk_space_total client_disk_usage_space_total client_version client_stat_task_total
client_delete_task_failure_total client_list_local_tasks_total client_delete_host_total
scheduler_register_peer_total scheduler_register_peer_failure_total scheduler_download_peer_started_total
scheduler_download_peer_finished_total scheduler_download_peer_finished_failure_total
scheduler_download_peer_back_to_source_started_total scheduler_download_piece_finished_total
scheduler_stat_task_total scheduler_stat_task_failure_total scheduler_stat_peer_total
scheduler_stat_peer_failure_total scheduler_leave_peer_total scheduler_leave_peer_failure_total
scheduler_leave_host_total scheduler_leave_host_failure_total scheduler_announce_peer_total
scheduler_announce_peer_failure_total scheduler_announce_host_total scheduler_announce_host_failure_total
scheduler_traffic scheduler_host_traffic scheduler_concurrent_schedule_total
scheduler_download_peer_duration_milliseconds_count scheduler_schedule_duration_milliseconds_count
scheduler_version manager_search_scheduler_cluster_total manager_requests_total
manager_request_duration_seconds_sum manager_request_duration_seconds_count manager_version
""".split()]


class Prometheus:
    def __init__(self, host, targets):
        self.host, self.dir = host, host.dir / "prometheus"
        self.dir.mkdir()
        shutil.copy(MONITORING / "alerts.yaml", self.dir)
        config = {"global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
                  "rule_files": ["alerts.yaml"],
                  "scrape_configs": [{"job_name": job, "static_configs": [{"targets": list(t)}]}
                                     for job, t in targets.items()]}
        file = write_config(self.dir / "prometheus.yml", config)
        sh("promtool", "check", "config", str(file))
        self.process = host.start(["prometheus", f"--config.file={file}", "--web.listen-address=:9090",
                                   f"--storage.tsdb.path={self.dir}/data"], name="prometheus")
        wait_for("prometheus", lambda: self.process.alive() and self.ready(), 60)

    def ready(self):
        try:
            return self.get("targets")["activeTargets"]
        except (LabError, ValueError, KeyError):
            return None

    def get(self, what, **query):
        url = f"http://127.0.0.1:9090/api/v1/{what}?{urllib.parse.urlencode(query)}"
        answer = json.loads(self.host.run("curl", "-sS", "--max-time", "20", url))
        if answer["status"] != "success":
            raise LabError(f"{what} {query}: {answer}")
        return answer["data"]

    def query(self, text):
        return self.get("query", query=text)["result"]


def pull(daemon, registry, layer):
    url = f"http://127.0.0.1:4001/v2/two/nodes/blobs/{layer}?ns={registry.addr}"
    daemon.host.run("curl", "-sS", "--fail", "-o", "/dev/null", "-H",
                    f"X-Dragonfly-Registry: http://{registry.addr}", url)


def lint(host, port):
    """promtool's complaints about one program's figures: [(name, complaint)]."""
    text = host.run("curl", "-sS", f"http://127.0.0.1:{port}/metrics")
    p = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True)
    found = [line.split(" ", 1) for line in p.stderr.splitlines() if line.strip()]
    check(p.returncode in (0, 3), f"promtool cannot read it: {p.stderr}")
    check(len(text) > 1000, "figures are shown")
    return found


def test_the_rules_fire_when_they_should():
    sh("promtool", "check", "rules", str(MONITORING / "alerts.yaml"))
    with Lab() as lab:
        folder = lab.host("rules").dir
        shutil.copy(MONITORING / "alerts.yaml", folder)
        shutil.copy(ROOT / "test/lab/alerts_test.yaml", folder)
        print(sh("promtool", "test", "rules", str(folder / "alerts_test.yaml")).strip())
    headings = RUNBOOKS.read_text()
    for rule in alerts():
        check(f"\n## {rule['alert']}\n" in headings, f"a runbook for {rule['alert']}")


def test_every_query_is_answered():
    layout, tag, layers = make_image()
    with Lab() as lab:
        control, origin = lab.host("control"), lab.host("origin")
        registry = Registry(origin)
        registry.push(layout, tag, "two/nodes:1")
        manager = Manager(control, config={"metrics": {"enable": True}})
        Scheduler(control, manager, config={"metrics": {"enable": True, "addr": ":8001",
                                                        "enableHost": True}})
        seed, node = daemons = [Daemon(lab.host(name), manager, seed=name == "seed")
                                for name in ("seed", "node")]
        for d in daemons:
            d.in_swarm()
        prometheus = Prometheus(control, {
            "manager": ["127.0.0.1:8000"], "scheduler": ["127.0.0.1:8001"],
            "dfdaemon": [f"{d.host.ip}:4002" for d in daemons]})
        wait_for("all targets", lambda: len(prometheus.query("up == 1")) == 4, 30)
        # Counters are seen to grow between two scrapes.
        manager.rest("GET", "scheduler-clusters", {})
        pull(seed, registry, layers[0])
        # Nothing of it is here: the reads come to us, not to the kernel alone.
        subprocess.run(node.host.enter("cat", str(node.blob(layers[0]))), check=True,
                       stdout=subprocess.DEVNULL)
        # A series begins with its first event, and grows with those after the next scrape.
        wait_for("the first schedule is seen", lambda: prometheus.query(
            "dragonfly_scheduler_schedule_duration_milliseconds_count > 0"), 30)
        for layer in layers[1:]:
            pull(node, registry, layer)
        wait_for("bytes from peers", lambda: prometheus.query(
            'dragonfly_client_download_traffic{type="REMOTE_PEER"} > 0'), 30)
        wait_for("a rate", lambda: prometheus.query(
            'rate(dragonfly_client_download_traffic{type="REMOTE_PEER"}[5m]) > 0'), 30)
        for program, host, port in (("manager", control, 8000), ("scheduler", control, 8001),
                                    ("dfdaemon", node.host, 4002)):
            # Dragonfly's names are what dashboards know, whatever a linter says of them.
            ours = [f for f in lint(host, port) if not f[0].startswith("dragonfly_")]
            equal(ours, [], f"promtool's findings in {program}'s own figures")
        for name in PUBLISHED:
            wait_for(f"a series of {name}", lambda n=name: prometheus.query(
                f'count({{__name__="{n}"}})'), 30)
        # Who asks has its answer a moment before its download is put away.
        wait_for("no download is under way", lambda: prometheus.query(
            "sum(dragonfly_client_concurrent_download_task_total) == 0"), 30)
        count = 0
        for dashboard, panel, expr in panels():
            query = expr.replace("$instance", f"{node.host.ip}:4002")
            # The 5 minutes are not over yet, and a panel may be for what did not happen here.
            wait_for(f"{dashboard}, {panel['title']}: {query}",
                     lambda q=query: prometheus.query(q), 20, 0.5)
            count += 1
        for rule in alerts():
            prometheus.query(rule["expr"])
            for name in names_in(rule["expr"]):
                check(prometheus.query(f'count({{__name__="{name}"}})'), f"{rule['alert']}: {name}")
            count += 1
        equal(prometheus.get("rules")["groups"][0]["rules"][0].get("lastError", ""), "", "rules")
        firing = [a["labels"]["alertname"] for a in prometheus.get("alerts")["alerts"]
                  if a["state"] == "firing"]
        equal(firing, [], "alerts of a healthy cluster")
        print(f"{count} queries answered")


story.run(globals())
