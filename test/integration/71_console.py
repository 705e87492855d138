"""The article's manager part, played in a real browser against real daemons: sign in as root, ADD
CLUSTER for B, a guest, both languages; every page looked at by axe. Pictures of every page are left in
build/console-pictures."""
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
import story
from lab import BIN, ROOT, Lab
from npm import packages
from skimmer import Daemon, Manager, Nginx, Scheduler, random_file
from story import check

TEST = ROOT / "test/console"
BUILD = ROOT / "build/console-test"
FILE = 12 << 20
PICTURES = ROOT / "build/console-pictures"


def test_the_console_in_a_browser():
    p = subprocess.run([ROOT / "script/console"], capture_output=True, text=True, timeout=300)
    check(p.returncode == 0, p.stdout + p.stderr)
    packages(TEST, BUILD)
    for source in TEST.glob("*.js"):
        shutil.copy(source, BUILD)
    shutil.rmtree(PICTURES, ignore_errors=True)
    PICTURES.mkdir()
    with Lab() as lab:
        control, seed, node, nodeb = (lab.host(n) for n in ("control", "seed", "node", "nodeb"))
        manager = Manager(control, config={"server": {"consoleDir": str(ROOT / "build/console")}})
        Scheduler(control, manager=manager)
        Daemon(seed, manager=manager, seed=True).in_swarm()
        daemon = Daemon(node, manager=manager)
        daemon.in_swarm()
        # Of B, which the browser is going to make.
        Scheduler(nodeb, manager=manager, cluster=2)
        Daemon(nodeb, manager=manager, config={"host": {"idc": "cluster-2"}}).in_swarm()
        # What the live pages are to show: one file, by the seed to the node.
        web = control.dir / "web"
        web.mkdir()
        random_file(web / "file.bin", FILE)
        node.run(BIN / "dfget", "-e", daemon.socket, "--no-progress", f"http://{Nginx(control, web, 8088).addr}/file.bin",
                 "-O", node.dir / "out")
        p = subprocess.run(control.enter("node", str(BUILD / "console.js"), f"http://{control.ip}:8080",
                                         str(PICTURES), shutil.which("chromium")),
                           env=dict(os.environ, NODE_PATH=str(BUILD / "node_modules")),
                           text=True, capture_output=True, timeout=600)
        print(p.stdout.strip())
        check(p.returncode == 0, p.stderr)


story.run(globals())
