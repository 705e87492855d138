"""The OpenAPI document: linted, every route called with inputs made of it, and a client that knows nothing
else."""
import json
import os
import re
import sys

import jsonschema

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../foreign"))
import story
from lab import ROOT, wait_for
from manager_process import ManagerProcess
from openapi_client import Client, Refused
from story import check, equal

M = ManagerProcess()
DOC = json.loads(M.ask("GET", "/api/openapi.json")[2])
FAR = "2099-01-01T00:00:00Z"


def operations():
    for path, item in DOC["paths"].items():
        for method, op in item.items():
            yield method.upper(), path, op


def test_the_document_is_openapi_3_1():
    schema = json.loads((ROOT / "test/contract/openapi-3.1.json").read_text())
    faults = [f"{'/'.join(map(str, e.path))}: {e.message[:200]}"
              for e in jsonschema.Draft202012Validator(schema).iter_errors(DOC)]
    equal(faults, [], "faults")
    check(jsonschema.Draft202012Validator(schema).is_valid(dict(DOC, paths={"no-slash": {}})) is False,
          "the lint finds something")


def test_each_operation_is_whole():
    ids = [op["operationId"] for _, _, op in operations()]
    equal(sorted({i for i in ids if ids.count(i) > 1}), [], "operation ids that are not unique")
    for method, path, op in operations():
        what = f"{method} {path}"
        check(re.fullmatch(r"[a-z][A-Za-z0-9]*", op["operationId"]), f"{what}: {op['operationId']}")
        check(op["summary"] and op["tags"], f"{what} has a summary and a tag")
        told = sorted(p["name"] for p in op.get("parameters", []) if p["in"] == "path")
        equal(told, sorted(re.findall(r"{(\w+)}", path)), f"{what}: parameters of the path")
        check(any(s[0] in "23" for s in op["responses"]), f"{what}: how it goes well")
        for content in [op.get("requestBody", {})] + list(op["responses"].values()):
            for media in content.get("content", {}).values():
                jsonschema.Draft202012Validator.check_schema(media["schema"])
        check(not op["security"] or "401" in op["responses"], f"{what} refuses strangers")


# ---- values made of schemas

FORMATS = {"date-time": FAR, "uri": "https://example.com/v2/a/b/blobs/c", "ip": "10.1.2.3",
           "cidr": "10.0.0.0/8", "json": "{}"}


def value_of(schema, name, whole):
    """One that fits; whole: with every member that may be left out."""
    kind = schema.get("type")
    if "enum" in schema:
        return schema["enum"][0]
    if kind == "string":
        text = FORMATS.get(schema.get("format")) or {"password": "generated1", "new_password": "generated2",
                                                     "old_password": "dragonfly"}.get(name, f"gen-{name}")
        return text.ljust(schema.get("minLength", 0), "x")[:schema.get("maxLength", 10 ** 6)]
    if kind == "integer":
        return min(max(1, schema.get("minimum", 1)), schema.get("maximum", 1))
    if kind == "boolean":
        return False
    if kind == "array":
        return [value_of(schema["items"], name, whole)] if whole else []
    properties, required = schema.get("properties", {}), schema.get("required", [])
    return {n: value_of(s, n, whole) for n, s in properties.items() if whole or n in required}


def wrong_values_of(schema):
    """Bodies that do not fit, each in one way."""
    yield "no object", []
    good = value_of(schema, "", False)
    for name in schema.get("required", []):
        yield f"without {name}", {k: v for k, v in good.items() if k != name}
    for name, s in schema.get("properties", {}).items():
        yield f"{name} of another type", dict(good, **{name: 7 if s.get("type") != "integer" else "seven"})
        if "maximum" in s and s["maximum"] < 2 ** 53:
            yield f"{name} too large", dict(good, **{name: s["maximum"] + 1})
        if "maxLength" in s and s["maxLength"] < 10 ** 5:
            yield f"{name} too long", dict(good, **{name: "x" * (s["maxLength"] + 1)})
        if "enum" in s:
            yield f"{name} no such word", dict(good, **{name: "no-such-word"})


# ---- answers

def strict(schema):
    """The same, but members that it does not name are faults."""
    if isinstance(schema, list):
        return [strict(s) for s in schema]
    if not isinstance(schema, dict):
        return schema
    out = {k: strict(v) for k, v in schema.items()}
    if "properties" in out and isinstance(out["properties"], dict) and out.get("type") == "object":
        out.setdefault("additionalProperties", False)
    return out


SCHEMAS = strict(DOC["components"])
COUNTS, FAULTS = {}, []


def call(method, path, op, body=None, token=None, good=True, note=""):
    """Asks, and holds the answer against the document. The answer's JSON, or None."""
    what = f"{method} {path} {note}"
    status, headers, data = M.ask(method, path, body, token)
    documented = op["responses"].get(str(status))
    COUNTS[status] = COUNTS.get(status, 0) + 1
    media = headers.get("Content-Type", "").split(";")[0]
    if not documented or (status < 400 and not good):
        FAULTS.append(f"{what}: {status} is {'taken' if documented else 'not documented'}; {data[:200]}")
        return None
    if media not in documented.get("content", {"": 1}):
        FAULTS.append(f"{what}: {media} is not documented for {status}")
        return None
    if media != "application/json":
        return None
    value = json.loads(data)
    schema = dict(strict(documented["content"][media]["schema"]), components=SCHEMAS)
    faults = [f"{'/'.join(map(str, e.path))}: {e.message[:200]}"
              for e in jsonschema.Draft202012Validator(schema).iter_errors(value)]
    FAULTS.extend(f"{what}: {status}: {fault}" for fault in faults)
    return value if status < 300 else None


def body_schema(op):
    return op.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")


def body_of(path, op, whole):
    schema = body_schema(op)
    if schema is None:
        return None
    body = value_of(schema, "", whole)
    for name, special in (("type", "gc" if "job" in path else None), ("object", "clusters"),
                          ("args", {"type": "audit"})):
        if name in body and special and (name != "args" or body.get("type") == "gc"):
            body[name] = special
    if "expired_at" in body:
        body["expired_at"] = FAR
    return body


def filled(path, ids):
    known = {"id": ids, "role": "gen-role", "name": "github", "scheduler_id": 1, "seed_peer_id": 1,
             "scheduler_cluster_id": 1, "file": "index.html"}
    return re.sub(r"{(\w+)}", lambda m: str(known[m.group(1)]), path)


def test_every_route_does_what_the_document_says():
    root = M.sign_in()
    pat_body = {"name": "contract", "expired_at": FAR}
    robot = json.loads(M.ask("POST", "/api/v1/personal-access-tokens", pat_body, root)[2])["token"]
    made, done = {}, set()

    def token_of(op):
        names = {n for s in op["security"] for n in s}
        return None if not names else robot if "personalAccessToken" in names else root

    def run(methods):
        for method, path, op in operations():
            if method not in methods or path.startswith("/api/v1/users/sign") and method == "GET":
                continue
            base = path.split("/{")[0]
            where = filled(path, made.get(base, 1))
            done.add((method, path))
            if path.endswith("/reset_password"):
                where = where.replace("/1/", "/999999/")  # the tests go on as root
            for whole in (True, False):
                answer = call(method, where, op, body_of(path, op, whole), token_of(op),
                              note="whole" if whole else "least")
                if method == "POST" and isinstance(answer, dict) and "id" in answer and base not in made:
                    made[base] = answer["id"]
                if "requestBody" not in op:
                    break
            if body_schema(op):
                for note, body in wrong_values_of(body_schema(op)):
                    call(method, where, op, body, token_of(op), good=False, note=note)
            if "{" in path:
                for wrong in ("999999", "x", "%00", "0"):
                    call(method, re.sub(r"{\w+}", wrong, path), op, body_of(path, op, False), token_of(op))
            for query in ("page=0", "per_page=x", "page=1&per_page=1", "page=99999999"):
                if any(p["name"] == "page" for p in op.get("parameters", [])):
                    call(method, f"{where}?{query}", op, None, token_of(op))

    run({"POST"})
    run({"GET", "PUT", "PATCH"})
    run({"DELETE"})
    left = [(m, p) for m, p, _ in operations() if (m, p) not in done]
    for method, path in left:  # sign in with a provider that nobody configured, or sent back from nowhere
        call(method, filled(path, 1), DOC["paths"][path][method.lower()])
    equal(FAULTS, [], f"{len(FAULTS)} faults")
    print("answers by status:", dict(sorted(COUNTS.items())))
    check(COUNTS[200] > len(list(operations())), f"most calls go well: {COUNTS}")
    check(len(made) >= 10, f"rows were made: {sorted(made)}")


def test_what_dragonfly_has_and_we_have_not_is_answered_truly():
    root = M.sign_in()
    tasks = "/api/v1/persistent-cache-tasks"
    status, headers, data = M.ask("GET", f"{tasks}?scheduler_cluster_id=1", token=root)
    equal((status, data), (200, b"[]"), "persistent cache tasks")
    check('rel="last"' in headers["Link"], "its pages")
    equal(M.ask("GET", tasks, token=root)[0], 422, "without a cluster")
    for path, want in ((f"{tasks}/x?scheduler_cluster_id=1", 404), ("/api/v1/buckets", 200),
                       ("/api/v1/buckets/x", 404), ("/api/v1/models", 200), ("/api/v1/models/1", 404)):
        equal(M.ask("GET", path, token=root)[0], want, path)
        equal(M.ask("GET", path)[0], 401, f"{path} by a stranger")
    status, headers, _ = M.ask("GET", "/swagger/index.html")
    equal((status, headers["Location"]), (302, "/api/openapi.json"), "swagger")


def test_a_client_made_of_the_document_alone_manages_clusters():
    c = Client(f"http://127.0.0.1:{M.port}")
    c.credentials["jwt"] = c.postApiV1UsersSignin({"name": "root", "password": "dragonfly"})["token"]
    b = c.postApiV1Clusters({"name": "foreign", "scopes": {"idc": "cluster-2"}})
    equal(c.getApiV1Clusters(name="foreign")[0]["id"], b["id"], "found by name")
    equal(c.patchApiV1ClustersId({"bio": "from the document"}, id=b["id"])["bio"], "from the document", "bio")
    for wrong in (lambda: c.postApiV1Clusters({"scopes": {}}), lambda: c.getApiV1Clusters(no_such=1),
                  lambda: c.postApiV1Clusters({"name": "a", "no_such": 1})):
        try:
            wrong()
            check(False, "the document allows what it should not")
        except TypeError:
            pass
    made = c.postApiV1PersonalAccessTokens({"name": "robot", "expired_at": FAR, "scopes": ["cluster"]})
    c.credentials["personalAccessToken"] = made["token"]
    equal(c.getOapiV1ClustersId(id=b["id"])["name"], "foreign", "as a robot")
    try:
        c.getOapiV1Jobs()
        check(False, "the scope does not cover jobs")
    except Refused as e:
        equal(e.status, 403, "refusal")
    wait_for("the new cluster's missing scheduler", lambda: any(
        k["name"] == "foreign" and k["missing"] == "scheduler" for k in c.getApiV2Overview()["checks"]))
    equal(c.getApiV2OverviewEvents()["clusters"], c.getApiV2Overview()["clusters"], "the same as an event")
    c.deleteApiV1ClustersId(id=b["id"])
    try:
        c.getApiV1ClustersId(id=b["id"])
        check(False, "it is gone")
    except Refused as e:
        equal(e.status, 404, "gone")


def test_the_manager_ends_well():
    equal(M.stop(), 0, "its exit")
    log = (M.dir / "log").read_text()
    check("request failed" not in log, "no request failed inside: " + log[-500:])


story.run(globals())
