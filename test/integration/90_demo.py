"""script/demo --once, as a new user runs it; and it leaves nothing behind."""
import os
import pathlib
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
import story
from lab import ROOT, sh
from story import check, equal


def test_demo_ends_well_and_leaves_nothing():
    p = subprocess.run([ROOT / "script/demo", "--once"], capture_output=True, text=True, timeout=600)
    print(p.stdout[-2500:], p.stderr[-1500:], sep="\n")
    equal(p.returncode, 0, "exit code")
    equal(p.stdout.splitlines()[-1], "demo ok origin_copies=1", "last line")
    equal([l for l in sh("ip", "netns", "list").splitlines() if l.startswith("skm")], [],
          "namespaces left")
    mounts = pathlib.Path("/proc/self/mounts").read_text()
    check("skm-lab-" not in mounts, "mounts left")


story.run(globals())
