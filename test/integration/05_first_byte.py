"""One byte in the middle of a cold file comes in a part of the time that its piece needs on the link, and
what a parent's disk spoiled in a later block of that piece reaches nobody."""
import os
import statistics
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
import story
from lab import Lab
from skimmer import Daemon, Manager, Nginx, Scheduler
from story import check, equal

RATE_MBIT, PIECE = 100, 4 << 20
BLOCK = PIECE // 16
PIECE_S = PIECE * 8 / (RATE_MBIT * 1e6)
SIZE, FILES = 3 * PIECE, 5
AT = PIECE + 10 * BLOCK + 1000
RATIO_MAX = 0.6


def first_byte(file, plain):
    """Seconds from open() to the byte."""
    start = time.monotonic()
    fd = os.open(file, os.O_RDONLY)
    byte = os.pread(fd, 1, AT)
    took = time.monotonic() - start
    os.close(fd)
    equal(byte, plain[AT:AT + 1], f"the byte of {file.name}")
    return took


def spoil(store, plain, off):
    """Changes one byte of a file that a daemon's store has."""
    for path in store.glob("content/tasks/*/*"):
        if path.suffix == "" and path.read_bytes() == plain:
            with open(path, "r+b") as f:
                f.seek(off)
                f.write(bytes([plain[off] ^ 1]))
            return
    raise AssertionError(f"no such file in {store}")


def test_the_first_byte_does_not_wait_for_its_piece():
    with Lab() as lab:
        origin, control = lab.host("origin"), lab.host("control")
        web = origin.dir / "web"
        web.mkdir()
        plain = {f"file{i}": os.urandom(SIZE) for i in range(FILES + 1)}
        for name in plain:
            (web / name).write_bytes(plain[name])
        nginx = Nginx(origin, web)
        scheduler = Scheduler(control, Manager(control))
        seed, node = (Daemon(lab.host(n), schedulers=[scheduler], seed=n == "seed")
                      for n in ("seed", "node"))
        for d in (seed, node):
            d.in_swarm()
        at = nginx.addr.removesuffix(":80")
        for name in plain:
            equal((seed.mount / "http" / at / name).read_bytes(), plain[name], f"{name} at the seed")
        seed.host.set_rate(RATE_MBIT)
        *whole, spoiled = plain
        took = []
        for name in whole:
            file = node.mount / "http" / at / name
            took.append(first_byte(file, plain[name]))
            equal(file.read_bytes(), plain[name], name)
        ratio = statistics.median(took) / PIECE_S
        print("first byte after", ", ".join(f"{s * 1000:.0f}" for s in took),
              f"ms; a piece needs {PIECE_S * 1000:.0f} ms on the link: {ratio:.2f} of it")
        equal(node.traffic("BACK_TO_SOURCE"), 0, "bytes that the node had from the origin")
        check(seed.metric("skimmer_pieces_served_by_blocks_total") >= FILES, "pieces came by blocks")
        check(ratio < RATIO_MAX, f"a byte in less than {RATIO_MAX} of its piece's time")

        # The first reader has its byte from this parent, the others have theirs from the origin in the end.
        spoil(seed.dir / "store", plain[spoiled], AT + 2 * BLOCK)
        file = node.mount / "http" / at / spoiled
        first_byte(file, plain[spoiled])
        equal(file.read_bytes(), plain[spoiled], "a file whose parent's disk has a wrong byte")
        check(node.metric("skimmer_digest_failures_total") >= 1, "the wrong block was found")


os.nice(-19)
story.run(globals())
