"""Images whose layers bring a table of contents of their own, made by hand from the formats' descriptions:
eStargz (stargz-snapshotter, docs/estargz.md) and zstd:chunked (containers/storage, pkg/chunked/internal)."""
import gzip
import hashlib
import json
import platform
import struct
import subprocess
import time

from tars import Tar, padded

MTIME = 1_600_000_000
GZIP, ZSTD = "estargz", "zstd:chunked"
MEDIA = {GZIP: "application/vnd.oci.image.layer.v1.tar+gzip", ZSTD: "application/vnd.oci.image.layer.v1.tar+zstd"}
MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
SKIPPABLE = b"\x50\x2a\x4d\x18"


def sha256(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def flip(data, at):
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1:]


class TocLayer:
    def __init__(self, kind, chunk=512 << 10):
        self.kind, self.chunk = kind, chunk
        self.tar, self.blob, self.flushed, self.entries = bytearray(), bytearray(), 0, []

    def flush(self):
        """What is not in the blob yet becomes a member, a frame."""
        data, self.flushed = bytes(self.tar[self.flushed:]), len(self.tar)
        if data:
            self.blob += self.compress(data)

    def compress(self, data):
        if self.kind == GZIP:
            return gzip.compress(data, 1, mtime=0)
        return subprocess.run(["zstd", "-q", "-c"], input=data, stdout=subprocess.PIPE, check=True).stdout

    def entry(self, name, what, **more):
        when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(MTIME))
        self.entries.append({"name": name, "type": what, "modtime": when, "uid": 0, "gid": 0, **more})

    def dir(self, name, mode=0o755):
        self.tar += Tar().add(name + "/", "5", mode=mode, mtime=MTIME).bytes
        self.entry(name + "/", "dir", mode=mode)
        return self

    def link(self, name, target, what):
        mode = {"symlink": 0o777, "hardlink": 0o644}[what]
        self.tar += Tar().add(name, {"symlink": "2", "hardlink": "1"}[what], link=target, mode=mode, mtime=MTIME).bytes
        self.entry(name, what, linkName=target, mode=mode)
        return self

    def file(self, name, data, mode=0o644):
        whole = Tar().add(name, "0", data, mode=mode, mtime=MTIME).bytes
        self.tar += whole[:len(whole) - len(padded(data))]
        more = {"mode": mode, "size": len(data), "digest": sha256(data)}
        for at in range(0, len(data), self.chunk):
            part = data[at:at + self.chunk]
            self.flush()
            place = {"offset": len(self.blob), "chunkDigest": sha256(part)}
            if len(data) > self.chunk:
                place |= {"chunkOffset": at, "chunkSize": len(part)}
            if at:
                self.entries.append({"name": name, "type": "chunk", **place})
            else:
                self.entry(name, "reg", **more, **place)
            self.tar += part
        if not data:
            self.entry(name, "reg", **more)
        self.tar += bytes(-len(data) % 512)
        return self

    def end(self, spoil=False):
        """spoil: the table has a bit changed after its digest was noted."""
        table = json.dumps({"version": 1, "entries": self.entries}).encode()
        annotation = self.end_gzip(table, spoil) if self.kind == GZIP else self.end_zstd(table, spoil)
        self.tar, self.blob = bytes(self.tar), bytes(self.blob)
        self.diff_id = sha256(self.tar)
        self.item = {"mediaType": MEDIA[self.kind], "digest": sha256(self.blob), "size": len(self.blob),
                     "annotations": annotation}
        return self

    def end_gzip(self, table, spoil):
        told = sha256(table)
        if spoil:
            # Still JSON: a digit of the first file's digest.
            table = flip(table, table.index(b'"chunkDigest": "sha256:') + 30)
        self.flush()
        offset = len(self.blob)
        self.tar += Tar().add("stargz.index.json", "0", table, mode=0o444, mtime=0).end()
        self.flush()
        extra = b"SG" + struct.pack("<H", 22) + b"%016xSTARGZ" % offset
        self.blob += b"\x1f\x8b\x08\x04\0\0\0\0\0\xff" + struct.pack("<H", len(extra)) + extra
        self.blob += b"\x01\0\0\xff\xff" + bytes(8)
        return {"containerd.io/snapshot/stargz/toc.digest": told}

    def end_zstd(self, table, spoil):
        self.tar += bytes(1024)
        self.flush()
        frame = self.compress(table)
        told = sha256(frame)
        if spoil:
            frame = flip(frame, len(frame) // 2)
        self.blob += SKIPPABLE + struct.pack("<I", len(frame))
        place = (len(self.blob), len(frame), len(table), 1)
        self.blob += frame + SKIPPABLE + struct.pack("<I", 64)
        self.blob += struct.pack("<7Q", *place, 0, 0, 0) + b"GNUlInUx"
        return {"io.github.containers.zstd-chunked.manifest-checksum": told,
                "io.github.containers.zstd-chunked.manifest-position": ":".join(map(str, place))}


def write_image(layout, tag, layers):
    """An OCI layout of this one image; the digests of its layers."""
    blobs = layout / "blobs/sha256"
    blobs.mkdir(parents=True)

    def put(data):
        (blobs / hashlib.sha256(data).hexdigest()).write_bytes(data)
        return {"digest": sha256(data), "size": len(data)}

    for layer in layers:
        put(layer.blob)
    config = put(json.dumps({"architecture": MACHINES[platform.machine()], "os": "linux",
                             "config": {"Cmd": ["/bin/busybox"]},
                             "rootfs": {"type": "layers", "diff_ids": [l.diff_id for l in layers]}}).encode())
    manifest = put(json.dumps({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", **config},
        "layers": [l.item for l in layers]}).encode())
    (layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [
        {"mediaType": "application/vnd.oci.image.manifest.v1+json", **manifest,
         "annotations": {"org.opencontainers.image.ref.name": tag}}]}))
    return [l.item["digest"] for l in layers]
