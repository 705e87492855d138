"""Every page of the console in both languages and colours, at 360 px, 1280 px and 4K, looked at by axe, on a
manager that knows 10,000 peers; and what the console says while the manager is gone. Pictures are left in
build/console-pictures; with SKIMMER_DOCS=1 those of docs/images/console are made anew.
runs: --all"""
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
import console
import story
from fleet import add_peers
from manager_process import ROOT, ManagerProcess
from story import check

DOCS = ROOT / "docs/images/console"


def play(manager, *arguments):
    """Runs pictures.js, which may ask for the manager to be stopped and started."""
    command, env = console.browse("pictures.js", f"http://127.0.0.1:{manager.port}", *arguments)
    p = subprocess.Popen(command, env=env, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    for line in p.stdout:
        if line in ("manager: stop\n", "manager: start\n"):
            manager.stop() if "stop" in line else manager.start()
            p.stdin.write("done\n")
            p.stdin.flush()
        else:
            print(line, end="", flush=True)
    return p.wait(60)


def test_pictures_of_every_page():
    console.build()
    console.PICTURES.mkdir(exist_ok=True)
    manager = ManagerProcess({"consoleDir": str(console.PAGES)})
    manager.stop()
    add_peers(manager.dir / "m.db", 10000)
    manager.start()
    docs = [DOCS] if os.environ.get("SKIMMER_DOCS") else []
    for directory in docs:
        directory.mkdir(exist_ok=True)
    check(play(manager, *docs) == 0, "see above")


story.run(globals())
