"""A pull is one trace: from the proxy's request or the mount's read through the scheduler, the seed
and the pieces to the reply. What the collector is sent is read by OpenTelemetry's own decoder."""
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
import story
from collector import Collector
from foreign import install
from lab import Lab, wait_for
from skimmer import Daemon, Manager, Registry, Scheduler, make_image
from story import check, equal

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def pull(daemon, registry, digest, *headers):
    url = f"http://127.0.0.1:4001/v2/two/nodes/blobs/{digest}?ns={registry.addr}"
    p = subprocess.run(daemon.host.enter(
        "curl", "-sS", "--fail", "--max-time", "120", "-o", "/dev/null", "-H",
        f"X-Dragonfly-Registry: http://{registry.addr}",
        *(a for h in headers for a in ("-H", h)), url), capture_output=True)
    equal(p.returncode, 0, f"curl on {daemon.host.name}: {p.stderr.decode()}")
    return f"/v2/two/nodes/blobs/{digest}?ns={registry.addr}"


class Trace:
    """The spans of one trace, and who is below whom."""

    def __init__(self, spans, trace):
        self.spans = [s for s in spans if s["trace"] == trace]
        self.by_id = {s["id"]: s for s in self.spans}

    def named(self, name, service=None):
        return [s for s in self.spans if s["name"] == name
                and (not service or s["resource"]["service.name"] == service)]

    def one(self, name, service=None):
        found = self.named(name, service)
        equal(len(found), 1, f"spans {name} of {service}")
        return found[0]

    def is_below(self, span, above):
        while span:
            if span["id"] == above["id"]:
                return True
            span = self.by_id.get(span["parent"])
        return False

    def roots(self):
        return [s for s in self.spans if s["parent"] not in self.by_id]


def trace_of(collector, url, complete):
    """The trace whose proxy span has that http.url, once complete(trace) is true and nobody's parent is missing."""
    def look():
        spans = collector.spans()
        found = [s for s in spans if s["name"] == "proxy" and s["attributes"]["http.url"] == url]
        if not found:
            return None
        trace = Trace(spans, found[0]["trace"])
        return trace if complete(trace) and len(trace.roots()) == 1 else None
    return wait_for(f"the trace of {url}", look, 60, 0.5)


def check_times(trace):
    for s in trace.spans:
        check(int(s["start"]) <= int(s["end"]), f"{s['name']} ends before it begins")
        check(int(s["start"]) > 1.6e18, f"{s['name']} begins at {s['start']} ns")


def check_first(trace, node, seed, size, url):
    """Nobody had it: the scheduler asks the seed, which reads the registry; the node reads the seed."""
    service, seeds = f"dfdaemon-{node.host.ip}", f"dfdaemon-{seed.host.ip}"
    proxy = trace.one("proxy")
    equal(trace.roots(), [proxy], "roots")
    equal(proxy["kind"], 2, "kind of the proxy's span (server)")
    equal(proxy["resource"]["host.name"], node.host.name, "host.name")
    equal(proxy["resource"]["service.namespace"], "dragonfly", "service.namespace")
    equal(proxy["attributes"]["http.method"], "GET", "http.method")
    equal(proxy["attributes"]["http.status_code"], 200, "http.status_code")
    reply = trace.one("reply")
    equal(reply["parent"], proxy["id"], "reply's parent")
    equal(reply["attributes"]["d7y.bytes"], size, "bytes of the reply")
    check(trace.is_below(trace.one("resolve_task", service), proxy), "resolve_task is below proxy")
    task = trace.one("download_task", service)
    equal(task["parent"], proxy["id"], "download_task's parent")
    equal(trace.one("schedule", service)["parent"], task["id"], "schedule's parent")
    # Over to the scheduler, and from there to the seed.
    answers = trace.named("schedule", "dragonfly-scheduler")
    check(answers, "the scheduler's span schedule")
    for a in answers:
        check(trace.is_below(a, task) or trace.is_below(a, proxy), "the scheduler's is below")
    triggered = [s for s in trace.named("dfdaemon.v2.DfdaemonUpload/DownloadTask", seeds)
                 if s["kind"] == 2]
    equal(len(triggered), 1, "DownloadTask at the seed")
    check(trace.is_below(triggered[0], task), "what the seed was asked is below download_task")
    origin = trace.named("download_from_source", seeds)
    equal(sum(s["attributes"]["d7y.piece.size"] for s in origin), size, "bytes from the origin")
    for s in origin:
        check(trace.is_below(s, triggered[0]), "what the seed fetched is below what it was asked")
    pieces = trace.named("download_from_parent", service)
    equal(sum(s["attributes"]["d7y.piece.size"] for s in pieces), size, "bytes from the seed")
    equal(len({s["attributes"]["d7y.piece"] for s in pieces}), len(pieces), "pieces, each once")
    for s in pieces:
        equal(s["parent"], task["id"], "a piece's parent")
        for key in ("wait", "transfer", "verify"):
            check(0 <= s["attributes"][f"d7y.piece.{key}_us"] < 60e6, f"{key} of a piece")
        equal(s["attributes"]["net.peer.name"], seed.host.ip, "where a piece came from")
    check(trace.named("dfdaemon.v2.DfdaemonUpload/SyncPieces", seeds), "SyncPieces at the seed")


def named_by(daemon, trace, sentence):
    """A line of the daemon's log leads to the trace."""
    lines = [json.loads(l) for l in daemon.process.log_text().splitlines() if l.startswith("{")]
    return any(l["msg"] == sentence and l.get("trace_id") == trace for l in lines)


def is_done(trace):
    return (trace.named("proxy") and trace.named("reply") and trace.named("download_task")
            and any(s["kind"] == 2 for s in
                    trace.named("scheduler.v2.Scheduler/AnnouncePeer")))


def test_packages_are_there():
    install()


def test_a_pull_is_one_trace():
    layout, tag, layers = make_image()
    sizes = {d: (layout / "blobs" / d.replace(":", "/")).stat().st_size for d in layers}
    first, second = sorted(layers, key=sizes.get)[-2:]
    with Lab() as lab:
        control, origin = lab.host("control"), lab.host("origin")
        registry = Registry(origin)
        registry.push(layout, tag, "two/nodes:1")
        collector = Collector(control)
        manager = Manager(control, config=collector.config())
        Scheduler(control, manager, config=collector.config())
        seed, node, other = daemons = [
            Daemon(lab.host(name), manager, seed=name == "seed", config=collector.config())
            for name in ("seed", "node", "other")]
        for d in daemons:
            d.in_swarm()
        # Through the proxy, its own trace.
        url = pull(node, registry, first)
        trace = trace_of(collector, url, lambda t: is_done(t) and t.named(
            "dfdaemon.v2.DfdaemonUpload/DownloadTask", f"dfdaemon-{seed.host.ip}"))
        check_first(trace, node, seed, sizes[first], url)
        check_times(trace)
        of = trace.one("proxy")["trace"]
        wait_for("the trace in the logs", lambda: named_by(node, of, "p2p request")
                 and named_by(node, of, "task done") and named_by(seed, of, "task done"))
        # Within the caller's trace.
        url = pull(other, registry, second, f"traceparent: {TRACEPARENT}")
        trace = trace_of(collector, url, is_done)
        proxy = trace.one("proxy")
        equal((proxy["trace"], proxy["parent"]), tuple(TRACEPARENT.split("-")[1:3]), "trace")
        # Through the mount: the first read is the root, later ones are below its download.
        subprocess.run(other.host.enter("cat", str(other.blob(first))), check=True,
                       stdout=subprocess.DEVNULL)

        def read_through_mount():
            spans = collector.spans()
            for root in (s for s in spans if s["name"] == "mount_read" and not s["parent"]):
                trace = Trace(spans, root["trace"])
                if (len(trace.roots()) == 1 and trace.named("download_task")
                        and trace.named("download_from_parent")):
                    return trace
            return None
        trace = wait_for("the trace of a mount read", read_through_mount, 60, 0.5)
        task = trace.one("download_task")
        check(all(s["parent"] == task["id"] for s in trace.named("mount_read") if s["parent"]),
              "reads that wait are below the download")
        # The manager's calls are seen as well; nothing was lost.
        managers = [s for s in collector.spans()
                    if s["resource"]["service.name"] == "dragonfly-manager"]
        check(any(s["name"].startswith("manager.v2.Manager/") for s in managers), "the manager's")
        for d in daemons:
            for what in ("failed", "dropped"):
                equal(d.metrics()[f'skimmer_trace_spans_total{{result="{what}"}}'], 0, what)


def refused(node):
    wait_for("spans given up", lambda: node.metrics()['skimmer_trace_spans_total{result="failed"}'] > 0, 60)
    equal(node.metrics()['skimmer_trace_spans_total{result="sent"}'], 0, "sent")


def test_a_collector_behind_tls_is_sent_a_token():
    token = "planted-collector-token"
    with Lab() as lab:
        collector = Collector(lab.host("collector"), token=token)
        good = {"protocol": "https", "endpoint": collector.addr, "caCert": str(collector.folder / "ca.crt"),
                "headers": {"Authorization": f"Bearer {token}"}}
        for name, change, why in (("stranger", {"caCert": str(collector.folder / "another.crt")}, "certificate"),
                                  ("unknown", {"headers": {"Authorization": "Bearer wrong"}}, "401"),
                                  ("friend", {}, "")):
            node = Daemon(lab.host(name), config={"tracing": {**good, **change}})
            # What no origin has is a trace, too.
            node.host.run("curl", "-s", "-o", "/dev/null", "-H", f"X-Dragonfly-Registry: http://{collector.host.ip}:9",
                          f"http://127.0.0.1:4001/v2/x/blobs/sha256:{'0' * 64}")
            if why:
                refused(node)
                told = [l for l in node.process.log_text().splitlines() if "spans cannot be sent" in l]
                check(told and why in told[0], f"{name} is told of the {why}: {told}")
                check(not list(collector.folder.glob("*.pb")), f"{name}'s spans are not kept")
            else:
                wait_for("spans by TLS", lambda: [s for s in collector.spans() if s["name"] == "proxy"], 60, 0.5)
            check(token not in node.process.log_text(), "the token is in no log")


def test_a_dead_collector_costs_nothing_but_its_spans():
    layout, tag, layers = make_image()
    with Lab() as lab:
        origin = lab.host("origin")
        registry = Registry(origin)
        registry.push(layout, tag, "two/nodes:1")
        dead = {"tracing": {"protocol": "http", "endpoint": f"{origin.ip}:9", "samplePercent": 100}}
        node = Daemon(lab.host("node"), config=dead)
        pull(node, registry, layers[0])
        wait_for("spans given up", lambda: node.metrics()[
            'skimmer_trace_spans_total{result="failed"}'] > 0, 30)
        check("spans cannot be sent" in node.process.log_text(), "the log tells of it")
        equal(node.process.log_text().count("spans cannot be sent"), 1, "told once")


story.run(globals())
