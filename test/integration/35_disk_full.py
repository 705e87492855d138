"""The store's disk is far too small: readers get their bytes all the same, and the log says why, once."""
import hashlib
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
import story
from lab import Lab, sh
from skimmer import Daemon, Nginx, random_file
from story import check, equal

SIZE, DISK = 96 << 20, 24 << 20


def test_a_blob_that_does_not_fit_is_read():
    with Lab() as lab:
        origin, host = lab.host("origin"), lab.host("node")
        web = origin.dir / "web"
        web.mkdir()
        digest = random_file(web / "blob", SIZE)
        address = Nginx(origin, web).addr.removesuffix(":80")
        store = host.dir / "dfdaemon" / "store"
        store.mkdir(parents=True)
        sh("mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(store))
        node = Daemon(host)
        path = node.mount / "http" / address / "blob"
        for time in ("first", "second"):
            h = hashlib.sha256()
            with open(path, "rb") as f:
                while data := f.read(1 << 20):
                    h.update(data)
            equal(h.hexdigest(), digest, f"what is read the {time} time")
        told = [l for l in node.process.log_text().splitlines() if "takes no more pieces" in l]
        check(1 <= len(told) <= 4, f"the log tells it once an episode, not {len(told)} times")
        check(node.process.rss_kib(peak=True) < 64 << 10, "memory stays bounded")
        check(node.process.alive(), "the daemon lives")


story.run(globals())
