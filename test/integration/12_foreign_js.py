"""A gRPC client of other people's parts (@grpc/grpc-js) drives every method of the scheduler and the
manager, and looks at every field of the answers. Its packages come from the npm registry, as
test/foreign/package-lock.json has them."""
import contextlib
import os
import sqlite3
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
import story
from foreign import install, node
from lab import Lab
from skimmer import Manager, Scheduler


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
