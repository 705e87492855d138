"""Containers outlive the daemon, at full length.
runs: --all"""
import pathlib
import subprocess
import sys

sys.exit(subprocess.run([pathlib.Path(__file__).parent / "daemon-killed"]).returncode)
