"""Eight nodes fetch a file at once while something breaks, in small: every download ends right. What
breaks is in test/lab/faults.py; the time that each fault costs is told, not judged."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
import faults
import story


def test_every_download_ends_right():
    # What only compares times is left out.
    faults.run(24 << 20, 300, [f for f in faults.FAULTS if f not in ("again", "warm")])


story.run(globals())
