"""A cluster whose members show certificates of one CA: files and jobs go as ever, and who has none, or one of
another CA, is no member: it announces nothing, is told to nobody, gets no answer, and what it offers is not taken."""
import hashlib
import json
import os
import resource
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
import story
from bad_parent import BadParent
from certificates import Authority
from lab import BIN, Lab, wait_for
from skimmer import Daemon, Manager, Nginx, Scheduler, random_file, varint
from story import check, equal

SIZE = 24 << 20
NAME = "members.example"  # that the daemons' one certificate is made out for, as a DaemonSet's would be

# As a shell and newer container runtimes start a program.
resource.setrlimit(resource.RLIMIT_NOFILE, (1024, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
lab = Lab()
origin, control = lab.host("origin"), lab.host("control")
web = origin.dir / "web"
web.mkdir()
digest = random_file(web / "blob", SIZE)
nginx = Nginx(origin, web)
ours, theirs = Authority(lab.dir, "ours"), Authority(lab.dir, "theirs")
# Dragonfly's way where there is one host for each: by address.
servers = ours.sign("servers", f"IP:{control.ip}")
member = {**ours.sign("member", f"DNS:{NAME}"), "serverName": NAME}
port = {k: v for k, v in member.items() if k != "serverName"}
to_servers = {k: v for k, v in member.items() if k != "serverName"}
DAEMON = {"scheduler": to_servers, "manager": to_servers, "upload": {"server": port, "client": member}}

manager = Manager(control, {"server": {"grpc": {"tls": servers}}, "scheduler": {"tls": servers},
                            "peer": {"tls": member}})
scheduler = Scheduler(control, manager, config={"server": {"tls": servers}, "manager": {"tls": servers},
                                                "seedPeer": {"tls": member}, "peer": {"tls": member}})
seed = Daemon(lab.host("seed"), manager, seed=True, config=DAEMON)
node = Daemon(lab.host("node"), manager, config=DAEMON)
seed.in_swarm()
node.in_swarm()


def field(number, data):
    if isinstance(data, int):
        return varint(number << 3) + varint(data)
    return varint(number << 3 | 2) + varint(len(data)) + data


def call(host, url, request, *options):
    """(curl's exit code, what came) of a unary call."""
    p = subprocess.run(host.enter("curl", "-sS", "-i", "--max-time", "60", *options, "-H",
                                  "content-type: application/grpc", "-H", "te: trailers", "--data-binary", "@-", url),
                       input=b"\0" + len(request).to_bytes(4, "big") + request, capture_output=True)
    return p.returncode, p.stdout


def download(daemon, url, name, from_origin=True):
    """Whether the daemon had it: DownloadTask at its socket, {download=1: {url=1, disable_back_to_source=13,
    content_for_calculating_task_id=23}}."""
    request = field(1, url.encode()) + field(13, int(not from_origin)) + field(23, name.encode())
    code, answer = call(daemon.host, "http://localhost/dfdaemon.v2.DfdaemonDownload/DownloadTask", field(1, request),
                        "--http2-prior-knowledge", "--unix-socket", daemon.socket)
    equal(code, 0, "curl at the socket")
    return b"grpc-status: 0" in answer


def doctor(daemon):
    p = subprocess.run(daemon.host.enter(BIN / "dfctl", "doctor", "--json", "-c", daemon.file), capture_output=True,
                       text=True)
    return {f["check"]: f for f in json.loads(p.stdout)["findings"] if "code" in f}


def tls(files):
    return ("--cacert", files["caCert"], "--cert", files["cert"], "--key", files["key"])


def test_servers_take_all_descriptors_they_may():
    """A port with TLS is gRPC's own to accept on, and deaf for ever after the first accept that finds none."""
    for server in (manager, scheduler, seed, node):
        limits = server.host.run("cat", f"/proc/{server.process.pid}/limits")
        soft, hard = next(l for l in limits.splitlines() if l.startswith("Max open files")).split()[3:5]
        equal(soft, hard, f"limit of {server.process.name}")


def test_members_feed_each_other():
    with open(node.mount / "http" / nginx.addr.removesuffix(":80") / "blob", "rb") as f:
        equal(hashlib.sha256(f.read()).hexdigest(), digest, "what the node reads")
    equal(node.traffic("BACK_TO_SOURCE"), 0, "bytes that the node had from the origin")
    check(node.traffic("REMOTE_PEER") >= SIZE, "it had them from the seed")
    found = doctor(node)
    check("scheduler" not in found and "manager" not in found, f"doctor asks by TLS: {found}")


def test_the_manager_reaches_schedulers_and_peers():
    def done(job):
        row = manager.rest("GET", f"jobs/{job['id']}", {})
        return row if row["state"] in ("SUCCESS", "FAILURE") else None
    random_file(web / "preheated", 5 << 20)
    args = {"type": "file", "url": f"http://{nginx.addr}/preheated", "scope": "all_peers"}
    for kind, args in (("preheat", args), ("get_task", {"url": args["url"]})):
        job = manager.rest("POST", "jobs", {"type": kind, "args": args})
        row = wait_for(f"job {kind}", lambda: done(job), every_s=0.2)
        equal(row["state"], "SUCCESS", json.dumps(row["result"]))
    hosts = row["result"]["job_states"][0]["results"][0]["success_tasks"]
    equal(sorted(h["hostname"] for h in hosts), ["node", "seed"], "who has it")


def test_a_stranger_gets_no_answer():
    """SyncPieces of a peer, ListHosts and AnnounceHost of the scheduler, ListSchedulers of the manager."""
    stranger = lab.host("stranger")
    foreign = theirs.sign("stranger", f"DNS:{NAME}")
    asked = ((node.host.ip, 4000, NAME, "dfdaemon.v2.DfdaemonUpload/SyncPieces"),
             (control.ip, 8002, control.ip, "scheduler.v2.Scheduler/ListHosts"),
             (control.ip, 8002, control.ip, "scheduler.v2.Scheduler/AnnounceHost"),
             (control.ip, 65003, control.ip, "manager.v2.Manager/ListSchedulers"))
    for ip, number, name, method in asked:
        url, there = f"https://{name}:{number}/{method}", ("--connect-to", f"::{ip}:{number}")
        code, answer = call(stranger, url, b"", *there, *tls(member))
        check(code == 0 and b"grpc-status" in answer, f"a member is answered by {method}: {code} {answer}")
        for what, options in (("no certificate", ("--cacert", member["caCert"])),
                              ("one of another CA", ("-k", *tls(foreign)[2:]))):
            code, answer = call(stranger, url, b"", *there, *options)
            check(code != 0 and b"grpc" not in answer, f"with {what} {method} says {code} {answer}")
        code, answer = call(stranger, url.replace("https", "http"), b"", *there, "--http2-prior-knowledge")
        check(code != 0 and b"grpc" not in answer, f"without TLS {method} says {code} {answer}")


def test_a_stranger_is_no_parent():
    foreign = theirs.sign("foreign", f"DNS:{NAME}")
    shown = {**foreign, "caCert": member["caCert"]}
    configs = {"plain": {},
               "bare": {"scheduler": {"caCert": member["caCert"]}},
               "foreign": {"scheduler": shown, "upload": {"server": foreign, "client": foreign}},
               "misled": {"scheduler": foreign}}
    strangers = {name: Daemon(lab.host(name), schedulers=[scheduler], config=c) for name, c in configs.items()}
    told = {"plain": "that port may want TLS", "bare": "it may want a certificate of ours",
            "foreign": "it does not take our certificate", "misled": "not of the CA that we were told"}
    index = "skimmer/layer-index/2/sha256:" + "1" * 64
    for name, d in strangers.items():
        wait_for(f"log of {name}", lambda: told[name] in d.process.log_text())
        equal(d.metric("skimmer_schedulers_alive"), 0, f"schedulers that {name} has")
        found = doctor(d)["scheduler"]
        print(f"     {name}: {found['code']} {found['what']}; {found['fix']}", flush=True)
        equal(found["code"], "SK230" if name == "misled" else "SK235", f"what doctor says on {name}")
        check("scheduler.caCert" in found["fix"], "and which key mends it")
        check(download(d, f"http://{nginx.addr}/blob", index), f"{name} has what it calls an index")
    check(not download(node, f"http://{nginx.addr}/blob", index, from_origin=False), "nobody gives it to a member")
    _, hosts = call(node.host, f"https://{control.ip}:8002/scheduler.v2.Scheduler/ListHosts", b"", *tls(member))
    check(b"seed" in hosts and b"node" in hosts, "the scheduler knows the members")
    check(not any(name.encode() in hosts for name in strangers), "and no stranger")
    # That of a member is taken: it is the stranger, not the name, that was refused.
    check(download(seed, f"http://{nginx.addr}/blob", index), "the seed has it")
    wait_for("the member's", lambda: download(node, f"http://{nginx.addr}/blob", index, from_origin=False))


def test_a_member_that_forgets_its_links_to_peers():
    """It reads the origin, and hears why."""
    half = Daemon(lab.host("half"), manager, config={"scheduler": to_servers, "manager": to_servers,
                                                     "upload": {"server": port}})
    half.in_swarm()
    check(download(half, f"http://{nginx.addr}/blob", "a/name/of/ours"), "it has the file")
    check(download(node, f"http://{nginx.addr}/blob", "another/name"), "as the node has another")
    check(download(half, f"http://{nginx.addr}/blob", "another/name"), "which it has, too")
    equal(half.traffic("REMOTE_PEER"), 0, "bytes that it had from peers")
    check('"parent dropped"' in half.process.log_text() and "may want TLS" in half.process.log_text(), "its log says why")
    found = doctor(half)
    equal((found["peers"]["code"], found["peers"]["level"]), ("SK235", "warning"), "what doctor says")


def test_bytes_that_are_changed_under_way():
    """Pieces have no TLS. What daemons make themselves has no digest either: a member's word is asked for."""
    url = f"http://{nginx.addr}/made"
    random_file(web / "made", 3 << 20)
    index, record = ("skimmer/" + name + "/2/sha256:" + "2" * 64 for name in ("layer-index", "start-record"))
    for name in ("no/name/of/ours", index, record):
        check(download(seed, url, name), f"the seed has {name}")
    with BadParent(seed, "forge") as bad:
        check(download(node, url, "no/name/of/ours", from_origin=False), "what has no digest is taken as it comes")
        equal(bad.count(), 1, "forged pieces")
        for count, name in enumerate((index, record), 2):
            check(not download(node, url, name, from_origin=False), f"the node believes no forged {name}")
            equal(bad.count(), count, "forged pieces")
    dropped = [l for l in node.process.log_text().splitlines() if "all of it is dropped" in l]
    check(len(dropped) == 2 and all("has other bytes" in l for l in dropped), "and its log says why")
    node.restart()
    node.in_swarm()
    for name in (index, record):
        check(download(node, url, name, from_origin=False), f"it takes {name} as it is")
    equal(seed.metric("skimmer_tell_digest_total"), 5, "questions that the seed was asked")


def test_wrong_files_are_told_at_the_start():
    for config, words in (({"upload": {"server": {"caCert": member["caCert"]}}}, "upload.server: TLS needs both cert"),
                          ({"scheduler": {"cert": member["cert"], "key": member["key"]}}, "scheduler.caCert is missing"),
                          ({"upload": {"client": {"caCert": "/no/such.crt"}}}, "upload.client.caCert: open /no/such.crt"),
                          ({"manager": {**to_servers, "key": servers["key"]}}, "manager.key: ")):
        file = node.host.dir / "wrong.yaml"
        file.write_text(json.dumps(config))
        p = subprocess.run([BIN / "dfdaemon", "--config", file, "--check-config"], capture_output=True, text=True)
        check(p.returncode != 0 and words in p.stderr, f"{words}: {p.returncode} {p.stderr}")


with lab:
    story.run(globals())
