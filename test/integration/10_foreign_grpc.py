#!/usr/bin/env python3
"""A gRPC client made of other people's parts talks to proto/rpc.

HTTP/2 and HPACK by python3-h2, messages by Google's own protobuf, so nothing here is shared with
gRPC C core or protobuf-c. Every message that a service speaks of is filled at random (seed in
SEED), sent to a server that unpacks and packs it, and must come back equal. The .proto files are
read here with proto3 "optional" instead of the oneofs of one that stand in for it, which shows that
the bytes are the same.
"""
import gzip
import importlib
import os
import pathlib
import random
import re
import socket
import subprocess
import sys
import tempfile
import time

import h2.config
import h2.connection
import h2.events
import h2.exceptions

ROOT = pathlib.Path(__file__).resolve().parents[2]
SERVER = ROOT / "build/test/unit_proto_rpc_stream"
TIMEOUT_S = 20


def load_messages(folder):
    """Generates Python from proto/*.proto; returns the modules by file stem."""
    stems = []
    for file in sorted((ROOT / "proto").glob("*.proto")):
        text = file.read_text()
        text = re.sub(r"oneof (\w+)_ \{ (\w+) (\w+) = (\d+); \}", r"optional \2 \3 = \4;", text)
        (folder / file.name).write_text(text)
        stems.append(file.stem)
    subprocess.run(["protoc", f"-I{folder}", f"--python_out={folder}"]
                   + [f"{s}.proto" for s in stems], cwd=folder, check=True)
    sys.path.insert(0, str(folder))
    return {s: importlib.import_module(f"{s}_pb2") for s in stems}


class Client:
    """One HTTP/2 connection; one call at a time."""

    def __init__(self, port):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.conn = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self.conn.initiate_connection()
        self.flush()

    def flush(self):
        self.sock.sendall(self.conn.data_to_send())

    def start(self, path, *metadata):
        stream = self.conn.get_next_available_stream_id()
        self.conn.send_headers(stream, [
            (":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "test"),
            ("te", "trailers"), ("content-type", "application/grpc"), *metadata])
        self.flush()
        return Call(self, stream)

    def receive(self):
        data = self.sock.recv(65536)
        assert data, "the server closed the connection"
        events = self.conn.receive_data(data)
        self.flush()
        return events


class Call:
    def __init__(self, client, stream):
        self.client, self.stream = client, stream
        self.head, self.trailer, self.data, self.ended = {}, {}, b"", False

    def send(self, message, end=False):
        body = message.SerializeToString()
        self.send_bytes(b"\0" + len(body).to_bytes(4, "big") + body, end)

    def send_bytes(self, body, end=False):
        conn = self.client.conn
        while body and not self.ended:
            room = min(conn.local_flow_control_window(self.stream), conn.max_outbound_frame_size)
            if room <= 0: # below 0 when the window was made smaller under way
                self.step()
                continue
            conn.send_data(self.stream, body[:room], end_stream=end and len(body) <= room)
            body = body[room:]
            self.client.flush()

    def half_close(self):
        self.client.conn.end_stream(self.stream)
        self.client.flush()

    def cancel(self):
        self.client.conn.reset_stream(self.stream, 8)
        self.client.flush()

    def step(self):
        """Takes what the server has sent."""
        for event in self.client.receive():
            if getattr(event, "stream_id", None) != self.stream:
                continue
            if isinstance(event, h2.events.DataReceived):
                self.data += event.data
                self.client.conn.acknowledge_received_data(
                    event.flow_controlled_length, self.stream)
                self.client.flush()
            elif isinstance(event, h2.events.ResponseReceived):
                self.head = dict(event.headers)
                self.ended = "grpc-status" in self.head
                self.trailer = self.head if self.ended else {}
            elif isinstance(event, h2.events.TrailersReceived):
                self.trailer = dict(event.headers)
                self.ended = True
            elif isinstance(event, h2.events.StreamReset):
                self.ended = True

    def message(self, type_):
        """The next message, or None at the end."""
        while True:
            if len(self.data) >= 5:
                size = int.from_bytes(self.data[1:5], "big")
                if len(self.data) >= 5 + size:
                    assert self.data[0] == 0, "compressed"
                    body, self.data = self.data[5:5 + size], self.data[5 + size:]
                    return type_.FromString(body)
            if self.ended:
                assert not self.data, "a torn message"
                return None
            self.step()

    def status(self):
        while not self.ended:
            self.step()
        return int(self.trailer["grpc-status"])

    def wait_head(self):
        while not self.head:
            self.step()
        assert self.head[":status"] == "200" and \
            self.head["content-type"].startswith("application/grpc"), self.head


def unary(client, path, request, type_, *metadata):
    call = client.start(path, *metadata)
    call.send(request, end=True)
    return call.message(type_), call


def fill(message, rng, depth):
    """Random values; each optional field present or not, zero as likely as anything."""
    chosen = {o.name: rng.choice(o.fields) for o in message.DESCRIPTOR.oneofs}
    for field in message.DESCRIPTOR.fields:
        if field.containing_oneof and chosen[field.containing_oneof.name] is not field:
            continue
        if rng.random() < 0.3:
            continue
        target = getattr(message, field.name)
        repeated = field.label == field.LABEL_REPEATED
        if field.message_type and field.message_type.GetOptions().map_entry:
            for _ in range(rng.randrange(4)):
                target[text(rng)] = text(rng)
        elif field.message_type and depth > 0:
            if not repeated:
                target.SetInParent()
            for _ in range(rng.randrange(3) if repeated else 1):
                fill(target.add() if repeated else target, rng, depth - 1)
        elif field.message_type:
            continue
        elif repeated:
            target.extend(value(field, rng) for _ in range(rng.randrange(4)))
        else:
            setattr(message, field.name, value(field, rng))


def text(rng):
    return "".join(rng.choice("aZ09/:=&é€𝄞 ") for _ in range(rng.randrange(12)))


def value(field, rng):
    if field.enum_type:
        return rng.choice(field.enum_type.values).number
    if field.cpp_type == field.CPPTYPE_STRING:
        return text(rng) if field.type == field.TYPE_STRING else rng.randbytes(rng.randrange(9))
    if field.cpp_type == field.CPPTYPE_BOOL:
        return rng.random() < 0.5
    if field.cpp_type == field.CPPTYPE_DOUBLE:
        return rng.choice([0.0, -0.5, 1e300, rng.random()])
    bits = {field.CPPTYPE_INT32: 31, field.CPPTYPE_INT64: 63,
            field.CPPTYPE_UINT32: 32, field.CPPTYPE_UINT64: 64}[field.cpp_type]
    number = rng.choice([0, 1, 2 ** bits - 1, rng.getrandbits(bits)])
    return -number if bits % 2 and rng.random() < 0.5 else number


def check_messages(client, modules, rng):
    kinds = {}
    for module in modules.values():
        for service in module.DESCRIPTOR.services_by_name.values():
            if service.full_name.startswith("grpc."):
                continue
            for method in service.methods:
                for kind in (method.input_type, method.output_type):
                    kinds[kind.full_name] = kind._concrete_class
    for name, type_ in sorted(kinds.items()):
        for _ in range(20):
            request = type_()
            fill(request, rng, 4)
            answer, call = unary(client, f"/test.Message/{name}", request, type_)
            assert call.status() == 0, (name, call.trailer)
            assert answer == request, f"{name}:\nsent {request}\ngot {answer}"
    assert len(kinds) > 80
    print(f"{len(kinds)} messages survive protobuf-c")


def check_calls(client, modules):
    Range = modules["common_v2"].Range
    health = modules["health_v1"]

    answer, call = unary(client, "/test.Test/Echo", Range(start=5, length=2 ** 64 - 1), Range)
    assert answer == Range(start=5, length=2 ** 64 - 1) and call.status() == 0

    answer, call = unary(client, "/test.Test/None", Range(), Range)
    assert answer is None and call.status() == 12, call.trailer

    answer, call = unary(client, "/test.Test/Refuse", Range(), Range)
    assert call.status() == 9
    assert call.trailer["grpc-message"] == "not like \"this\" %E2%82%AC", call.trailer
    assert call.trailer["grpc-status-details-bin"].startswith("eyJhIjo"), call.trailer

    answer, _ = unary(client, "/grpc.health.v1.Health/Check",
                      health.HealthCheckRequest(service="test.Test"), health.HealthCheckResponse)
    assert answer.status == health.HealthCheckResponse.SERVING
    print("unary calls, their errors and details")


def check_streams(client, modules):
    Range = modules["common_v2"].Range

    call = client.start("/test.Test/Count")
    call.send(Range(start=1, length=700), end=True)
    got = []
    while (answer := call.message(Range)) is not None:
        got.append(answer.start)
    assert got == list(range(1, 701)) and call.status() == 0

    call = client.start("/test.Test/Chat")
    for i in range(100):
        call.send(Range(start=i))
        assert call.message(Range).start == i
    call.half_close()
    assert call.message(Range) is None and call.status() == 0

    # tonic's timeout is that of the header: the stream goes on after it
    call = client.start("/test.Test/Chat", ("grpc-timeout", "50m"))
    until = time.monotonic() + 0.5
    while time.monotonic() < until:
        call.send(Range(start=1))
        assert call.message(Range).start == 1, call.trailer
    call.half_close()
    assert call.message(Range) is None and call.status() == 0

    # the header comes before there is anything to say: tonic's clients wait for it
    call = client.start("/test.Test/Hold")
    call.send(Range(start=1))
    call.wait_head()
    call.cancel()
    answer, _ = unary(client, "/test.Test/Echo", Range(start=6), Range)
    assert answer.start == 6
    print("streams, early header, cancel")


def check_connection(client, modules):
    Range = modules["common_v2"].Range
    Request = modules["dfdaemon_v2"].DownloadTaskRequest

    # far more than a stream's window, in both directions
    request = Request()
    request.download.url = "x" * 3_000_000
    answer, _ = unary(client, "/test.Message/dfdaemon.v2.DownloadTaskRequest", request, Request)
    assert answer == request

    for _ in range(200):  # C core's default would be GOAWAY: too many pings
        client.conn.ping(b"12345678")
        client.flush()
    answer, _ = unary(client, "/test.Test/Echo", Range(start=7), Range)
    assert answer.start == 7
    print("3 MB message, 200 pings")


def check_hogs(port, client, modules, server):
    """What a stranger may cost."""
    Range = modules["common_v2"].Range
    Request = modules["dfdaemon_v2"].DownloadTaskRequest

    # a gigabyte in a megabyte: nothing is unpacked
    request = Request()
    request.download.url = "x" * 15_000_000
    body = gzip.compress(request.SerializeToString())
    call = client.start("/test.Message/dfdaemon.v2.DownloadTaskRequest", ("grpc-encoding", "gzip"))
    call.send_bytes(b"\1" + len(body).to_bytes(4, "big") + body, end=True)
    assert call.message(Request) is None and call.status() == 12, call.trailer

    # headers over the limit: of the first call, and of one after the server's settings are known
    for first in (True, False):
        rude = Client(port)
        if not first:
            unary(rude, "/test.Test/Echo", Range(), Range)
        call = rude.start("/test.Test/Echo", ("x-long", "y" * 40_000))
        try:
            call.send(Range(start=1), end=True)
            assert call.message(Range) is None
            assert first == (call.trailer.get("grpc-status") == "8"), call.trailer
        except h2.exceptions.StreamClosedError:
            assert not first  # core resets the stream and sends trailers all the same
    answer, _ = unary(client, "/test.Test/Echo", Range(start=8), Range)
    assert answer.start == 8

    # unfinished messages, each below the limit, 150 MB together: calls are cancelled, and idle
    # connections are told to go
    hog = Client(port)
    for _ in range(10):
        call = hog.start("/test.Test/Chat")
        call.send_bytes(b"\0" + (16_000_000).to_bytes(4, "big") + b"x" * 15_000_000)
    answer, _ = unary(Client(port), "/test.Test/Echo", Range(start=9), Range)
    assert answer.start == 9
    status = pathlib.Path(f"/proc/{server.pid}/status").read_text()
    peak_mb = int(re.search(r"VmHWM:\s+(\d+)", status)[1]) // 1024
    assert peak_mb < 110, peak_mb
    print(f"compressed, long headers, unfinished messages: {peak_mb} MB at most")


def main():
    seed = int(os.environ.get("SEED", random.randrange(1 << 32)))
    print(f"SEED={seed}")
    with tempfile.TemporaryDirectory() as folder:
        modules = load_messages(pathlib.Path(folder))
        server = subprocess.Popen([SERVER, "serve"], stdout=subprocess.PIPE)
        try:
            port = int(server.stdout.readline())
            client = Client(port)
            check_calls(client, modules)
            check_streams(client, modules)
            check_connection(client, modules)
            check_messages(client, modules, random.Random(seed))
            check_hogs(port, client, modules, server)
        finally:
            server.kill()
            server.wait()


main()
