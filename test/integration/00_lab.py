"""The lab itself: two at a time do not meet, and one that was killed leaves nothing behind."""
import os
import signal
import subprocess
import sys

LAB = os.path.join(os.path.dirname(__file__), "../lab")
sys.path.insert(0, LAB)
import story
from lab import Lab, listening, sh, wait_for
from story import check, equal


def serve(host):
    """A web server on port 80 of the host, IPv4 and IPv6, with a file of 8 MiB."""
    with open(host.dir / "zeros", "wb") as f:
        f.truncate(8 << 20)
    host.start(["/usr/bin/python3", "-m", "http.server", "80", "-b", "::", "-d", host.dir])
    wait_for("the server", lambda: listening(host, 80))


def test_hosts_reach_each_other_and_no_other_lab():
    with Lab() as one, Lab() as two:
        a, b, c = one.host("a"), one.host("b"), two.host("a")
        serve(b)
        equal(a.get(f"http://{b.ip}/zeros")[0], 200, "by IPv4")
        equal(a.get(f"http://[{b.ip6}]/zeros")[0], 200, "by IPv6")
        equal(c.ip, a.ip, "both labs use the same addresses")
        try:
            c.get(f"http://{b.ip}/zeros", timeout_s=2)
            raise AssertionError("a host of another lab was reached")
        except OSError:
            pass


def test_a_rate_limits_both_ways():
    with Lab() as lab:
        a, b = lab.host("a", 50), lab.host("b")
        serve(b)
        out = a.run("curl", "-s", "-o", "/dev/null", "-w", "%{speed_download}", f"http://{b.ip}/zeros")
        check(float(out) * 8 < 75e6, f"50 Mbit/s let {float(out) * 8 / 1e6:.0f} Mbit/s through")


def test_a_killed_lab_is_removed_by_the_next():
    code = (f"import sys, time; sys.path.insert(0, {LAB!r})\n"
            "from lab import Lab\nlab = Lab(); lab.host('x').start(['sleep', '600'])\n"
            "print(lab.id, lab.dir, flush=True); time.sleep(600)")
    p = subprocess.Popen(["/usr/bin/python3", "-c", code], stdout=subprocess.PIPE, text=True)
    lab_id, folder = p.stdout.readline().split()
    check(f"{lab_id}-x" in sh("ip", "netns", "list"), "it is there")
    p.send_signal(signal.SIGKILL)
    p.wait()
    with Lab():
        check(lab_id not in sh("ip", "netns", "list"), "its namespaces are gone")
        check(not os.path.exists(folder), "its folder is gone")


story.run(globals())
