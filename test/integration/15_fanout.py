"""Two nodes that begin at once, in small: test/bench/fanout runs, both files are right, and the origin
gave one copy."""
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
import story
from lab import ROOT
from story import check

# What is bad here is a multiple of this; a busy machine and small sizes cost some seconds.
RATIO_MAX = 8


def test_two_nodes_at_once_cost_the_origin_one_copy():
    r = subprocess.run([ROOT / "test/bench/fanout", "--peers", "2", "--size", "48", "--rate", "100"],
                       capture_output=True, text=True)
    print(r.stdout, r.stderr, sep="", end="")
    check(r.returncode == 0, "fanout ended well")
    m = re.fullmatch(r"fanout peers=2 ratio=(\d+\.\d+) origin_copies=(\d+\.\d+)",
                     r.stdout.splitlines()[-1])
    check(m, "its last line")
    check(1 <= float(m[1]) <= RATIO_MAX, f"ratio {m[1]} between 1 and {RATIO_MAX}")
    check(m[2] == "1.00", f"one origin copy, not {m[2]}")


story.run(globals())
