"""Trees of layers: what an unpacker makes of one, and everything that can be said of it."""
import hashlib
import os
import pathlib
import shutil
import stat
import subprocess
import tarfile

from story import equal


def has_erofs():
    if shutil.which("modprobe"):
        subprocess.run(["modprobe", "erofs"], capture_output=True)
    return "erofs" in pathlib.Path("/proc/filesystems").read_text()


def extract(tar, folder):
    folder.mkdir()
    p = subprocess.run(["tar", "--numeric-owner", "-p", "--xattrs", "--xattrs-include=*", "--acls",
                        "--delay-directory-restore", "-C", folder, "-xf", tar], capture_output=True)
    equal(p.returncode, 0, f"tar x {tar}: {p.stderr.decode()}")
    # Of the root containerd takes nothing from a layer.
    os.chmod(folder, 0o755)
    os.chown(folder, 0, 0)


def as_overlayfs(folder):
    """What an unpacker makes of whiteouts."""
    opaque, gone = set(), []
    for path, dirs, files in os.walk(folder):
        for name in files + dirs:
            if name.startswith(".wh."):
                gone.append(pathlib.Path(path) / name)
    for at in gone:
        times = os.lstat(at), os.lstat(at.parent)
        shutil.rmtree(at) if at.is_dir() else at.unlink()
        if at.name == ".wh..wh..opq":
            opaque.add(at.parent)
        elif not at.name.startswith(".wh..wh."):
            hidden = at.parent / at.name[4:]
            if not os.path.lexists(hidden):
                os.mknod(hidden, stat.S_IFCHR, 0)
                os.chmod(hidden, 0)
                os.utime(hidden, ns=(0, times[0].st_mtime_ns))
            elif hidden.is_dir():
                opaque.add(hidden)
        os.utime(at.parent, ns=(0, times[1].st_mtime_ns))
    for at in opaque:
        ns = os.lstat(at).st_mtime_ns
        os.setxattr(at, "trusted.overlay.opaque", b"y")
        os.utime(at, ns=(0, ns))


def named_dirs(tar):
    """Directories that the archive has an entry for; others were made, when they were made."""
    with tarfile.open(tar) as t:
        return {os.path.normpath("/" + m.name)[1:] for m in t if m.isdir()}


def tree(folder, dirs):
    """path -> everything that lstat, readlink, getxattr and read say."""
    out, first = {}, {}
    for path, subdirs, files in os.walk(os.fsencode(folder)):
        for full in [path] + [os.path.join(path, f) for f in files] + \
                [os.path.join(path, d) for d in subdirs if os.path.islink(os.path.join(path, d))]:
            rel, s = os.path.relpath(full, os.fsencode(folder)), os.lstat(full)
            is_dir, rest = stat.S_ISDIR(s.st_mode), None
            if stat.S_ISREG(s.st_mode):
                with open(full, "rb") as f:
                    rest = hashlib.sha256(f.read()).hexdigest()
            elif stat.S_ISLNK(s.st_mode):
                rest = os.readlink(full)
            mtime = s.st_mtime_ns
            whiteout = stat.S_ISCHR(s.st_mode) and s.st_rdev == 0
            if whiteout or is_dir and os.fsdecode(rel) not in dirs:
                mtime = None  # when it was unpacked
            out[rel] = {"mode": oct(s.st_mode), "uid": s.st_uid, "gid": s.st_gid, "mtime": mtime,
                        "rdev": s.st_rdev if stat.S_ISCHR(s.st_mode) or stat.S_ISBLK(s.st_mode) else 0,
                        "size": None if is_dir else s.st_size, "nlink": None if is_dir else s.st_nlink,
                        "xattrs": {n: os.getxattr(full, n, follow_symlinks=False)
                                   for n in os.listxattr(full, follow_symlinks=False)},
                        "same as": first.setdefault(s.st_ino, rel) if s.st_nlink > 1 and not is_dir else None,
                        "content": rest}
    for group in {e["same as"] for e in out.values()} - {None}:  # the order of walking is not compared
        names = [n for n, e in out.items() if e["same as"] == group]
        for n in names:
            out[n]["same as"] = min(names)
    return out


def differences(got, want):
    """The first few; got is by the index, want is the unpacker's."""
    out = [f"{os.fsdecode(n)} only on one side" for n in sorted(got.keys() ^ want.keys())]
    for n in sorted(got.keys() & want.keys()):
        out += [f"{os.fsdecode(n)} {k}: index {str(got[n][k])[:80]}, unpacked {str(v)[:80]}"
                for k, v in want[n].items() if got[n][k] != v]
    return out[:12]
