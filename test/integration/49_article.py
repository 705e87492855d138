"""script/article, as a new user runs it: two clusters, four pulls, four traces; and it leaves nothing behind."""
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
import story
from lab import ROOT, sh
from story import equal


def test_the_article_comes_true():
    p = subprocess.run([ROOT / "script/article"], capture_output=True, text=True, timeout=600)
    print(p.stdout[-2500:], p.stderr[-1500:], sep="\n")
    equal(p.returncode, 0, "exit code")
    equal(p.stdout.splitlines()[-1], "article ok", "last line")
    rows = re.findall(r"^\d +([ab]\d) +(origin \(back to source\)|a remote peer) +(\S+ \w+) +(\S+ \w+)$", p.stdout,
                      re.M)
    equal([(r[0], r[1][:6], r[3]) for r in rows],
          [("a1", "origin", "1.47 s"), ("a2", "a remo", "37.48 ms"), ("b1", "origin", "4.97 s"),
           ("b2", "a remo", "14.53 ms")], "the table's rows")
    pids = set(re.findall(r"^skm(\d+)-", sh("ip", "netns", "list"), re.M))
    equal([p for p in pids if not os.path.exists("/proc/" + p)], [], "labs whose namespaces were left")


story.run(globals())
