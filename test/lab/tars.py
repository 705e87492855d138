"""Layers by hand that try what an unpacker may get wrong, and layers of installed packages."""
import gzip
import io
import os
import pathlib
import struct
import subprocess
import tarfile
import tempfile

from story import check

CAPABILITY = struct.pack("<IIIII", 0x02000001, 0x2000, 0, 0, 0)  # cap_net_raw=ep
PACKAGES = ("base-files", "bash", "coreutils", "iproute2", "curl", "util-linux", "openssl", "attr",
            "procps", "python3-minimal", "tar", "dpkg")


# ---- tars by hand: only what the test says is in them
def pax(records):
    out = b""
    for key, value in records:
        body = b" " + key.encode() + b"=" + (value if isinstance(value, bytes) else value.encode()) + b"\n"
        n = len(body)
        while len(str(n)) + len(body) != n:
            n = len(str(n)) + len(body)
        out += str(n).encode() + body
    return out


def number(value, width):
    text = b"%0*o" % (width - 1, value) if value >= 0 else b""
    if 0 <= value and len(text) < width:
        return text + b"\0"
    return bytes([0x80 if value >= 0 else 0xff]) + (value % 256**(width - 1)).to_bytes(width - 1, "big")


def padded(data):
    return data + bytes(-len(data) % 512)


def header(name, kind, size, mode, uid, gid, mtime, link, dev, magic):
    h = bytearray(512)
    h[0:len(name)] = name
    for at, width, value in ((100, 8, mode), (108, 8, uid), (116, 8, gid), (124, 12, size),
                             (136, 12, mtime), (329, 8, dev[0]), (337, 8, dev[1])):
        h[at:at + width] = number(value, width)
    h[156:157] = kind
    h[157:157 + len(link)] = link
    h[257:257 + len(magic)] = magic
    h[148:156] = b"        "
    h[148:156] = b"%06o\0 " % sum(h)
    return bytes(h)


class Tar:
    def __init__(self):
        self.bytes = bytearray()

    def add(self, name, kind="0", data=b"", mode=None, uid=0, gid=0, mtime=1_600_000_000, link="",
            dev=(0, 0), records=(), magic=b"ustar\00000"):
        name, link = (x.encode() if isinstance(x, str) else x for x in (name, link))
        mode = mode if mode is not None else {"5": 0o755, "2": 0o777}.get(kind, 0o644)
        records = list(records)
        if len(name) > 100:
            records.append(("path", name))
        if len(link) > 100:
            records.append(("linkpath", link))
        if records:
            p = pax(records)
            self.bytes += header(b"PaxHeader", b"x", len(p), 0o644, 0, 0, 0, b"", (0, 0), magic) + padded(p)
        self.bytes += header(name[:100], kind.encode(), len(data), mode, uid, gid, mtime, link[:100], dev,
                             magic) + padded(data)
        return self

    def end(self):
        return bytes(self.bytes) + bytes(1024)


def xattr(name, value):
    return ("SCHILY.xattr." + name, value)


# ---- the layers: name -> (tar, tar whose extraction is the same; None = itself)
def kinds():
    t = Tar().add("./", "5", mode=0o711, uid=5, gid=6, mtime=77)
    for i, (kind, name) in enumerate([("0", "file"), ("5", "dir/"), ("6", "fifo")]):
        t.add(name, kind, mode=0o4755 + i, uid=i, gid=i + 1)
    t.add("link", "2", link="dir/../file").add("char", "3", dev=(1, 3), mode=0o666)
    t.add("block", "4", dev=(4095, 1048575), mode=0o660).add("block2", "4", dev=(8, 300))
    t.add("empty").add("old", "\0", b"old").add("olddir/", "\0", mode=0o755)
    return t.end()


def owners_and_times():
    t = Tar()
    for i, (u, s) in enumerate([(65535, 0), (65536, 1), (2**21, 2**31 - 1), (2**32 - 2, 2**31),
                                (2**31, 2**33), (70000, 1)]):
        t.add(f"f{i}", uid=u, gid=u - 1, mtime=s)
    t.add("ns", records=[("mtime", "1600000000.123456789")])
    t.add("tiny", records=[("mtime", "5.5")])
    t.add("big", records=[("uid", "3000000000"), ("gid", "4000000000")])
    t.add("d", "5", records=[("mtime", "1234567890.000000001")])
    return t.end()


def before_1970():
    """containerd knows no such time."""
    def of(times):
        t = Tar()
        for i, (s, record) in enumerate(times):
            t.add(f"f{i}", mtime=s, records=[("mtime", record)] if record else [])
        return t.end()
    return of([(-1, None), (-86400 * 365 * 60, None), (0, "-1.25")]), of([(0, None), (0, None), (0, "0")])


def trusted():
    """Attributes that an image may not set: containerd leaves them out."""
    def of(records):
        t = Tar().add("d/", "5", records=records + [xattr("user.kept", b"1")]).add("d/file", records=records)
        return t.add("opaque/", "5", records=records).end()
    return of([xattr("trusted.t", b"\0\1\2"), xattr("trusted.overlay.opaque", b"y"),
               xattr("trusted.overlay.redirect", b"/etc")]), of([])


def xattrs():
    t = Tar()
    t.add("ping", mode=0o755, data=b"x", records=[xattr("security.capability", CAPABILITY)])
    t.add("d", "5", records=[xattr("user.dir", b"yes")])
    for i in range(300):
        t.add(f"d/same{i}", records=[xattr("user.mime", b"text/plain"), xattr("user.no", b"%d" % i)])
    t.add("many", records=[xattr(f"user.n{i:03}", b"v" * i) for i in range(40)])
    t.add("big", records=[xattr("user.big", bytes(range(256)) * 8)])
    t.add("replaced", records=[xattr("user.a", b"1"), xattr("user.a", b"2")])
    t.add("empty", records=[xattr("user.empty", b"")])
    acl = struct.pack("<IHHIHHIHHIHHIHHI", 2, 1, 6, 0xffffffff, 2, 4, 1000, 4, 4, 0xffffffff, 16, 4,
                      0xffffffff, 32, 4, 0xffffffff)
    # GNU tar believes only its own spelling of it.
    t.add("acl", mode=0o644, records=[xattr("system.posix_acl_access", acl),
                                      ("SCHILY.acl.access", "user::rw-,user:1000:r--,group::r--,mask::r--,other::r--")])
    return t.end()


def hard_links():
    t = Tar().add("a/", "5").add("a/one", data=b"1" * 1000).add("b/", "5")
    for i in range(50):
        t.add(f"b/{i}", "1", link="a/one" if i % 2 else f"./b/{i - 1}" if i else "/a/one")
    t.add("sym", "2", link="a/one").add("symhard", "1", link="sym", mode=0o777)
    t.add("fifo", "6").add("fifo2", "1", link="fifo")
    return t.end()


def duplicates():
    t = Tar().add("d/", "5", mode=0o700).add("d/x", data=b"old" * 999).add("d/y", "1", link="d/x")
    t.add("d/x", data=b"new", mode=0o600).add("d/", "5", mode=0o750, mtime=5).add("e", "2", link="d")
    t.add("e", data=b"no link now").add("f").add("f", "2", link="d/x")
    return t.end()


def file_and_dir():
    nasty = Tar().add("a/", "5").add("a/b/", "5").add("a/b/c", data=b"gone").add("a", data=b"file")
    nasty.add("x", data=b"file").add("x/", "5").add("x/y", data=b"y").add("x", "2", link="a")
    nasty.add("z").add("z/", "5", mode=0o701)
    same = Tar().add("a", data=b"file").add("x", "2", link="a").add("z/", "5", mode=0o701)
    return nasty.end(), same.end()


def strange_paths():
    nasty = Tar().add("/abs", data=b"1").add("./././dot", data=b"2").add("a//b///c", data=b"3")
    nasty.add("../../up", data=b"4").add("q/../r", data=b"5").add("real/", "5").add("way", "2", link="real")
    nasty.add("way/through", data=b"6").add("in/", "5").add("in/out", "2", link="/real")
    nasty.add("in/out/deep", data=b"7").add("missing/parents/of/this", data=b"8")
    same = Tar().add("abs", data=b"1").add("dot", data=b"2").add("a/b/c", data=b"3").add("up", data=b"4")
    same.add("r", data=b"5").add("real/", "5").add("way", "2", link="real").add("real/through", data=b"6")
    same.add("in/", "5").add("in/out", "2", link="/real").add("real/deep", data=b"7")
    same.add("missing/parents/of/this", data=b"8")
    return nasty.end(), same.end()


def whiteouts():
    t = Tar().add("d/", "5").add("d/.wh.gone").add("d/kept", data=b"k")
    t.add("o/", "5").add("o/.wh..wh..opq").add("o/new", data=b"n").add("late/", "5").add("late/x")
    return t.add("late/.wh..wh..opq").add(".wh.top").end()


def aufs():
    """What aufs keeps for itself."""
    t = Tar().add(".wh..wh.plnk/", "5").add(".wh..wh.plnk/1.2", data=b"aufs").add(".wh..wh.aufs")
    return t.add("file", data=b"the layer's").end()


def whiteouts_of_what_is_there():
    t = Tar().add("d/", "5").add("d/kept", data=b"k").add("d/.wh.kept")
    return t.add("both/", "5").add("both/in").add(".wh.both").end()


def long_names(fmt):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=fmt) as t:
        for n in (99, 100, 101, 155, 156, 254, 255):
            t.addfile(tarfile.TarInfo("n" * n))
        for depth in (5, 20, 40):
            path = "/".join([f"{depth:02}" + "d" * 90] * depth)
            t.addfile(tarfile.TarInfo(path[:3900].rstrip("/") + "x"))
            ln = tarfile.TarInfo(f"link{depth}")
            ln.type, ln.linkname = tarfile.SYMTYPE, path[:3900]
            t.addfile(ln)
    return out.getvalue()


def symlinks():
    t = Tar()
    for n in (1, 59, 60, 100, 101, 400, 447, 448, 449, 484, 485, 511, 512, 513, 1000, 1024, 4095):
        t.add(f"s{n}", "2", link=("t" * 200 + "/") * 21 and (("t" * 200 + "/") * 21)[:n])
    return t.end()


def big_directory():
    t = Tar().add("d/", "5")
    for i in range(12000):
        t.add(f"d/{i * 7919 % 12000:x}-{'n' * (i % 60)}", data=b"%d" % i)
    for name in (b"d/ ", b"d/!", b"d/-", b"d/.a", b"d/..a", b"d/...", b"d/\xff\xfe", b"d/\x01", b"d/new\nline",
                 b"d/+", "d/grün".encode()):
        t.add(name, data=name)
    return t.end()


def sizes():
    t = Tar()
    for n in (0, 1, 511, 512, 513, 4095, 4096, 4097, 65536, 1 << 20, (1 << 20) + 1, 5_000_001):
        t.add(f"f{n}", data=(b"%d " % n) * (n // 3 + 1) if n == 0 else ((b"%d " % n) * n)[:n])
    return t.end()


def gnu_tar(make, *options):
    """What GNU tar writes of a folder that make(folder) fills."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        make(pathlib.Path(folder))
        return subprocess.run(["tar", "-C", folder, *options, "-cf", "-", "."], check=True,
                              capture_output=True).stdout


def sparse_files(folder):
    with open(folder / "holes", "wb") as f:
        for i in range(12):
            f.seek(i * 1_048_576 + 65536)
            f.write(b"data %d " % i * 600)
        f.truncate(40 << 20)
    with open(folder / "tail", "wb") as f:
        f.seek(3 << 20)
        f.write(b"end")
    with open(folder / "only-hole", "wb") as f:
        f.truncate(1 << 20)
    (folder / "plain").write_bytes(b"plain")


def whole_blocks(folder):
    """Sparse files whose pieces are blocks of the file system: the last piece, too, or the file's end."""
    sparse_files(folder)
    with open(folder / "holes", "r+b") as f:
        for i in range(12):
            f.seek(i * 1_048_576 + 65536)
            f.write(b"%04d" % i * 1024)


def package(name):
    files = subprocess.run(["dpkg", "-L", name], check=True, capture_output=True, text=True).stdout.split("\n")
    files = [f for f in files if f.startswith("/") and f != "/." and os.path.lexists(f)]
    # /bin is a link here, which packages do not know.
    files = [os.path.join(os.path.realpath(os.path.dirname(f)), os.path.basename(f)) for f in files]
    there = "\n".join("." + f for f in dict.fromkeys(files))
    p = subprocess.run(["tar", "-C", "/", "--xattrs", "--no-recursion", "--format=pax", "-cf", "-", "-T", "-"],
                       input=there.encode(), capture_output=True)
    check(p.returncode < 2, p.stderr.decode())  # 1: something changed meanwhile, as /tmp's time
    return p.stdout


def layers():
    out = {"kinds": kinds(), "contiguous": Tar().add("seven", "7", b"contiguous").end(),
           "owners-times": owners_and_times(), "before-1970": before_1970(), "trusted": trusted(),
           "xattrs": xattrs(), "hard-links": hard_links(),
           "duplicates": duplicates(), "file-and-dir": file_and_dir(), "strange-paths": strange_paths(),
           "whiteouts": whiteouts(), "whiteouts-after": whiteouts_of_what_is_there(),
           "aufs": aufs(), "long-gnu": long_names(tarfile.GNU_FORMAT),
           "long-pax": long_names(tarfile.PAX_FORMAT), "symlinks": symlinks(),
           "big-directory": big_directory(), "sizes": sizes(), "empty": bytes(10240)}
    for what, options in {"gnu": ["--format=gnu"], "0.0": ["--format=pax", "--sparse-version=0.0"],
                          "0.1": ["--format=pax", "--sparse-version=0.1"],
                          "1.0": ["--format=pax", "--sparse-version=1.0"]}.items():
        out["sparse-" + what.replace(".", "")] = gnu_tar(whole_blocks, "-S", *options)
    for fmt in ("v7", "ustar", "oldgnu"):
        out["format-" + fmt] = gnu_tar(lambda d: (d / ("p" * 80)).mkdir() or
                                       (d / ("p" * 80) / "f").write_text(fmt), "--format=" + fmt)
    have = subprocess.run(["dpkg-query", "-Wf", "${Package}\n"], capture_output=True, text=True).stdout.split()
    for p in PACKAGES:
        if p in have:
            out["package-" + p] = package(p)
    return out


def compress(data, no):
    """One of the four forms that a layer comes in; the same bytes each time."""
    kind = no % 4
    if kind == 0:
        return data
    if kind == 1:
        return gzip.compress(data, 6, mtime=0)
    step = len(data) // 3 + 1
    parts = [data[i:i + step] for i in range(0, len(data), step)]
    if kind == 2:  # members, as pigz -i and eStargz write them
        return b"".join(gzip.compress(p, mtime=0) for p in parts)
    return b"".join(subprocess.run(["zstd", "-q", "-c"], input=p, check=True, capture_output=True).stdout
                    for p in parts)  # frames
