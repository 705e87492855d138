"""As 50_faults, with a file and links that show what each fault costs: docs/reliability.md's table.
# runs: --all
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
import faults
import story


def test_every_download_ends_right():
    faults.run(64 << 20, 100)


story.run(globals())
