#!/usr/bin/python3
"""A real daemon whose piece port is reached through a go-between that spoils what it sends.

    with BadParent(daemon, "stall") as bad:     # or "lie", "forge"
        ...
        bad.count()                             # how often it did

stall: of every answer only the first tenth of a piece passes, then nothing more and no end.
lie:   one byte of every 64 KiB is another one.
forge: one byte of every piece is another one, and the piece's checksum is right again.
All else of the daemon (its announcements, its gRPC) is as healthy as can be, which is worse than a
dead parent. As a program: bad_parent.py KIND LISTEN_PORT TARGET_PORT, a line of output for each deed.
"""
import socket
import struct
import sys
import threading
import time
import zlib

PIECE_PORT, SPOILED_PORT = 4005, 5005
TENTH = (4 << 20) // 10
BLOCKS = 201  # the tag of a piece by blocks
CONTENT = (1, BLOCKS)


class BadParent:
    def __init__(self, daemon, kind):
        from lab import listening, wait_for
        self.host = daemon.host
        self.process = self.host.start([sys.executable, __file__, kind, SPOILED_PORT, PIECE_PORT],
                                       name=f"bad-parent-{kind}")
        wait_for("the go-between", lambda: listening(self.host, SPOILED_PORT))
        self.host.run("nft", "add table ip bad; add chain ip bad in { type nat hook prerouting "
                      f"priority -100; }}; add rule ip bad in tcp dport {PIECE_PORT} redirect to "
                      f":{SPOILED_PORT}")

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.host.run("nft", "delete table ip bad", check=False)
        self.process.stop()

    def count(self):
        return self.process.log_text().count("\n")


class Connection:
    """One child's: requests pass as they are, answers are spoiled."""

    def __init__(self, kind, child, target):
        self.child, self.spoil = child, getattr(self, kind)
        self.parent = socket.create_connection(("127.0.0.1", target))
        self.passed = 0  # of the answer to the last request
        self.held = b""  # of a piece that is to be forged
        for fn in (self.requests, self.answers):
            threading.Thread(target=fn, daemon=True).start()

    def requests(self):
        try:
            while data := self.child.recv(4096):
                self.passed = 0
                self.parent.sendall(data)
            self.parent.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def answers(self):
        try:
            while data := self.parent.recv(1 << 16):
                self.child.sendall(self.spoil(data))
            self.child.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def stall(self, data):
        self.passed += len(data)
        if self.passed >= TENTH:
            print("stalls", flush=True)
            while True:
                time.sleep(3600)
        return data

    def lie(self, data):
        if len(data) < 4096:
            return data
        if self.passed == 0:
            print("lies", flush=True)
        self.passed += len(data)
        return data[:-1] + bytes([data[-1] ^ 1])

    def forge(self, data):
        """Packets of daemon/vortex.h: a header, a value, and behind that of a content's tag the piece."""
        self.held += data
        out = b""
        while len(self.held) >= 6:
            kind, tag, length = struct.unpack(">BBI", self.held[:6])
            end = 6 + length
            if tag in CONTENT and len(self.held) >= end:
                end += struct.unpack(">Q", self.held[22:30])[0]
            if len(self.held) < end:
                break
            packet, self.held = self.held[:end], self.held[end:]
            out += (self.forged(kind, tag, packet[6:6 + length], packet[6 + length:]) if tag in CONTENT
                    else packet)
        return out

    def forged(self, kind, tag, value, piece):
        print("forges", flush=True)
        digest_end = 28 + struct.unpack(">I", value[24:28])[0]
        blocks_at = digest_end + 4 + struct.unpack(">I", value[digest_end:digest_end + 4])[0] + 17
        rest, first, size = value[digest_end:], 0, len(piece)
        if tag == BLOCKS:
            first, count, _, size = struct.unpack(">BBBI", value[blocks_at:blocks_at + 7])
        turned = len(piece) - first * size  # it begins with that block, what is before it comes last
        piece = piece[turned:] + piece[:turned]
        piece = piece[:-1] + bytes([piece[-1] ^ 1])
        if tag == BLOCKS:
            rest = value[digest_end:blocks_at + 7] + b"".join(
                struct.pack(">I", zlib.crc32(piece[i * size:(i + 1) * size])) for i in range(count))
        digest = f"crc32:{zlib.crc32(piece)}".encode()
        value = value[4:24] + struct.pack(">I", len(digest)) + digest + rest
        value = struct.pack(">I", len(value)) + value
        return struct.pack(">BBI", kind, tag, len(value)) + value + piece[first * size:] + piece[:first * size]


def main(kind, listen_port, target):
    with socket.create_server(("", int(listen_port)), backlog=128) as server:
        while True:
            child, _ = server.accept()
            Connection(kind, child, int(target))


if __name__ == "__main__":
    main(*sys.argv[1:])
