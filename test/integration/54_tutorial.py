"""The block of docs/tutorials/first-five-minutes.md, run as it stands in a network of its own, without root."""
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
import story
from lab import BIN, ROOT, Lab
from story import check, equal

SIZE = 50_000_000


def test_first_five_minutes():
    text = (ROOT / "docs/tutorials/first-five-minutes.md").read_text()
    block = re.search(r"^```\n(.*?)^```$", text, re.M | re.S)[1]
    with Lab() as lab:
        host = lab.host("laptop")
        lab.dir.chmod(0o755)
        # Where nobody may read: the project's own folder may be root's alone.
        programs = lab.dir / "bin"
        programs.mkdir()
        for name in ("dfdaemon", "dfget", "scheduler"):
            shutil.copy(BIN / name, programs)
        block = block.replace("export PATH=$PWD/build/bin:", f"export PATH={programs}:")
        p = subprocess.run(host.enter("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
                                      "bash", "-c", block), capture_output=True, text=True, timeout=240,
                           cwd="/", env={**os.environ, "HOME": "/tmp"})
        print(p.stderr.strip())
        traffic = dict(re.findall(r'^dragonfly_client_download_traffic\{type="(\w+)"\} (\d+)', p.stdout, re.M))
        check(traffic, f"the counters are shown: {p.stdout} {p.stderr}")
        equal(int(traffic["REMOTE_PEER"]), SIZE, f"bytes from the peer: {traffic}")
        equal(int(traffic.get("BACK_TO_SOURCE", 0)), 0, "bytes from the origin")


story.run(globals())
