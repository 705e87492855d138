"""A story is a file of functions test_...(), run in order; the first that fails ends it.

    import story            # first: finds lab and skimmer
    def test_...(): ...
    story.run(globals())
"""
import sys
import time
import traceback


def run(names):
    only = sys.argv[1:]
    tests = [(n, f) for n, f in names.items() if n.startswith("test_") and callable(f)]
    for name, fn in tests:
        if only and name not in only:
            continue
        start = time.monotonic()
        try:
            fn()
        except Exception:
            traceback.print_exc()
            print(f"FAIL {name}")
            sys.exit(1)
        print(f"ok   {name} ({time.monotonic() - start:.1f} s)", flush=True)


def check(good, what):
    if not good:
        raise AssertionError(what)


def equal(got, want, what):
    if got != want:
        raise AssertionError(f"{what}: got {got!r}, want {want!r}")
