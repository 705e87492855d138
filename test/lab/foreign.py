"""The foreign gRPC client of test/foreign: installing its packages, running its scripts on a host."""
import os
import shutil
import subprocess

from lab import ROOT
from story import check

FOREIGN = ROOT / "test/foreign"
BUILD = ROOT / "build/foreign"
LISTS = ("package.json", "package-lock.json")


def install():
    """The packages, into the build directory; once for each lock file."""
    done = BUILD / "done"
    want = "".join((FOREIGN / name).read_text() for name in LISTS)
    if done.exists() and done.read_text() == want:
        return
    shutil.rmtree(BUILD, ignore_errors=True)
    BUILD.mkdir(parents=True)
    for name in LISTS:
        shutil.copy(FOREIGN / name, BUILD)
    p = subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=BUILD,
                       capture_output=True, text=True, timeout=300)
    check(p.returncode == 0, "the packages of test/foreign cannot be had from the npm registry "
          f"(is it reachable? npm says:)\n{p.stdout}{p.stderr}")
    done.write_text(want)


def node(host, script, *args):
    env = dict(os.environ, NODE_PATH=str(BUILD / "node_modules"))
    p = subprocess.run(host.enter("node", str(FOREIGN / script), *args), env=env, text=True,
                       capture_output=True, timeout=300)
    print(p.stdout.strip())
    check(p.returncode == 0, f"{script}: {p.stderr}")
