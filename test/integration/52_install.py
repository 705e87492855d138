# runs: --all
"""test/integration/install: packages in a clean chroot of this Debian, to a first pull by P2P and back."""
import os
import sys

install = os.path.join(os.path.dirname(os.path.abspath(__file__)), "install")
os.execv(sys.executable, [sys.executable, install])
