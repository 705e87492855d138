"""Packages of the npm registry that tests and the console are made with."""
import shutil
import subprocess

from lab import LabError

LISTS = ("package.json", "package-lock.json")


def packages(source, build):
    """Those of source's lock file in build/node_modules, which is returned; once for each lock."""
    done = build / "done"
    want = "".join((source / name).read_text() for name in LISTS)
    if done.exists() and done.read_text() == want:
        return build / "node_modules"
    shutil.rmtree(build, ignore_errors=True)
    build.mkdir(parents=True)
    for name in LISTS:
        shutil.copy(source / name, build)
    p = subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=build,
                       capture_output=True, text=True, timeout=300)
    if p.returncode != 0:
        raise LabError(f"the packages of {source} cannot be had from the npm registry (is it "
                       f"reachable? npm says:)\n{p.stdout}{p.stderr}")
    done.write_text(want)
    return build / "node_modules"
