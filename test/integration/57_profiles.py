"""Where a daemon's time and memory go, by /debug/pprof: profiles that Go's pprof reads (golang-go brings
it), names found in the program; who was planted as a holder of memory is named; threads by name."""
import glob
import gzip
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
import story
from lab import BIN, Lab
from skimmer import Daemon, Manager, Scheduler
from story import check, equal

PORT = 4004


def get(host, path, port=PORT):
    p = subprocess.run(host.enter("curl", "-sS", "--fail", "--max-time", "60",
                                  f"http://127.0.0.1:{port}{path}"), capture_output=True)
    equal(p.returncode, 0, f"{path}: {p.stderr.decode()}")
    return p.stdout


def pprof(*args):
    # Debian's package has it ready; newer Go makes it when it is first called.
    ready = sorted(glob.glob("/usr/lib/go-*/pkg/tool/*/pprof"))
    tool = ready[-1:] or ["go", "tool", "pprof"]
    p = subprocess.run([*tool, *map(str, args)], capture_output=True, text=True, timeout=300,
                       env={**os.environ, "PPROF_TMPDIR": "/tmp"})
    equal(p.returncode, 0, f"pprof: {p.stderr}")
    return p.stdout


def shares(text):
    """{function: per cent that are its own} of what -top prints."""
    lines = [l.split(maxsplit=5) for l in text.splitlines()]
    return {l[5]: float(l[1].rstrip("%")) for l in lines if len(l) == 6 and l[1].endswith("%")}


def test_who_holds_memory_is_named():
    """64 MiB in large pieces and 64 MiB in pieces of 64 bytes, planted by two functions of a unit test."""
    program = BIN.parent / "test/unit_base_heap"
    with tempfile.TemporaryDirectory(prefix="skm-") as d:
        file = f"{d}/heap.pb.gz"
        subprocess.run([program], env={**os.environ, "HEAP_PROFILE": file}, check=True, timeout=120,
                       capture_output=True)
        for kind in ("inuse_space", "alloc_space"):
            top = pprof("-top", f"-sample_index={kind}", program, file)
            found = shares(top)
            for name in ("planted_large", "planted_small"):
                check(25 < found.get(name, 0) < 65, f"{name} has its share of {kind}:\n{top}")
        top = pprof("-top", "-sample_index=inuse_objects", program, file)
        check(shares(top).get("planted_small", 0) > 90, f"most objects are small:\n{top}")


def test_a_profile_is_read_by_pprof():
    with Lab() as lab:
        control = lab.host("control")
        manager = Manager(control, config={"pprofPort": 4104})
        Scheduler(control, manager, config={"pprofPort": 4204})
        node = Daemon(lab.host("node"), manager, config={"stats": {"server": {"port": PORT}}})
        node.in_swarm()
        # Work: figures are printed again and again while the profile is taken.
        work = node.host.start(["curl", "-s", "-o", "/dev/null",
                                "http://127.0.0.1:4002/metrics?[1-1000000]"], name="work")
        profile = get(node.host, "/debug/pprof/profile?seconds=3")
        work.stop()
        file = node.dir / "profile.pb.gz"
        file.write_bytes(profile)
        gzip.decompress(profile)
        top = pprof("-top", "-nodecount=400", BIN / "dfdaemon", file)
        print("\n".join(top.splitlines()[:12]))
        check("Type: cpu" in top, "a profile of processor time")
        check("metrics_print" in top and "request" in top, f"our functions are named:\n{top}")
        heap = node.dir / "heap.pb.gz"
        heap.write_bytes(get(node.host, "/debug/pprof/heap"))
        check("Type: inuse_space" in pprof("-top", BIN / "dfdaemon", heap), "who holds the daemon's memory")
        top = pprof("-top", "-sample_index=alloc_space", "-nodecount=400", BIN / "dfdaemon", heap)
        print("\n".join(top.splitlines()[:12]))
        check("metrics_print" in shares(top), f"who allocated, so that figures could be printed:\n{top}")
        text = get(node.host, "/debug/pprof/goroutine?debug=2").decode()
        for name in ("proxy", "pieces", "rpc-server"):
            check(name in text, f"a thread named {name}:\n{text}")
        check("skimmer_reads_waiting 0" in text, "what waits")
        check("# bytes of malloc's\nin use" in text, "what malloc has")
        for port in (4104, 4204):
            check(b"# threads" in get(control, "/debug/pprof/goroutine", port), "its threads")
        # From outside nobody gets in.
        p = subprocess.run(control.enter("curl", "-sS", "--max-time", "5",
                                         f"http://{node.host.ip}:{PORT}/debug/pprof/heap"),
                           capture_output=True)
        check(p.returncode != 0, "only on 127.0.0.1")


story.run(globals())
