"""A reader of a mount that runs beside the test."""
import hashlib
import threading
import time

from story import check


class Read(threading.Thread):
    """Reads a file through the mount; what came, and how it ended."""

    def __init__(self, path):
        super().__init__()
        self.path, self.count, self.sha = path, 0, hashlib.sha256()
        self.error, self.ended = None, None
        self.start()

    def run(self):
        try:
            with open(self.path, "rb", buffering=0) as f:
                while data := f.read(1 << 20):
                    self.sha.update(data)
                    self.count += len(data)
        except OSError as e:
            self.error = e
        self.ended = time.monotonic()

    def finish(self, timeout_s=60):
        self.join(timeout_s)
        check(not self.is_alive(), "the read ended")
        return self
