"""The manager's REST API, asked by a client of other people's parts: every table, every route without
and with tokens that are not good enough, and what an attacker would try.

    test/integration/rest --database sqlite|postgres|mariadb   runs all of it and counts
"""
import base64
import collections
import hashlib
import hmac
import http.client
import http.server
import json
import os
import pathlib
import shutil
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lab"))
import databases
import story
from lab import BIN
from story import check, equal

KEY = "a key for the tests, long enough"
PASSWORD = "planted-password-1"
NEVER = [PASSWORD, "planted-password-2", "planted-client-secret", "planted-registry-password",
         "planted-header-secret", databases.PASSWORD, KEY]
DATABASE = databases.Sqlite()
FAR = "2099-01-01T00:00:00Z"


class Provider(http.server.BaseHTTPRequestHandler):
    """A local OAuth server: one code at a time, for one person."""
    person, code, form, challenge = {}, "the-code", {}, ""

    def do_POST(self):
        data = self.rfile.read(int(self.headers["Content-Length"])).decode()
        Provider.form = form = dict(urllib.parse.parse_qsl(data))
        proof = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        good = (form.get("code") == Provider.code and form.get("client_secret") == NEVER[2]
                and b64(proof) == Provider.challenge)
        self.answer({"access_token": "gho_token"} if good else {"error": "bad_verification_code"})

    def do_GET(self):
        good = self.headers["Authorization"] == "Bearer gho_token"
        self.answer(Provider.person if good else {}, 200 if good else 401)

    def answer(self, body, status=200):
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


PROVIDER = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Provider)
PROVIDER.url = f"http://127.0.0.1:{PROVIDER.server_port}"
threading.Thread(target=PROVIDER.serve_forever, daemon=True).start()


class Manager:
    """One real manager on ports of its own; started again it keeps them and its database."""

    def __init__(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="skimmer-rest-"))
        self.port, self.grpc = databases.free_port(), databases.free_port()
        (self.dir / "console" / "assets").mkdir(parents=True)
        (self.dir / "console" / "index.html").write_text("<!doctype html><p>the console")
        (self.dir / "console" / "assets" / "app.js").write_text("'use strict';")
        (self.dir / "outside.txt").write_text("outside")
        (self.dir / "console" / "link.txt").symlink_to(self.dir / "outside.txt")
        (self.dir / "console" / ".hidden").write_text("hidden")
        self.config = self.dir / "manager.yaml"
        self.config.write_text(json.dumps({
            "server": {"grpc": {"listenIP": "127.0.0.1", "port": {"start": self.grpc}},
                       "rest": {"addr": f"127.0.0.1:{self.port}"},
                       "consoleDir": str(self.dir / "console")},
            "auth": {"keyFile": str(self.dir / "key"), "jwt": {"key": KEY}, "oauth": {
                name: {"authURL": f"{PROVIDER.url}/authorize", "tokenURL": f"{PROVIDER.url}/token",
                       "userURL": f"{PROVIDER.url}/user"} for name in ("github", "google")}},
            "database": DATABASE.config()}))
        self.start()

    def start(self):
        env = dict(os.environ, DRAGONFLY_INITIAL_ROOT_PASSWORD=PASSWORD)
        self.log = open(self.dir / "log", "ab")
        self.process = subprocess.Popen([BIN / "manager", "--config", self.config,
                                         "--log-level", "debug"], stderr=self.log, env=env)
        end = time.monotonic() + 30
        while True:
            try:
                self.ask("GET", "/healthy")
                return
            except OSError:
                check(time.monotonic() < end and self.process.poll() is None,
                      "the manager answers: " + (self.dir / "log").read_text()[-500:])
                time.sleep(0.05)

    def stop(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        code = self.process.wait(60)
        self.log.close()
        check(how != signal.SIGTERM or code == 0, f"it ended with {code}")

    def ask(self, method, path, body=None, token=None, headers=None):
        """(status, headers, text)"""
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        headers = dict(headers or {})
        if token:
            headers["Authorization"] = f"Bearer {token}"
        if body is not None and not isinstance(body, (str, bytes)):
            body = json.dumps(body)
        c.request(method, path, body, headers)
        r = c.getresponse()
        text = r.read().decode()
        SEEN.append(text)
        if r.status < 300 and method not in ("GET", "HEAD", "OPTIONS"):
            CHANGES[method, urllib.parse.urlsplit(path).path] += 1
        c.close()
        return r.status, r.headers, text

    def api(self, method, path, body=None, token="root", want=200, **kw):
        """The JSON of an answer that must have this status."""
        prefix = "" if path.startswith("/") else "/api/v1/"
        token = TOKENS.get(token, token)
        status, _, text = self.ask(method, prefix + path, body, token, **kw)
        equal(status, want, f"{method} {path} -> {text[:300]}")
        return json.loads(text) if text else None


SEEN = []  # every answer's text
CHANGES = collections.Counter()  # what was done, by (method, path)
TOKENS = {}
M = None


def sign_in(name, password):
    return M.api("POST", "users/signin", {"name": name, "password": password}, token=None)["token"]


def test_the_first_user_signs_in():
    global M
    M = Manager()
    status, headers, text = M.ask("POST", "/api/v1/users/signin",
                                  {"name": "root", "password": PASSWORD})
    equal(status, 200, text)
    answer = json.loads(text)
    equal(sorted(answer), ["expire", "must_change_password", "token"], "an answer's members")
    check(headers["Set-Cookie"].startswith(f"jwt={answer['token']}; Path=/;"), "the cookie")
    check("SameSite=Lax" in headers["Set-Cookie"], "the cookie stays on this site")
    TOKENS["root"] = answer["token"]
    equal(M.api("GET", "users/1/roles"), ["root"], "roles of root")
    for path in ("/healthy", "/_ping"):
        equal(M.api("GET", path, token=None), "OK", path)


def test_a_cookie_a_header_and_a_query_are_equal():
    token = TOKENS["root"]
    equal(M.ask("GET", "/api/v1/users", headers={"Cookie": f"a=b; jwt={token}; c=d"})[0], 200,
          "cookie")
    equal(M.ask("GET", f"/api/v1/users?token={token}")[0], 200, "query")
    equal(M.ask("GET", "/api/v1/users", headers={"Cookie": f"xjwt={token}"})[0], 401, "not ours")


def test_clusters_are_added_changed_and_removed():
    first = M.api("GET", "clusters")
    equal([c["name"] for c in first], ["cluster-1"], "a cluster is there by itself")
    made = M.api("POST", "clusters", {
        "name": "cluster-2", "bio": "B", "scopes": {"idc": "cluster-2", "cidrs": ["10.0.0.0/8"],
                                                    "hostnames": ["^node-[0-9]+$"]},
        "peer_cluster_config": {"load_limit": 77}, "unknown": 1})
    equal(made["scopes"], {"idc": "cluster-2", "location": "", "cidrs": ["10.0.0.0/8"],
                           "hostnames": ["^node-[0-9]+$"]}, "scopes")
    equal(made["peer_cluster_config"], {"load_limit": 77}, "what was said")
    equal(made["scheduler_cluster_config"]["job_rate_limit"], 10, "what was not")
    check(made["scheduler_cluster_id"] == made["id"] and made["seed_peer_cluster_id"], "ids")
    one = f"clusters/{made['id']}"
    changed = M.api("PATCH", one, {"bio": "new", "is_default": True})
    equal((changed["bio"], changed["name"]), ("new", "cluster-2"), "a change of one member")
    equal([c["is_default"] for c in M.api("GET", "clusters")], [False, True], "the default moved")
    M.api("PATCH", "clusters/1", {"is_default": True})
    equal(len(M.api("GET", "clusters?name=cluster-2")), 1, "found by name")
    M.api("POST", "clusters", {"name": "cluster-2"}, want=409)
    M.api("PATCH", one, {"name": "cluster-1"}, want=409)
    for kind, path, column in (("schedulers", "schedulers", "scheduler_cluster_id"),
                               ("seed peers", "seed-peers", "seed_peer_cluster_id")):
        member = M.api("POST", path, {"host_name": "h", "ip": "10.1.1.1", "port": 8002,
                                      "download_port": 8003, column: made[column]})
        check(kind in M.api("DELETE", one, want=409)["message"], f"a cluster with {kind} stays")
        M.api("DELETE", f"{path}/{member['id']}")
    M.api("DELETE", one)
    M.api("GET", one, want=404)
    M.api("DELETE", one, want=404)
    equal(len(M.api("GET", "seed-peer-clusters")), 1, "both halves are gone")


def test_what_is_no_good_is_said_by_its_name():
    for scopes, word in (({"cidrs": ["10.0.0.0/33"]}, "cidrs"), ({"cidrs": ["x"]}, "cidrs"),
                         ({"hostnames": ["a(b"]}, "hostnames"),
                         ({"hostnames": ["((a{1,999}){1,999}){1,999}"]}, "hostnames"),
                         ({"hostnames": [r"(a)\1"]}, "hostnames"), ({"idc": 1}, "idc")):
        got = M.api("POST", "clusters", {"name": "bad", "scopes": scopes}, want=422)
        check(word in got["errors"], f"{scopes}: {got}")
    for body, word in (({}, "name"), ([], "object"), ({"name": ""}, "name"),
                       ({"name": "a", "scheduler_cluster_config": {"candidate_parent_limit": 21}},
                        "candidate_parent_limit"),
                       ({"name": "a", "seed_peer_cluster_config": {"load_limit": 50001}},
                        "load_limit"),
                       ({"name": "a", "peer_cluster_config": {"block_list": {"task": {
                           "download": {"urls": ["["]}}}}}, "urls")):
        got = M.api("POST", "clusters", body, want=422)
        check(word in got["errors"], f"{body}: {got}")
    for text in ("", "{", "{\"name\":\"a\",\"name\":\"b\"}", "\x00", "{\"name\":\"a\\u0000b\"}"):
        M.api("POST", "clusters", text, want=422)
    equal(len(M.api("GET", "clusters")), 1, "nothing was made")


def crud(path, body, change, key="name", filter_by=None):
    made = M.api("POST", path, body)
    for name in ("id", "created_at", "updated_at", "is_del"):
        check(name in made, f"{path} has {name}")
    if change is not None:
        changed = M.api("PATCH", f"{path}/{made['id']}", change)
        for name, value in change.items():
            if name in changed:
                equal(changed[name], value, f"{path}.{name} after the change")
    got = M.api("GET", f"{path}/{made['id']}")
    check(any(row["id"] == made["id"] for row in M.api("GET", path)), f"{path} lists it")
    name = filter_by or key
    query = urllib.parse.urlencode({name: got[name]})
    equal([r["id"] for r in M.api("GET", f"{path}?{query}")], [made["id"]], f"{path}?{name}")
    M.api("POST", path, body, want=409)
    M.api("DELETE", f"{path}/{made['id']}")
    for method in ("GET", "DELETE"):
        M.api(method, f"{path}/{made['id']}", want=404)
    for wrong in ("0", "-1", "x", "1;drop", "9" * 30):
        M.api("GET", f"{path}/{wrong}", want=404)
    return made


def test_every_table_is_made_read_changed_and_removed():
    host = {"host_name": "h1", "ip": "10.1.1.1", "port": 4000, "idc": "i", "location": "a|b"}
    crud("scheduler-clusters", {"name": "s", "seed_peer_cluster_id": 1}, {"bio": "b"})
    crud("seed-peer-clusters", {"name": "p"}, {"config": {"load_limit": 5}})
    crud("schedulers", dict(host, scheduler_cluster_id=1), {"features": ["schedule"]}, "host_name")
    crud("seed-peers", dict(host, download_port=1, seed_peer_cluster_id=1), {"port": 4001},
         "host_name")
    crud("peers", dict(host, type="normal", download_port=1, scheduler_cluster_id=1), None,
         "host_name")
    crud("configs", {"name": "gc-2", "value": "{\"audit\":{\"ttl\":1}}"}, {"bio": "b"})
    crud("applications", {"name": "app", "url": "https://x", "priority": {
        "value": 3, "urls": [{"regex": "blobs", "value": 4}]}}, {"bio": "b"})
    token = crud("personal-access-tokens", {"name": "t", "expired_at": FAR}, {"state": "inactive"})
    check(token["token"].startswith("dfp_"), "a token is shown once")
    crud("oauth", {"name": "github", "client_id": "id", "client_secret": NEVER[2]}, {"bio": "b"})
    M.api("POST", "schedulers", dict(host, scheduler_cluster_id=999), want=422)
    M.api("POST", "configs", {"name": "x", "value": "not json"}, want=422)
    M.api("POST", "applications", {"name": "x", "priority": {
        "value": 1, "urls": [{"regex": "(", "value": 1}]}}, want=422)
    equal(M.api("GET", "scheduler-features"), ["schedule", "preheat"], "features")


def test_a_preview_tells_who_would_come():
    path, scopes = "/api/v2/clusters/preview", {"cidrs": ["10.7.0.0/16"], "idc": "east"}
    peers = [M.api("POST", "peers", {"host_name": name, "ip": ip, "idc": idc, "location": place, "type": "normal",
                                     "port": 1, "download_port": 2, "scheduler_cluster_id": 1})
             for name, ip, idc, place in (("a-1", "10.7.0.1", "", ""), ("b-1", "10.8.0.1", "East", ""),
                                          ("c-1", "10.8.0.2", "", "eu|de"), ("d-1", "10.9.0.1", "", ""))]
    known = M.api("POST", path, {"scopes": {}})["known"]

    def preview(want, **body):
        got = M.api("POST", path, body)
        equal([(p["host_name"], p["by"]) for p in got["peers"]], want, f"{body} -> {got}")
        equal((got["known"], got["matching"]), (known, len(want)), "how many")
        return got["elsewhere"]
    equal(preview([("a-1", "cidr"), ("b-1", "idc")], scopes=scopes), 0, "elsewhere")
    preview([("c-1", "location")], scopes={"location": "EU|DE|berlin"})
    preview([("d-1", "hostname")], scopes={"hostnames": ["^d-[0-9]$"]})
    preview([], scopes={})
    other = M.api("POST", "clusters", {"name": "preview", "scopes": {"cidrs": ["10.7.0.0/24"]}})
    equal(preview([("b-1", "idc")], scopes=scopes), 1, "the other was there first")
    preview([("a-1", "cidr"), ("b-1", "idc")], scopes=scopes, id=other["id"])
    names = ["a-1", "b-1", "c-1", "d-1"]
    preview([(n, "default") for n in names if n != "a-1"], scopes={}, is_default=True)
    preview([(n, "default") for n in names if n != "a-1"], scopes={}, is_default=True, id=1)
    M.api("POST", path, {"scopes": {}, "id": 999}, want=404)
    M.api("POST", path, {"scopes": {"hostnames": ["("]}}, want=422)
    M.api("POST", path, {}, want=422)
    M.api("DELETE", f"clusters/{other['id']}")
    for row in peers:
        M.api("DELETE", f"peers/{row['id']}")


def test_members_move_between_clusters():
    other = M.api("POST", "clusters", {"name": "other"})
    s, p = other["scheduler_cluster_id"], other["seed_peer_cluster_id"]
    a = M.api("POST", "schedulers", {"host_name": "h", "ip": "::1", "port": 1,
                                     "scheduler_cluster_id": 1})["id"]
    b = M.api("POST", "seed-peers", {"host_name": "h", "ip": "::1", "port": 1, "download_port": 2,
                                     "seed_peer_cluster_id": 1})["id"]
    M.api("PUT", f"scheduler-clusters/{s}/schedulers/{a}")
    M.api("PUT", f"seed-peer-clusters/{p}/seed-peers/{b}")
    equal(M.api("GET", f"scheduler-clusters/{s}")["schedulers"][0]["id"], a, "the scheduler moved")
    equal(M.api("GET", f"seed-peer-clusters/{p}")["seed_peers"][0]["id"], b, "the seed moved")
    M.api("PUT", f"scheduler-clusters/999/schedulers/{a}", want=404)
    M.api("PUT", f"seed-peer-clusters/{p}/scheduler-clusters/1")
    M.api("PUT", f"seed-peer-clusters/{p}/scheduler-clusters/1", want=409)
    for path in (f"scheduler-clusters/{s}", f"seed-peer-clusters/{p}"):
        M.api("DELETE", path, want=409)
    M.api("DELETE", f"schedulers/{a}")
    M.api("DELETE", f"seed-peers/{b}")
    M.api("DELETE", f"clusters/{other['id']}")


def test_pages_are_told_in_the_link_header():
    equal([r["name"] for r in M.api("GET", "configs")], ["gc"], "a first start's configs")
    M.api("DELETE", f"configs/{M.api('GET', 'configs')[0]['id']}")
    for i in range(12):
        M.api("POST", "configs", {"name": f"c{i}", "value": "1"})
    status, headers, text = M.ask("GET", "/api/v1/configs?page=2&per_page=5", token=TOKENS["root"])
    equal((status, [r["name"] for r in json.loads(text)]), (200, [f"c{i}" for i in range(5, 10)]),
          "the second page")
    links = {p.split("rel=")[1].strip('"'): p.split(">")[0].lstrip(" <")
             for p in headers["Link"].split(",")}
    equal({k: v.split("?")[1] for k, v in links.items()},
          {"prev": "page=1&per_page=5", "next": "page=3&per_page=5", "first": "page=1&per_page=5",
           "last": "page=3&per_page=5"}, "links")
    for query in ("page=0", "per_page=x", "per_page=99999999", "page=99999999999999999999"):
        M.api("GET", f"configs?{query}", want=422)
    equal(M.api("GET", "configs?page=4&per_page=5"), [], "past the end")
    for row in M.api("GET", "configs?per_page=100"):
        M.api("DELETE", f"configs/{row['id']}")


def test_lists_are_sorted_and_filtered_by_how_a_name_begins():
    ids = [M.api("POST", "schedulers", {"host_name": name, "ip": ip, "port": 8002, "idc": idc, "scheduler_cluster_id": 1})["id"]
           for name, ip, idc in (("sortb", "10.9.0.1", "x"), ("sorta", "10.9.0.2", "y"), ("other", "10.8.0.3", "x"))]
    names = lambda query: [r["host_name"] for r in M.api("GET", f"schedulers?{query}")]
    equal(names("host_name=sort*&sort=host_name"), ["sorta", "sortb"], "by name")
    equal(names("host_name=sort*&sort=-host_name"), ["sortb", "sorta"], "the other way round")
    equal(names("ip=10.9.*&sort=-idc&per_page=1"), ["sorta"], "of a page")
    equal(names("idc=x&sort=idc"), ["sortb", "other"], "equals are in the order of ids")
    equal(names("host_name=sort"), [], "without a star it is the whole name")
    equal(names("host_name=%25*"), [], "no wildcard of SQL is one")
    for query in ("sort=nosuch", "sort=config", "sort=-", "sort=host_name;drop"):
        M.api("GET", f"schedulers?{query}", want=422)
    for id in ids:
        M.api("DELETE", f"schedulers/{id}")


def test_people_have_roles_and_passwords():
    made = M.api("POST", "users/signup", {"name": "guest-1", "password": NEVER[1],
                                          "email": "g@example.com", "bio": "b"}, token=None)
    one = f"users/{made['id']}"
    check("password" not in json.dumps(made).replace("must_change_password", ""), "no password")
    for body in ({"name": "guest-1", "password": NEVER[1], "email": "x@example.com"},
                 {"name": "guest-9", "password": NEVER[1], "email": "g@example.com"}):
        M.api("POST", "users/signup", body, want=409)
    M.api("POST", "users/signup", {"name": "abc", "password": "short", "email": "a@b"}, want=422)
    TOKENS["guest"] = sign_in("guest-1", NEVER[1])
    equal(M.api("GET", f"{one}/roles", token="guest"), ["guest"], "a new user's role")
    M.api("PATCH", one, {"bio": "own"}, token="guest")
    M.api("PATCH", "users/1", {"bio": "other's"}, token="guest", want=401)
    M.api("POST", "clusters", {"name": "x"}, token="guest", want=401)
    M.api("POST", "roles", {"role": "ops", "permissions": [{"object": "clusters", "action": "*"}]})
    M.api("POST", "roles", {"role": "ops"}, want=409)
    M.api("POST", "roles", {"role": "bad", "permissions": [{"object": "nope", "action": "*"}]},
          want=422)
    M.api("GET", "roles/bad", want=404)
    M.api("PUT", f"{one}/roles/ops")
    M.api("PUT", f"{one}/roles/ops", want=409)
    M.api("PUT", f"{one}/roles/nope", want=404)
    M.api("DELETE", f"clusters/{M.api('POST', 'clusters', {'name': 'x'}, token='guest')['id']}",
          token="guest")
    M.api("POST", "roles/ops/permissions", {"object": "peers", "action": "read"})
    M.api("DELETE", "roles/ops/permissions", {"object": "clusters", "action": "*"})
    equal(M.api("GET", "roles/ops"), [["ops", "peers", "read"]], "a role's permissions")
    M.api("POST", "clusters", {"name": "x"}, token="guest", want=401)
    M.api("DELETE", f"{one}/roles/ops")
    M.api("DELETE", f"{one}/roles/ops", want=404)
    M.api("DELETE", "roles/ops")
    for role in ("root", "guest"):
        M.api("DELETE", f"roles/{role}", want=409)
    M.api("DELETE", "users/1/roles/root", want=409)
    M.api("PATCH", "users/1", {"state": "disable"}, want=409)


def test_a_new_password_ends_old_tokens_and_a_disabled_user_is_out():
    made = M.api("POST", "users/signup", {"name": "changer", "password": NEVER[1],
                                          "email": "c@example.com"})
    reset = f"users/{made['id']}/reset_password"
    old = sign_in("changer", NEVER[1])
    M.api("POST", reset, {"old_password": "wrong-wrong", "new_password": NEVER[0]}, token=None,
          want=401)
    M.api("POST", reset, {"old_password": NEVER[1], "new_password": NEVER[1]}, token=None,
          want=422)
    M.api("POST", reset, {"old_password": NEVER[1], "new_password": NEVER[0]}, token=None)
    M.api("GET", "users", token=old, want=401)
    M.api("POST", "users/refresh_token", token=old, want=401)
    new = sign_in("changer", NEVER[0])
    newer = M.api("POST", "users/refresh_token", token=new)["token"]
    M.api("GET", "users", token=newer)
    M.api("PATCH", f"users/{made['id']}", {"state": "disable"})
    M.api("GET", "users", token=newer, want=401)
    M.api("POST", "users/signin", {"name": "changer", "password": NEVER[0]}, token=None, want=401)
    status, headers, _ = M.ask("POST", "/api/v1/users/signout")
    check(status == 200 and headers["Set-Cookie"].startswith("jwt=; Path=/; Max-Age=0"), "out")


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def forge(claims, alg="HS256", key=KEY):
    head = b64(json.dumps({"alg": alg, "typ": "JWT", "kid": "0"}).encode())
    body = b64(json.dumps(claims).encode())
    mac = hmac.new(key.encode(), f"{head}.{body}".encode(), hashlib.sha256).digest()
    return f"{head}.{body}.{b64(mac) if alg == 'HS256' else ''}"


def bad_tokens():
    now = int(time.time())
    good = {"id": 1, "gen": 0, "orig_iat": now, "exp": now + 1000}
    equal(M.ask("GET", "/api/v1/users", token=forge(good))[0], 200, "the forger is able")
    whole = TOKENS["root"]
    return {"none": None, "garbage": "x", "dots": "..", "half": whole[:-3],
            "twice": whole + "." + whole, "flipped": whole[:-1] + ("A" if whole[-1] != "A" else "B"),
            "expired": forge(dict(good, exp=now - 1)), "other key": forge(good, key="k" * 32),
            "alg none": forge(good, alg="none"), "nobody": forge(dict(good, id=999)),
            "old password": forge(dict(good, gen=7)), "long": "a" * 5000 + ".b.c"}


def operations():
    for path, item in M.api("GET", "/api/openapi.json", token=None)["paths"].items():
        for method, op in item.items():
            yield method.upper(), path.replace("{", "").replace("}", ""), op


def test_every_route_refuses_tokens_that_are_not_good_enough():
    tokens, routes = bad_tokens(), 0
    inactive = M.api("POST", "personal-access-tokens", {"name": "i", "expired_at": FAR})
    M.api("PATCH", f"personal-access-tokens/{inactive['id']}", {"state": "inactive"})
    expired = M.api("POST", "personal-access-tokens",
                    {"name": "e", "expired_at": "2001-01-01T00:00:00Z"})
    other = M.api("POST", "personal-access-tokens",
                  {"name": "o", "expired_at": FAR, "scopes": ["job"]})
    third = M.api("POST", "personal-access-tokens",
                  {"name": "p", "expired_at": FAR, "scopes": ["cluster"]})
    for method, path, op in operations():
        routes += 1
        if not op["security"]:
            continue
        robots = path.startswith(("/oapi/", "/preheats"))
        for name, token in tokens.items():
            equal(M.ask(method, path, "{}", token)[0], 401, f"{method} {path} with token {name}")
        if robots:
            wrong = other if "clusters" in path else third
            for token in (inactive, expired, wrong):
                equal(M.ask(method, path, "{}", token["token"])[0], 403,
                      f"{method} {path} with {token['name']}")
            equal(M.ask(method, path, "{}", TOKENS["root"])[0], 401, f"{path} with a person's")
        else:
            equal(M.ask(method, path, "{}", other["token"])[0], 401, f"{path} with a robot's")
            if method != "GET":
                equal(M.ask(method, path, "{}", TOKENS["guest"])[0], 401,
                      f"{method} {path} as guest")
    check(routes > 70, f"{routes} routes were asked")
    for made in (inactive, expired, other, third):
        M.api("DELETE", f"personal-access-tokens/{made['id']}")


def test_robots_use_clusters_with_their_own_tokens():
    made = M.api("POST", "personal-access-tokens", {"name": "ci", "expired_at": FAR})
    token = made["token"]
    check("token" not in M.api("GET", f"personal-access-tokens/{made['id']}"), "never shown again")
    check(token not in json.dumps(M.api("GET", "personal-access-tokens")), "nor in the list")
    one = M.api("POST", "/oapi/v1/clusters", {"name": "by-robot"}, token=token)
    M.api("GET", f"/oapi/v1/clusters/{one['id']}?access_token={token}", token=None)
    M.api("DELETE", f"/oapi/v1/clusters/{one['id']}", token=token)
    row = M.api("GET", "audits?per_page=1")[0]
    equal((row["actor_type"], row["actor_name"], row["operation"], row["path"], row["status_code"]),
          ("PAT", "ci", "DELETE", f"/oapi/v1/clusters/{one['id']}", 200), "the audit row")
    M.api("DELETE", f"personal-access-tokens/{made['id']}")


def oauth(person, code="the-code", cookie=None, state=None, name="github"):
    """A browser's way to the provider and back: the callback's status and headers."""
    status, headers, _ = M.ask("GET", f"/api/v1/users/signin/{name}")
    equal(status, 302, "sent to the provider")
    where = urllib.parse.urlsplit(headers["Location"])
    query = dict(urllib.parse.parse_qsl(where.query))
    check(headers["Location"].startswith(f"{PROVIDER.url}/authorize?"), "whose page it is")
    check(query["redirect_uri"].endswith(f"/api/v1/users/signin/{name}/callback"), "and back")
    Provider.person, Provider.challenge = person, query["code_challenge"]
    kept = headers["Set-Cookie"].split(";")[0]
    check("HttpOnly" in headers["Set-Cookie"], "the state is not a script's")
    back = urllib.parse.urlencode({"code": code, "state": state or query["state"]})
    return M.ask("GET", f"/api/v1/users/signin/{name}/callback?{back}",
                 headers={"Cookie": cookie if cookie is not None else kept})


def test_people_sign_in_elsewhere():
    equal(M.ask("GET", "/api/v1/users/signin/github")[0], 404, "not before there is a client")
    client = M.api("POST", "oauth", {"name": "github", "client_id": "id",
                                     "client_secret": NEVER[2]})
    equal([o["name"] for o in M.api("GET", "oauth", token=None)], ["github"], "with whom one can")
    root = {"id": 7, "login": "root", "email": "root@example.com"}
    status, headers, text = oauth(root)
    equal((status, headers["Location"]), (302, "/"), text)
    cookies = [c for c in headers.get_all("Set-Cookie") if c.startswith("jwt=")]
    token = cookies[0].split(";")[0].removeprefix("jwt=")
    me = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))["id"]
    check(me != 1, "somebody called root there is not root here")
    equal((M.api("GET", f"users/{me}", token=token)["name"], M.api("GET", f"users/{me}/roles")),
          ("github-root", ["guest"]), "a guest of his own name")
    check(not M.api("GET", f"users/{me}")["email"], "an e-mail that nobody proved is not taken")
    oauth(dict(root, login="renamed"))
    equal(len(M.api("GET", "users?name=github-renamed")), 0, "known by number, not by name")
    oauth({"id": 8, "login": "root"})
    equal(len(M.api("GET", "users?name=github-root-8")), 1, "another of the same name")
    equal(oauth(root, code="guessed")[0], 401, "a code that is none")
    equal(oauth(root, cookie="")[0], 401, "another browser")
    equal(oauth(root, state="x")[0], 401, "another state")
    equal(oauth({})[0], 502, "a provider that does not say who it is")
    equal(M.ask("GET", "/api/v1/users/signin/evil")[0], 404, "an unknown provider")
    M.api("PATCH", f"users/{me}", {"state": "disable"})
    equal(oauth(root)[0], 401, "who is disabled stays out")
    M.api("POST", "users/signin", {"name": "github-root", "password": "!"}, token=None, want=401)
    M.api("DELETE", f"oauth/{client['id']}")


def test_people_sign_in_with_google():
    client = M.api("POST", "oauth", {"name": "google", "client_id": "id", "client_secret": NEVER[2]})
    person = {"sub": "104", "name": "Ada", "email": "ada@example.com", "email_verified": True,
              "picture": "https://x/ada.png"}
    status, headers, text = oauth(person, name="google")
    equal((status, headers["Location"]), (302, "/"), text)
    row, = M.api("GET", "users?email=ada@example.com")
    equal((row["name"], row["avatar"]), ("google-Ada", "https://x/ada.png"), "a proved e-mail is taken")
    oauth(dict(person, name="Renamed", email="new@example.com"), name="google")
    equal([r["id"] for r in M.api("GET", "users?name=google-Ada")], [row["id"]], "known by sub")
    equal(M.api("GET", "users?name=google-Renamed"), [], "nobody else came")
    oauth({"sub": "105", "name": "Eve", "email": "eve@example.com", "email_verified": False}, name="google")
    equal(M.api("GET", "users?name=google-Eve")[0]["email"], "", "a claimed e-mail is not")
    M.api("DELETE", f"oauth/{client['id']}")


def test_jobs_are_limited_by_their_cluster():
    made = M.api("POST", "clusters", {"name": "limited", "scheduler_cluster_config": {"job_rate_limit": 1}})
    end, status = time.monotonic() + 60, 200
    while status == 200:
        check(time.monotonic() < end, "a limit of one job per second is never met")
        status, _, text = M.ask("POST", "/api/v1/jobs", {
            "type": "get_task", "args": {"task_id": "a" * 64}, "scheduler_cluster_ids": [made["id"]]},
            TOKENS["root"])
    equal(status, 429, text)


def test_injection_stays_text():
    nasty = ["x'); DROP TABLE users; --", '" OR 1=1 --', "%27%20OR%201=1", "a\u2028b",
             "<script>alert(1)</script>", "${jndi:ldap://x}", "../../etc/passwd"]
    for text in nasty:
        made = M.api("POST", "configs", {"name": text, "value": "1", "bio": text})
        equal((made["name"], made["bio"]), (text, text), "text comes back as it was")
        found = M.api("GET", "configs?" + urllib.parse.urlencode({"name": text}))
        equal([r["id"] for r in found], [made["id"]], "and is found")
        M.api("DELETE", f"configs/{made['id']}")
    equal(M.api("GET", "users?name=" + urllib.parse.quote("' OR '1'='1")), [], "no row by injection")
    for text in ("a\r\nSet-Cookie: x=y", "a\nb", "a\x7fb"):
        M.api("POST", "configs", {"name": text, "value": "1"}, want=422)
    status, headers, _ = M.ask("GET", "/api/v1/configs?name=a%0d%0aX-Evil:%201", token=TOKENS["root"])
    check(status == 200 and not headers["X-Evil"], "no header by injection")
    raw(b"GET /api/v1/users HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", b" 400 ")
    raw(b"GET /api/v1/users HTTP/1.1\r\nHost: a b\r\n\r\n", b" 400 ")


def raw(request, want, wait=30):
    with socket.create_connection(("127.0.0.1", M.port), timeout=wait) as s:
        s.sendall(request)
        got = s.recv(65536)
    check(want in got, f"{request[:60]!r} -> {got[:80]!r}")


def test_bodies_and_heads_are_bounded():
    head = b"POST /api/v1/configs HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"
    for size in ((1 << 20) + 1, 10 << 20, 10 << 40):
        raw(head % size, b" 413 ")
    equal(M.ask("POST", "/api/v1/configs", b" " * (1 << 20), TOKENS["root"])[0], 422, "1 MiB")
    chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
    with socket.create_connection(("127.0.0.1", M.port), timeout=30) as s:
        s.sendall(b"POST /api/v1/users/signin HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            for _ in range(20):
                s.sendall(chunk)
        except OSError:
            pass  # it has answered and closed
        check(b" 413 " in s.recv(65536), "a chunked body has the same bound")
    raw(b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 70000 + b"\r\n\r\n", b" 431 ")
    for deep in ("[" * 5000 + "]" * 5000, '{"config":' + '{"a":' * 2000 + "1" + "}" * 2001):
        for path in ("configs", "schedulers", "users/signin"):
            M.api("POST", path, deep, want=422)
    head = b64(b"[" * 3000)  # a token's, read before anybody is known
    equal(M.ask("GET", "/api/v1/users", token=f"{head}.{head}.x")[0], 401, "a deep token")
    M.api("POST", "clusters", {"name": "n" * 257}, want=422)
    M.api("POST", "clusters", {"name": "n", "scopes": {"cidrs": ["10.0.0.0/8"] * 257}}, want=422)
    raw(b"POST /api/v1/users/signin HTTP/1.1\r\nHost: a\r\nContent-Le", b" 408 ")  # and waits


def test_another_sites_page_changes_nothing():
    cookie = {"Cookie": f"jwt={TOKENS['root']}"}
    body = {"name": "csrf", "value": "1"}
    own = f"http://127.0.0.1:{M.port}"
    for extra, want in (({"Origin": "https://evil.example"}, 403), ({"Origin": "null"}, 403),
                        ({"Sec-Fetch-Site": "cross-site"}, 403),
                        ({"Sec-Fetch-Site": "same-site"}, 403), ({"Origin": own}, 200)):
        status, headers, text = M.ask("POST", "/api/v1/configs", body, headers={**cookie, **extra})
        equal(status, want, f"{extra}: {text}")
        check("Access-Control-Allow-Origin" not in headers, "CORS is closed")
    status, headers, _ = M.ask("OPTIONS", "/api/v1/configs", headers={
        "Origin": "https://evil.example", "Access-Control-Request-Method": "POST"})
    check(status == 204 and "Access-Control-Allow-Origin" not in headers, "preflight is closed")
    M.api("DELETE", f"configs/{M.api('GET', 'configs?name=csrf')[0]['id']}")


def test_the_console_is_served_and_nothing_else():
    status, headers, text = M.ask("GET", "/")
    check(status == 200 and "the console" in text, "the page")
    check("default-src 'self'" in headers["Content-Security-Policy"], "its policy")
    for name in ("X-Content-Type-Options", "X-Frame-Options", "Referrer-Policy"):
        check(headers[name], name)
    check("the console" in M.ask("GET", "/clusters/1")[2], "a page of the console's own")
    check("immutable" in M.ask("GET", "/assets/app.js")[1]["Cache-Control"], "a built file")
    for path in ("/../outside.txt", "/..%2foutside.txt", "/assets/../../outside.txt", "/link.txt",
                 "/%2e%2e/outside.txt", "/.hidden", "/assets/..%5c..%5coutside.txt", "//etc/passwd",
                 "/%2fetc%2fpasswd", "/outside.txt%00.html", "/assets/app.js/x", "/nope.js"):
        status, _, text = M.ask("GET", path)
        check(status == 404 and "outside" not in text and "hidden" not in text and "root:" not in text,
              f"{path} -> {status} {text[:40]}")
    equal(M.ask("POST", "/")[0], 404, "only reading")
    equal(M.ask("PUT", "/api/v1/clusters", token=TOKENS["root"])[0], 405, "another method")


def test_the_document_describes_what_is_served():
    doc = M.api("GET", "/api/openapi.json", token=None)
    check(doc["openapi"].startswith("3."), "a version")
    ids = [op["operationId"] for _, _, op in operations()]
    equal(len(ids), len(set(ids)), "operation ids are unique")
    clusters = doc["paths"]["/api/v1/clusters"]["post"]["requestBody"]["content"]
    schema = clusters["application/json"]["schema"]
    equal(schema["required"], ["name"], "what a cluster needs")
    for path in ("clusters", "schedulers", "seed-peers", "users", "peers", "audits"):
        shape = doc["paths"][f"/api/v1/{path}"]["get"]["responses"]["200"]["content"]
        shape = shape["application/json"]["schema"]["items"]["properties"]
        for row in M.api("GET", path):
            equal(sorted(set(row) - set(shape)), [], f"members of {path} that the document lacks")


def test_a_killed_manager_has_all_it_said_it_had():
    made = M.api("POST", "configs", {"name": "kept", "value": "1"})
    M.stop(signal.SIGKILL)
    M.start()
    equal(M.api("GET", f"configs/{made['id']}")["name"], "kept", "the row, with the same token")


def test_a_backup_is_whole_while_the_manager_runs():
    copy = M.dir / "copy.db"
    run = [BIN / "manager", "backup", "--config", M.config, copy]
    if DATABASE.name != "sqlite":
        refused = subprocess.run(run, capture_output=True, text=True, timeout=60)
        check(refused.returncode == 1 and "dump" in refused.stderr, f"the tool: {refused.stderr}")
        return
    subprocess.run(run, check=True, timeout=60)
    equal(copy.stat().st_mode & 0o777, 0o600, "only ours")
    with sqlite3.connect(copy) as db:
        equal(db.execute("PRAGMA integrity_check").fetchone(), ("ok",), "the copy")
        equal(db.execute("SELECT COUNT(*) FROM configs WHERE name = 'kept'").fetchone(), (1,), "rows")
    again = subprocess.run(run, capture_output=True, text=True, timeout=60)
    check(again.returncode == 1 and "exist" in again.stderr, f"not over another: {again.stderr}")


def test_a_thousand_wrong_passwords_are_few():
    before = len(M.api("GET", "audits?per_page=100000"))
    asked = [M.ask("POST", "/api/v1/users/signin", {"name": "root", "password": f"guess-{i:04d}"})[0]
             for i in range(1000)]
    check(asked.count(401) <= 10 and asked.count(429) >= 990,
          f"{asked.count(401)} tried, {asked.count(429)} refused")
    check(len(M.api("GET", "audits?per_page=100000")) - before < 50, "the trail is not flooded")
    before = len(M.api("GET", "audits?per_page=100000"))
    for _ in range(200):
        M.ask("POST", "/api/v1/clusters", "{}")
    check(len(M.api("GET", "audits?per_page=100000")) - before <= 60, "nor by strangers")
    status, headers, _ = M.ask("POST", "/api/v1/users/signin", {"name": "root", "password": PASSWORD})
    check(status == 429 and headers["Retry-After"], "even the right one waits")
    M.api("GET", "users")  # who is in stays in


# Refused by most fields; and taken by most.
NASTY = ["planted-in-every-input'); DROP TABLE users; --\r\nX-Evil: 1\u2028%00",
         "planted-in-every-input'\");--$1?"]


def nasty_value(schema, text):
    """A value of the right kind with this in every text of it, but in those with a form."""
    kind, taken = schema.get("type"), text == NASTY[1]
    if taken and "enum" in schema:
        return schema["enum"][0]
    if taken and schema.get("format") == "date-time":
        return FAR
    if kind == "object":
        names = schema.get("required") if taken else None
        return {n: nasty_value(s, text) for n, s in schema.get("properties", {text: {}}).items()
                if not names or n in names}
    if kind == "array":
        return [nasty_value(schema.get("items", {}), text)]
    if kind in ("integer", "number"):
        return max(1, schema.get("minimum", 1)) if taken else -(1 << 62)
    return kind == "boolean" or text


def test_nasty_inputs_of_every_route_are_only_text():
    asked = taken = 0
    robot = M.api("POST", "personal-access-tokens", {"name": "nasty", "expired_at": FAR})
    for method, path, op, nasty in [(*o, n) for o in operations() for n in NASTY]:
        quoted = urllib.parse.quote(nasty, safe="")
        content = op.get("requestBody", {}).get("content", {}).get("application/json", {})
        body = nasty_value(content["schema"], nasty) if content else None
        token = robot["token"] if path.startswith(("/oapi/", "/preheats")) else TOKENS["root"]
        names = {p["name"] for p in op.get("parameters", []) if p["in"] == "path"}
        real = "/".join(quoted if part in names else part for part in path.split("/"))
        names = [p["name"] for p in op.get("parameters", []) if p["in"] == "query"]
        query = "&".join(f"{n}={quoted}" for n in [*names, "token", "access_token", "x"])
        for where in (real, f"{path}?{query}"):
            if "live" in path or "events" in path:
                continue  # streams have stories of their own
            status, headers, text = M.ask(method, where, body, token, headers={
                "User-Agent": "planted-in-every-input", "Cookie": "a=planted-in-every-input"})
            asked += 1
            taken += body is not None and status < 300
            check(status < 500 or status == 502, f"{method} {where} -> {status} {text[:200]}")
            check(not headers["X-Evil"], f"{method} {where}: a header by injection")
    check(asked > 300 and taken > 3, f"{taken} of {asked} requests were taken")
    print(f"     {taken} of {asked} nasty requests were taken as text")
    check(M.api("GET", "users"), "the tables are there")
    log = (M.dir / "log").read_text()
    check("planted-in-every-input" not in log, "inputs stand in the log: "
          + next((line for line in log.splitlines() if "planted-in" in line), "")[:500])
    check("request failed" not in log, "no request has failed")
    M.api("DELETE", f"personal-access-tokens/{robot['id']}")


def test_every_change_has_its_audit_row():
    rows = collections.Counter((r["operation"], r["path"]) for r in M.api("GET", "audits?per_page=100000")
                               if r["status_code"] < 300)
    for path in ("/api/v1/users/signout", "/api/v2/clusters/preview"):
        del CHANGES["POST", path]  # changes nothing that is kept
    equal(+(CHANGES - rows), collections.Counter(), "changes without a row")
    check(len(CHANGES) > 50, f"{len(CHANGES)} kinds of changes")


def test_old_rows_go_by_themselves():
    kept, = M.api("GET", "configs?name=gc")
    M.api("PATCH", f"configs/{kept['id']}", {"value": json.dumps({"audit": {"ttl": 1}, "job": {"ttl": 1}})})
    M.stop()
    M.start()
    end = time.monotonic() + 60
    while len(rows := M.api("GET", "audits?per_page=100000")) > 1:
        check(time.monotonic() < end, f"{len(rows)} audits are still there")
        time.sleep(0.2)
    M.api("DELETE", f"configs/{kept['id']}")


def test_tls_is_served_with_a_certificate():
    made = M.dir / "tls"
    made.mkdir()
    for name in ("ours", "other"):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                        "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1", "-addext",
                        "subjectAltName=IP:127.0.0.1", "-keyout", made / f"{name}.key", "-out",
                        made / f"{name}.crt"], check=True, capture_output=True, timeout=60)
    port, file = databases.free_port(), made / "manager.yaml"

    def configure(cert, key):
        file.write_text(json.dumps({
            "server": {"grpc": {"listenIP": "127.0.0.1", "port": {"start": databases.free_port()}},
                       "rest": {"addr": f"127.0.0.1:{port}", "tls": {"cert": str(cert), "key": str(key)}}},
            "database": {"type": "sqlite", "sqlite": {"path": str(made / "m.db")}}}))
        done = subprocess.run([BIN / "manager", "--config", file, "--check-config"],
                              capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout + done.stderr
    for cert, key in ((made / "ours.crt", made / "other.key"), (made / "no.crt", made / "ours.key"),
                      (made / "ours.crt", "")):
        code, text = configure(cert, key)
        check(code != 0 and "server.rest.tls" in text, text)
    equal(configure(made / "ours.crt", made / "ours.key")[0], 0, "a good pair")
    with open(made / "log", "wb") as log:
        process = subprocess.Popen([BIN / "manager", "--config", file], stderr=log)
    try:
        def ask(path, body=None, ca="ours"):
            context = ssl.create_default_context(cafile=made / f"{ca}.crt")
            c = http.client.HTTPSConnection("127.0.0.1", port, timeout=30, context=context)
            c.request("POST" if body else "GET", path, json.dumps(body) if body else None)
            r = c.getresponse()
            return r.status, r.headers, r.read().decode()
        end = time.monotonic() + 60
        while True:
            try:
                equal(ask("/healthy")[0], 200, "over TLS")
                break
            except OSError:
                check(time.monotonic() < end and process.poll() is None, (made / "log").read_text()[-500:])
                time.sleep(0.05)
        status, headers, _ = ask("/api/v1/users/signin", {"name": "root", "password": "dragonfly"})
        check(status == 200 and headers["Set-Cookie"].endswith("; Secure"), "the cookie is for TLS alone")
        try:
            ask("/healthy", ca="other")
            check(False, "another authority is not believed")
        except ssl.SSLCertVerificationError:
            pass
        plain = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        plain.request("GET", "/healthy")
        answer = plain.getresponse()
        check(answer.status == 400 and "https://" in answer.read().decode(), "plain HTTP is told")
    finally:
        process.terminate()
        process.wait(60)
    shutil.rmtree(made)


def test_planted_secrets_are_nowhere():
    M.api("POST", "oauth", {"name": "google", "client_id": "id", "client_secret": NEVER[2]})
    M.api("POST", "configs", {"name": "planted-by-name", "value": "1"})
    secret = M.api("POST", "personal-access-tokens", {"name": "s", "expired_at": FAR})["token"]
    SEEN[:] = [text for text in SEEN if secret not in text]  # shown once, here
    M.ask("GET", f"/api/v1/users?token={TOKENS['root']}&password={NEVER[0]}")
    M.ask("GET", f"/oapi/v1/clusters?access_token={secret}")
    M.stop()
    files = {f.name: f.read_bytes() for f in M.dir.iterdir()
             if f.is_file() and f.name != "manager.yaml"}
    kept = DATABASE.files()
    check(b"planted-by-name" in b"".join(kept.values()), "the database is looked at")
    for name, data in {**files, **kept}.items():
        for word in NEVER + [secret, TOKENS["root"]]:
            check(word.encode() not in data, f"{word} stands in {name}")
    for text in SEEN:
        for word in NEVER + [secret]:
            check(word not in text, f"{word} was answered: {text[:100]}")
    equal((M.dir / "key").stat().st_mode & 0o777, 0o600, "the key file is ours alone")
    shutil.rmtree(M.dir)  # a failed run leaves it to be looked at


if __name__ == "__main__":
    try:
        story.run(globals())
    finally:
        if M and M.process.poll() is None:
            M.stop(signal.SIGKILL)
        DATABASE.__exit__()
