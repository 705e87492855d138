"""Lazily mounted trees against containerd's own unpacking of the same layers: see same-tree beside this.
runs: --all
"""
import os
import pathlib
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
import story
from story import check, equal


def test_every_layer_is_the_same():
    compare("erofs")


def test_every_layer_is_the_same_without_erofs():
    compare("fuse")


def compare(trees):
    p = subprocess.run([pathlib.Path(__file__).parent / "same-tree", "--trees", trees], capture_output=True,
                       text=True)
    print(p.stdout)
    equal(p.returncode, 0, p.stderr[-2000:])
    words = p.stdout.splitlines()[-1].split()
    equal((words[0], words[2]), ("same", "layers"), "the last line")
    check(int(words[1]) >= 30, "some thirty layers were compared")


story.run(globals())
