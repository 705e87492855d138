#!/usr/bin/python3
"""An origin that fails on request: a file server with ranges.

    origin.py PORT FOLDER
    GET /-/fail/KIND/COUNT    the next COUNT answers for files are KIND: 500, 429, or "short" (the
                              connection is closed after a tenth of what was promised)
    GET /-/told               JSON: bytes of files given, failures given, failures still to come
"""
import http.server
import json
import os
import pathlib
import re
import sys
import threading

lock = threading.Lock()
told = {"bytes": 0, "failed": 0, "left": 0, "kind": ""}  # under lock


def next_failure():
    with lock:
        if not told["left"]:
            return None
        told["left"] -= 1
        told["failed"] += 1
        return told["kind"]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    folder = None

    def log_message(self, *args):
        pass

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for k, v in headers.items():
            self.send_header(k.replace("_", "-"), v)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def control(self):
        if m := re.fullmatch(r"/-/fail/(500|429|short)/(\d+)", self.path):
            with lock:
                told.update(kind=m[1], left=int(m[2]), failed=0)
            self.answer(200)
        elif self.path == "/-/told":
            with lock:
                self.answer(200, json.dumps(told).encode())
        else:
            self.answer(404)

    def do_GET(self):
        if self.path.startswith("/-/"):
            self.control()
            return
        file = self.folder / os.path.basename(self.path)
        if not file.is_file():
            self.answer(404)
            return
        failure = next_failure()
        if failure == "500":
            self.answer(500, b"out of order")
        elif failure == "429":
            self.answer(429, b"too many", Retry_After="1")
        else:
            self.send_file(file, failure == "short")

    do_HEAD = do_GET

    def send_file(self, file, short):
        size = file.stat().st_size
        first, last = 0, size - 1
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if wanted:
            first, last = int(wanted[1]), min(int(wanted[2] or last), last)
        if first > last:
            self.answer(416, Content_Range=f"bytes */{size}")
            return
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(last - first + 1))
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", f'"{file.stat().st_mtime_ns:x}-{size:x}"')
        if wanted:
            self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
        self.end_headers()
        if self.command == "HEAD":
            return
        length = last - first + 1
        self.close_connection = short
        with open(file, "rb") as f:
            self.send_bytes(f, first, length // 10 if short else length)

    def send_bytes(self, f, offset, count):
        while count:
            n = os.sendfile(self.connection.fileno(), f.fileno(), offset, min(count, 1 << 20))
            if n == 0:
                break
            offset, count = offset + n, count - n
            with lock:
                told["bytes"] += n


class Server(http.server.ThreadingHTTPServer):
    daemon_threads, request_queue_size = True, 256

    def handle_error(self, request, client_address):
        pass  # a client that goes is no event


if __name__ == "__main__":
    Handler.folder = pathlib.Path(sys.argv[2])
    Server(("", int(sys.argv[1])), Handler).serve_forever()
