"""Two schedulers on the ring; one is killed in the middle of a download, whichever has the task: the
download ends right, those who come later are fed by peers, and the origin gives one copy."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
import story
from lab import Lab, wait_for
from reading import Read
from skimmer import Daemon, Manager, Nginx, Scheduler, random_file
from story import check, equal

SIZE, PIECE = 96 << 20, 4 << 20
ORIGIN_MBIT = 160  # some five seconds for the whole


def whole(read, digest, what):
    equal(read.error, None, f"{what}: the reader's error")
    equal(read.count, SIZE, f"{what}: bytes read")
    equal(read.sha.hexdigest(), digest, f"{what}: digest of what was read")


def one_dies(victim):
    """How many of the daemons noticed that their scheduler for the task was gone."""
    with Lab() as lab:
        origin = lab.host("origin", ORIGIN_MBIT)
        web = origin.dir / "web"
        web.mkdir()
        digest = random_file(web / "blob", SIZE)
        nginx = Nginx(origin, web)
        manager = Manager(lab.host("control"))
        schedulers = [Scheduler(lab.host(f"scheduler{i}"), manager) for i in (0, 1)]
        daemons = [Daemon(lab.host(name), manager, seed=name == "seed")
                   for name in ("seed", "node1", "node2", "node3")]
        for d in daemons:
            wait_for(f"{d.name} knows both", lambda: d.metric("skimmer_schedulers_alive") == 2)
        path = f"http/{nginx.addr.removesuffix(':80')}/blob"
        nodes = daemons[1:]
        early = [Read(d.mount / path) for d in nodes[:2]]
        wait_for("the first pieces", lambda: nodes[0].traffic("REMOTE_PEER") >= 2 * PIECE, timeout_s=60)
        schedulers[victim].process.kill()
        check(nodes[0].traffic("REMOTE_PEER") < SIZE / 2, "killed in the middle")
        late = Read(nodes[2].mount / path)
        for d, read in zip(nodes, early + [late]):
            whole(read.finish(120), digest, d.host.name)
            equal(d.traffic("BACK_TO_SOURCE"), 0, f"bytes that {d.host.name} had from the origin")
        # What the seed had under way goes into the log when it is done.
        wait_for("the whole at the seed", lambda: daemons[0].traffic("BACK_TO_SOURCE") >= SIZE)
        given = nginx.bytes_given()
        check(SIZE <= given <= SIZE + 4096, f"one copy of {SIZE} bytes, the origin gave {given}")
        dropped = [d for d in daemons if "scheduler does not answer" in d.process.log_text()]
        print(f"scheduler{victim} killed: {len(dropped)} of {len(daemons)} daemons have dropped it")
        return dropped


def test_whichever_dies():
    # The same addresses and URL each time: one of the two has the task.
    # Nobody need have noticed yet that the other has died.
    dropped = [one_dies(victim) for victim in (0, 1)]
    check(any(dropped), "the scheduler that had the task was dropped by those who talked with it")


story.run(globals())
