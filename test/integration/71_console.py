"""The article's manager part, played in a real browser against real daemons: sign in as root, ADD
CLUSTER for B, a guest, both languages; every page looked at by axe. Pictures of every page are left in
build/console-pictures."""
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
import console
import story
from lab import BIN, Lab
from skimmer import Daemon, Manager, Nginx, Scheduler, random_file
from story import check

FILE = 12 << 20


def test_the_console_in_a_browser():
    console.build()
    shutil.rmtree(console.PICTURES, ignore_errors=True)
    console.PICTURES.mkdir()
    with Lab() as lab:
        control, seed, node, nodeb = (lab.host(n) for n in ("control", "seed", "node", "nodeb"))
        manager = Manager(control, config={"server": {"consoleDir": str(console.PAGES)}})
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
        command, env = console.browse("console.js", f"http://{control.ip}:8080")
        p = subprocess.run(control.enter(*command), env=env, text=True, capture_output=True, timeout=600)
        print(p.stdout.strip())
        check(p.returncode == 0, p.stderr)


story.run(globals())
