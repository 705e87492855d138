"""A scheduler with 10,000 announced hosts and 1,000 streams that each ask again once a second does not
grow in ten minutes (docs/performance.md, Scheduler).
# runs: --all
"""
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
import story

BENCH = os.path.join(os.path.dirname(__file__), "../../build/test/scheduler_ask")


def test_ten_minutes_of_asking_leave_no_trace():
    out = subprocess.run([BENCH, "--hosts", "10000", "--streams", "1000", "--count", "200",
                          "--hold", "10m"], capture_output=True, text=True, timeout=840)
    assert out.returncode == 0, out.stderr
    held = [int(line.split("rss_kib=")[1]) for line in out.stdout.splitlines()
            if line.startswith("held ")]
    assert len(held) >= 6, out.stdout  # one a minute, or a round later
    # The first minutes fill what is kept for use again.
    assert max(held[-2:]) < max(held[:3]) * 1.1, out.stdout


story.run(globals())
