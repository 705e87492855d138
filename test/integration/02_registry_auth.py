"""Registries that ask who we are: docker-registry with htpasswd, and with a token service that signs
RS256; plain and behind nginx with TLS, HTTP/2 and an authority of our own. Anonymous pulls, the
node's credentials, the caller's, wrong ones; and no secret in any log.
"""
import base64
import ctypes
import gzip
import hashlib
import json
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lab"))
from lab import Lab, listening, sh, wait_for, write_config
from skimmer import Daemon

USER, PASSWORD = "alice", "w0nderland-s3cret"
BASIC = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
LAYERS, LAYER_SIZE = 12, 3 << 20

TOKEN_SERVICE = r'''
import base64, http.server, json, subprocess, sys, time, urllib.parse
key, cert, issuer, service, basic, log = sys.argv[1:]
der = subprocess.run(["openssl", "x509", "-in", cert, "-outform", "DER"], capture_output=True).stdout

def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

class Service(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
        given = self.headers.get("Authorization")
        if given and given != basic:
            return self.answer(401, {"errors": []}, None, given)
        access = []
        for scope in query.get("scope", []):
            kind, name, actions = scope.split(":")
            if not given:
                actions = "pull" if name.startswith("public/") else ""
            access.append({"type": kind, "name": name, "actions": [a for a in actions.split(",") if a]})
        now = int(time.time())
        head = {"typ": "JWT", "alg": "RS256", "x5c": [base64.b64encode(der).decode()]}
        body = {"iss": issuer, "sub": "x", "aud": service, "exp": now + 300, "nbf": now - 60,
                "iat": now, "jti": "%d" % time.monotonic_ns(), "access": access}
        text = b64(json.dumps(head).encode()) + "." + b64(json.dumps(body).encode())
        signature = subprocess.run(["openssl", "dgst", "-sha256", "-sign", key], input=text.encode(),
                                   capture_output=True, check=True).stdout
        self.answer(200, {"token": text + "." + b64(signature), "expires_in": 300}, access, given)

    def answer(self, status, body, access, given):
        with open(log, "a") as f:
            f.write(json.dumps({"status": status, "access": access, "given": given,
                                "token": body.get("token")}) + "\n")
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args):
        pass

http.server.ThreadingHTTPServer(("127.0.0.1", 5080), Service).serve_forever()
'''


def check(what, ok):
    if not ok:
        sys.exit(f"FAILED: {what}")
    print(f"ok: {what}", flush=True)


def bcrypt(password):
    crypt = ctypes.CDLL("libcrypt.so.1").crypt
    crypt.restype = ctypes.c_char_p
    return crypt(password.encode(), b"$2b$05$abcdefghijklmnopqrstuu").decode()


def make_layout(where):
    """An image of LAYERS different blobs; their digests."""
    blobs = where / "blobs/sha256"
    blobs.mkdir(parents=True)

    def put(data, media):
        name = hashlib.sha256(data).hexdigest()
        (blobs / name).write_bytes(data)
        return {"mediaType": media, "digest": f"sha256:{name}", "size": len(data)}

    # Really gzip: skopeo would compress anything else, and it would have another digest.
    noise = [hashlib.shake_256(b"layer %d" % i).digest(LAYER_SIZE) for i in range(LAYERS)]
    layers = [put(gzip.compress(n, 1, mtime=0), "application/vnd.oci.image.layer.v1.tar+gzip")
              for n in noise]
    config = put(json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {
        "type": "layers", "diff_ids": [l["digest"] for l in layers]}}).encode(),
        "application/vnd.oci.image.config.v1+json")
    manifest = put(json.dumps({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config, "layers": layers}).encode(), "application/vnd.oci.image.manifest.v1+json")
    manifest["annotations"] = {"org.opencontainers.image.ref.name": "1"}
    (where / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [manifest]}))
    (where / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return [l["digest"] for l in layers]


def make_certificates(host):
    d = host.dir
    ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    sh("openssl", "req", "-x509", *ec, "-keyout", f"{d}/ca.key", "-out", f"{d}/ca.pem", "-days", "2",
       "-subj", "/CN=story authority")
    sh("openssl", "req", *ec, "-keyout", f"{d}/tls.key", "-out", f"{d}/tls.csr", "-subj", "/CN=web")
    (d / "san").write_text(f"subjectAltName=IP:{host.ip}\n")
    sh("openssl", "x509", "-req", "-in", f"{d}/tls.csr", "-CA", f"{d}/ca.pem", "-CAkey", f"{d}/ca.key",
       "-CAcreateserial", "-days", "2", "-extfile", f"{d}/san", "-out", f"{d}/tls.pem")
    sh("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{d}/sign.key",
       "-out", f"{d}/sign.pem", "-days", "2", "-subj", "/CN=signer")


def start_registry(host, port, auth):
    config = {"version": "0.1", "log": {"accesslog": {"disabled": False}, "level": "warn"},
              "storage": {"filesystem": {"rootdirectory": str(host.dir / f"data{port}")}},
              "http": {"addr": f"0.0.0.0:{port}", "secret": "story"}, "auth": auth}
    file = write_config(host.dir / f"registry{port}.yml", config)
    host.start(["docker-registry", "serve", file], name=f"registry{port}")
    wait_for(f"registry on {port}", lambda: listening(host, port))


def start_token_service(host):
    script = host.dir / "token_service.py"
    script.write_text(TOKEN_SERVICE)
    host.start(["/usr/bin/python3", script, host.dir / "sign.key", host.dir / "sign.pem", "story issuer",
                "story registry", BASIC, host.dir / "tokens.log"], name="token_service")
    wait_for("token service", lambda: listening(host, 5080))


def start_nginx(host):
    d = host.dir / "nginx"
    d.mkdir()
    conf = d / "nginx.conf"
    conf.write_text(f"""daemon off; pid {d}/pid; error_log {d}/error.log; user root;
worker_processes 1; events {{ worker_connections 1024; }}
http {{ access_log {d}/access.log; client_max_body_size 0; proxy_max_temp_file_size 0;
 client_body_temp_path {d}/b; proxy_temp_path {d}/p; fastcgi_temp_path {d}/f;
 uwsgi_temp_path {d}/u; scgi_temp_path {d}/s;
 server {{ listen 5443 ssl http2; ssl_certificate {host.dir}/tls.pem;
  ssl_certificate_key {host.dir}/tls.key;
  location / {{ proxy_pass http://127.0.0.1:5001; proxy_set_header Host $http_host; }}
  location /token {{ proxy_pass http://127.0.0.1:5080; }} }} }}
""")
    host.start(["nginx", "-p", d, "-c", conf], name="nginx")
    wait_for("nginx", lambda: listening(host, 5443))
    return d / "access.log"


def token_log(host):
    file = host.dir / "tokens.log"
    return [json.loads(l) for l in file.read_text().splitlines()] if file.exists() else []


class Asker:
    """Asks one node's mirror for one registry's blobs, each digest once: what is local proves nothing."""

    def __init__(self, node, digests):
        self.node, self.left = node, list(digests)

    def get(self, registry, repository, authorization=None):
        digest = self.left.pop()
        headers = {"X-Dragonfly-Registry": registry}
        if authorization:
            headers["Authorization"] = authorization
        status, got, body = self.node.host.get(
            f"http://127.0.0.1:4001/v2/{repository}/blobs/{digest}", headers)
        whole = status == 200 and "sha256:" + hashlib.sha256(body).hexdigest() == digest
        return status, got, whole


def without_credentials(ask, basic, token):
    status, got, _ = ask.get(basic, "private/app")
    check("basic: nobody gets 401 and the challenge",
          status == 401 and got.get("www-authenticate", "").startswith("Basic"))
    check("basic: the caller's own credential is used", ask.get(basic, "private/app", BASIC)[2])
    wrong = "Basic " + base64.b64encode(b"alice:wrong").decode()
    check("basic: the caller's wrong one stays a 401", ask.get(basic, "private/app", wrong)[0] == 401)
    check("token: a public blob by an anonymous token", ask.get(token, "public/app")[2])
    status, got, _ = ask.get(token, "private/app")
    check("token: a private one is a 401 with the challenge",
          status == 401 and got.get("www-authenticate", "").startswith("Bearer"))


def with_credentials(ask, basic, token, tls, registry):
    check("basic: the node's credential", ask.get(basic, "private/app")[2])
    before = len(token_log(registry))
    check("token: the node's credential", ask.get(token, "private/app")[2])
    check("token: and the next blob", ask.get(token, "private/app")[2])
    check("token: with one token for both", len(token_log(registry)) == before + 1)
    check("token: the service got the credential", token_log(registry)[-1]["given"] == BASIC)
    check("TLS of our own authority, HTTP/2", ask.get(tls, "private/app")[2])
    wrong = "Basic " + base64.b64encode(b"alice:wrong").decode()
    check("the caller's wrong credential is not helped out with the node's",
          ask.get(basic, "private/app", wrong)[0] == 401
          and ask.get(token, "private/app", "Bearer wrong")[0] == 401)


def main():
    with Lab() as lab:
        registry, bare, node = (lab.host(n) for n in ("registry", "bare", "node"))
        digests = make_layout(lab.dir / "layout")
        make_certificates(registry)
        (registry.dir / "htpasswd").write_text(f"{USER}:{bcrypt(PASSWORD)}\n")
        basic, token, tls = (f"http://{registry.ip}:5000", f"http://{registry.ip}:5001",
                             f"https://{registry.ip}:5443")
        start_registry(registry, 5000, {"htpasswd": {"realm": "story",
                                                     "path": str(registry.dir / "htpasswd")}})
        start_registry(registry, 5001, {"token": {
            "realm": f"{tls}/token", "service": "story registry", "issuer": "story issuer",
            "rootcertbundle": str(registry.dir / "sign.pem")}})
        start_token_service(registry)
        tls_log = start_nginx(registry)
        for port, name in ((5000, "private/app"), (5001, "private/app"), (5001, "public/app")):
            registry.run("skopeo", "copy", "-q", "--insecure-policy", "--dest-tls-verify=false",
                         "--dest-creds", f"{USER}:{PASSWORD}", f"oci:{lab.dir}/layout:1",
                         f"docker://{registry.ip}:{port}/{name}:1")
        auth = {"auth": BASIC.removeprefix("Basic ")}
        write_config(node.dir / "docker.json", {"auths": {
            u.split("://")[1]: auth for u in (basic, token, tls)}})
        ca = str(registry.dir / "ca.pem")
        daemons = [Daemon(bare, config={"backend": {"caCert": ca}}),
                   Daemon(node, config={"backend": {
                       "caCert": ca, "dockerConfig": str(node.dir / "docker.json")}})]
        without_credentials(Asker(daemons[0], digests), basic, token)
        with_credentials(Asker(daemons[1], digests), basic, token, tls, registry)
        lines = [l for l in tls_log.read_text().splitlines() if "/blobs/" in l and "HTTP/2.0" in l]
        check("the blob came by HTTP/2", any(node.ip in l and '" 20' in l for l in lines))
        secrets = [PASSWORD, auth["auth"]] + [t["token"] for t in token_log(registry) if t["token"]]
        logs = "".join(d.process.log_text() for d in daemons)
        check("no secret in the logs", not any(s in logs for s in secrets))


if __name__ == "__main__":
    main()
