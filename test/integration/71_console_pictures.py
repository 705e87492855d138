"""Every page of the console in both languages and colours, at 360 px, 1280 px and 4K, looked at by axe, on a
manager that knows 10,000 peers; and what the console says while the manager is gone. Pictures are left in
build/console-pictures; with SKIMMER_DOCS=1 those of docs/images/console are made anew.
runs: --all"""
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
import story
from fleet import add_peers
from manager_process import ROOT, ManagerProcess
from npm import packages
from story import check

TEST = ROOT / "test/console"
BUILD = ROOT / "build/console-test"
PICTURES = ROOT / "build/console-pictures"
DOCS = ROOT / "docs/images/console"


def play(manager, *arguments):
    """Runs pictures.js, which may ask for the manager to be stopped and started."""
    p = subprocess.Popen(["node", BUILD / "pictures.js", f"http://127.0.0.1:{manager.port}", PICTURES,
                          shutil.which("chromium"), *arguments], env=dict(os.environ, NODE_PATH=str(BUILD / "node_modules")),
                         text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    for line in p.stdout:
        if line in ("manager: stop\n", "manager: start\n"):
            manager.stop() if "stop" in line else manager.start()
            p.stdin.write("done\n")
            p.stdin.flush()
        else:
            print(line, end="", flush=True)
    return p.wait(60)


def test_pictures_of_every_page():
    p = subprocess.run([ROOT / "script/console"], capture_output=True, text=True, timeout=300)
    check(p.returncode == 0, p.stdout + p.stderr)
    packages(TEST, BUILD)
    for source in TEST.glob("*.js"):
        shutil.copy(source, BUILD)
    PICTURES.mkdir(exist_ok=True)
    manager = ManagerProcess({"consoleDir": str(ROOT / "build/console")})
    manager.stop()
    add_peers(manager.dir / "m.db", 10000)
    manager.start()
    docs = [DOCS] if os.environ.get("SKIMMER_DOCS") else []
    for directory in docs:
        directory.mkdir(exist_ok=True)
    check(play(manager, *docs) == 0, "see above")


story.run(globals())
