"""A collector of traces: takes what OTLP exporters POST and keeps it; run on a host of the lab as

    python3 collector.py PORT FOLDER [CERTIFICATE KEY TOKEN]

(with a certificate over TLS, for those that know the token) and read with spans(), through OpenTelemetry's own decoder (test/foreign/otlp.js)."""
import http.server
import itertools
import json
import os
import pathlib
import ssl
import subprocess
import sys
import threading


def serve(port, folder, certificate=None, key=None, token=None):
    lock, numbers = threading.Lock(), itertools.count(1)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            good = (self.path == "/v1/traces"
                    and self.headers["Content-Type"] == "application/x-protobuf")
            known = self.headers["Authorization"] == (token and f"Bearer {token}")
            if good and known:
                with lock:
                    number = next(numbers)
                # Whole when it has its name.
                temporary = folder / f".{number}"
                temporary.write_bytes(body)
                temporary.rename(folder / f"{number:06}.pb")
            self.send_response(400 if not good else 200 if known else 401)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("", port), Handler)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        # The handshake in the connection's thread, and not in the one that accepts.
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.serve_forever()


class Collector:
    def __init__(self, host, port=4318, token=None):
        """With a token: over TLS, with certificates in self.folder."""
        from certificates import make_certificates
        from lab import listening, wait_for
        self.host, self.folder = host, host.dir / "spans"
        self.folder.mkdir()
        self.addr = f"{host.ip}:{port}"
        if token:
            make_certificates(self.folder, host.ip)
        tls = [self.folder / "server.crt", self.folder / "server.key", token] if token else []
        self.process = host.start([sys.executable, __file__, str(port), str(self.folder), *tls],
                                  name="collector")
        wait_for("collector", lambda: listening(host, port))

    def config(self, **more):
        return {"tracing": dict(protocol="http", endpoint=self.addr, **more)}

    def spans(self):
        from foreign import BUILD, FOREIGN
        from lab import LabError
        files = sorted(str(f) for f in self.folder.glob("*.pb"))
        if not files:
            return []
        env = dict(os.environ, NODE_PATH=str(BUILD / "node_modules"))
        p = subprocess.run(["node", str(FOREIGN / "otlp.js"), *files], env=env, text=True,
                           capture_output=True, timeout=60)
        if p.returncode:
            raise LabError(f"what the collector was sent is no OTLP: {p.stderr}")
        return json.loads(p.stdout)


if __name__ == "__main__":
    serve(int(sys.argv[1]), pathlib.Path(sys.argv[2]), *sys.argv[3:])
