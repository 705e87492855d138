"""A gRPC client of other people's parts (@grpc/grpc-js) drives every method of the scheduler and the
manager, and looks at every field of the answers. Its packages come from the npm registry, as
test/foreign/package-lock.json has them."""
import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
import story
from lab import ROOT, Lab
from skimmer import Manager, Scheduler
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


def test_packages_are_there():
    install()


def test_every_method_of_the_scheduler():
    with Lab() as lab:
        control = lab.host("control")
        scheduler = Scheduler(control)
        node(control, "scheduler.js", scheduler.addr, control.ip)


def test_every_method_of_the_manager():
    with Lab() as lab:
        control = lab.host("control")
        manager = Manager(control)
        with contextlib.closing(sqlite3.connect(manager.dir / "manager.db", timeout=20)) as db, db:
            db.execute("INSERT INTO applications (name, url, bio, priority, created_ms, updated_ms) "
                       "VALUES ('js-app', 'http://example.com', 'for the test', ?, 1, 1)",
                       ('{"value": 3, "urls": [{"regex": "x$", "value": 5}]}',))
        node(control, "manager.js", manager.addr)


story.run(globals())
