"""The whole REST suite on a real PostgreSQL and a real MariaDB, with results equal to sqlite's."""
import pathlib
import re
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lab"))
import story
from story import check, equal

SUITE = pathlib.Path(__file__).with_name("rest")


def test_servers_answer_as_the_embedded_database():
    # At the same time: a third of the suite is the wait for a slow client's 408.
    runs = {kind: subprocess.Popen(["/usr/bin/python3", SUITE, "--database", kind],
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            for kind in ("postgres", "mariadb")}
    results = {}
    for kind, run in runs.items():
        out = run.communicate(timeout=300)[0]
        check(run.returncode == 0, f"{kind}: {out[-5000:]}")
        results[kind] = re.findall(r"^ok   (\w+)", out, re.M)
    names = re.findall(r"^def (test_\w+)", SUITE.with_name("70_rest.py").read_text(), re.M)
    for kind, passed in results.items():
        equal(passed, names, f"what passes on {kind}")


story.run(globals())
