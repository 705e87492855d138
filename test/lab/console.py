"""The console as its tests need it: built, and looked at by a browser that a script of test/console drives."""
import os
import shutil
import subprocess

from lab import ROOT, LabError
from npm import packages

TEST = ROOT / "test/console"
BUILD = ROOT / "build/console-test"
PAGES = ROOT / "build/console"
PICTURES = ROOT / "build/console-pictures"


def build():
    """PAGES of today, and in BUILD the scripts with the packages that they need."""
    p = subprocess.run([ROOT / "script/console"], capture_output=True, text=True, timeout=300)
    if p.returncode != 0:
        raise LabError(p.stdout + p.stderr)
    packages(TEST, BUILD)
    for source in TEST.glob("*.js"):
        shutil.copy(source, BUILD)


def browse(script, url, *arguments):
    """The command that plays a script, which is told where to leave pictures and which browser to use, and its
    environment."""
    return (["node", str(BUILD / script), url, str(PICTURES), shutil.which("chromium"), *map(str, arguments)],
            dict(os.environ, NODE_PATH=str(BUILD / "node_modules")))
