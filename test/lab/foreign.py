"""The foreign gRPC client of test/foreign: installing its packages, running its scripts on a host."""
import os
import subprocess

from lab import ROOT
from npm import packages
from story import check

FOREIGN = ROOT / "test/foreign"
BUILD = ROOT / "build/foreign"


def install():
    """The packages, into the build directory; once for each lock file."""
    return packages(FOREIGN, BUILD)


def node(host, script, *args):
    env = dict(os.environ, NODE_PATH=str(BUILD / "node_modules"))
    p = subprocess.run(host.enter("node", str(FOREIGN / script), *args), env=env, text=True,
                       capture_output=True, timeout=300)
    print(p.stdout.strip())
    check(p.returncode == 0, f"{script}: {p.stderr}")
