"""The systemd units are ones that systemd takes, as tight as the mount allows; the programs tell it when
they are ready and feed its watchdog; the packages' configuration files are good."""
import gzip
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))
import story
from lab import BIN, ROOT
from story import check, equal

UNITS = sorted((ROOT / "contrib/systemd").glob("*.service"))
# systemd's own scale, 10 is worst: 3.0 for all. What the daemon and the snapshotter mount must be seen by the host,
# which forbids every setting that gives them a mount namespace; without its mount the daemon is as tight as the
# others.
EXPOSURE = {"skimmer-dfdaemon.service": 4.5, "skimmer-snapshotter.service": 3.5, "skimmer-scheduler.service": 3.0,
            "skimmer-manager.service": 3.0}
NO_MOUNT = ROOT / "contrib/systemd/no-mount.conf"


def run(*args):
    p = subprocess.run([str(a) for a in args], capture_output=True, text=True, timeout=60)
    return p.returncode, p.stdout, p.stderr


def program_of(unit):
    name = re.search(r"^ExecStart=/usr/bin/(\S+) ", unit.read_text(), re.M)[1]
    return name, BIN / name.removeprefix("skimmer-")


def test_units_are_verified():
    equal({u.name for u in UNITS}, set(EXPOSURE), "units")
    for unit in UNITS:
        with tempfile.TemporaryDirectory(prefix="skm-") as d:
            name, program = program_of(unit)
            copy = pathlib.Path(d) / unit.name
            # The programs stand where they were built, and the user is made by the package.
            text = unit.read_text().replace(f"/usr/bin/{name}", str(program))
            copy.write_text(re.sub(r"^(User|Group)=skimmer\n", "", text, flags=re.M))
            code, out, err = run("systemd-analyze", "verify", "--man=no", copy)
            ours = [l for l in err.splitlines() if unit.name in l]
            equal((code, ours), (0, []), f"systemd-analyze verify {unit.name}: {out}{err}")


def exposure(unit):
    _, out, err = run("systemd-analyze", "security", "--offline=true", "--no-pager", unit)
    return float(re.search(r"exposure level for \S+: ([0-9.]+)", out + err)[1])


def test_units_are_as_tight_as_the_mount_allows():
    for unit in UNITS:
        level = exposure(unit)
        print(f"{unit.name}: {level}")
        check(level <= EXPOSURE[unit.name], f"{unit.name} is exposed by {level}")


def test_what_stays_open_is_explained():
    """The lines that systemd marks are those of the table in docs/how-to/packages.md, and the other way round."""
    page = (ROOT / "docs/how-to/packages.md").read_text()
    table = page.split("| line | counts |")[1].split("\n\n")[0].replace("\\|", "\0")
    told = {n.replace("\0", "|") for row in table.splitlines() if row.startswith("| `")
            for n in re.findall(r"`([^`]+)`", row.split("|")[1])}
    marked = set()
    for name in ("skimmer-dfdaemon.service", "skimmer-snapshotter.service"):
        _, out, err = run("systemd-analyze", "security", "--offline=true", "--json=short", "--no-pager",
                          ROOT / "contrib/systemd" / name)
        # Also what does not apply has no exposure.
        marked |= {line["name"] for line in json.loads(out) if float(line["exposure"] or 0) > 0}
    check(marked, f"systemd marks something: {err}")
    # Another systemd than Debian 12's may look at more.
    version = int(run("systemd-analyze", "--version")[1].split()[1])
    equal(marked - told if version == 252 else set(), set(), "lines that nobody has explained")
    equal(told - marked, set(), "lines that are explained and not marked")


def test_a_daemon_without_its_mount_is_as_tight_as_the_others():
    with tempfile.TemporaryDirectory(prefix="skm-") as d:
        unit = pathlib.Path(d, "skimmer-dfdaemon.service")
        # As one file, so that it does not matter where this systemd looks for drop-ins.
        unit.write_text((ROOT / "contrib/systemd" / unit.name).read_text().replace(
            "\n[Install]\n", f"\n{NO_MOUNT.read_text()}\n[Install]\n"))
        level = exposure(unit)
        print(f"{unit.name} with {NO_MOUNT.name}: {level}")
        check(level <= 3.0, f"it is exposed by {level}")


def test_configuration_files_of_the_packages_are_good():
    for program in ("dfdaemon", "containerd-skimmer", "scheduler", "manager"):
        file = ROOT / f"contrib/packaging/{program}.yaml"
        code, _, err = run(BIN / program, "--config", file, "--check-config")
        equal((code, err), (0, ""), f"{file}")


def test_pages_and_completions_of_the_packages_load():
    with tempfile.TemporaryDirectory(prefix="skm-") as d:
        code, _, err = run(ROOT / "contrib/packaging/pages", BIN, d)
        equal((code, err), (0, ""), "contrib/packaging/pages")
        for name in ("dfdaemon", "dfget", "dfinit", "dfctl", "containerd-skimmer", "skimmer-scheduler",
                     "skimmer-manager"):
            page = gzip.decompress(pathlib.Path(d, f"{name}.1.gz").read_bytes()).decode()
            check(page.startswith(f".TH {name.upper()} 1 "), f"{name}'s page is called so: {page[:60]}")
            typed = name.replace("-", "\\-") + " "
            check(all(f".SH {part}\n{typed}" in page for part in ("NAME", "SYNOPSIS")), f"{name}'s page names it")
            p = subprocess.run(["mandoc", "-Tlint", "-Wwarning"], input=page, capture_output=True, text=True)
            equal((p.returncode, p.stdout), (0, ""), f"mandoc about {name}")
            for shell in ("bash", "zsh", "fish"):
                code, _, err = run(shell, "-n", f"{d}/{name}.{shell}")
                equal((code, err), (0, ""), f"{shell} -n of {name}'s completion")
            code, out, err = run("bash", "--norc", "-c", f"source {d}/{name}.bash; complete -p {name}")
            check(code == 0 and out.rstrip().endswith(f" {name}"), f"bash completes {name}: {out}{err}")
            text = pathlib.Path(d, f"{name}.zsh").read_text()
            equal(text.splitlines()[0], f"#compdef {name}", f"zsh completes {name}")
            code, out, err = run("fish", "--no-config", "-c",
                                 f"source {d}/{name}.fish; complete -C '{name} --vers'")
            check(out.startswith("--version"), f"fish completes {name} --vers: {out}{err}")


def start_told(directory, program, config):
    """Starts it as systemd would: (process, what it says until READY and one WATCHDOG)."""
    file = directory / f"{program}.yaml"
    file.write_text(config)
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(str(directory / "notify"))
    manager.settimeout(60)
    env = {**os.environ, "NOTIFY_SOCKET": str(directory / "notify"), "WATCHDOG_USEC": "200000"}
    p = subprocess.Popen([BIN / program, "--config", file], env=env, stderr=subprocess.DEVNULL)
    try:
        equal(manager.recv(100), b"READY=1", f"{program} says first")
        equal(manager.recv(100), b"WATCHDOG=1", f"{program} says then")
        p.send_signal(signal.SIGTERM)
        while (word := manager.recv(100)) == b"WATCHDOG=1":
            pass
        equal(word, b"STOPPING=1", f"{program} says at its end")
        equal(p.wait(timeout=60), 0, f"{program} ends")
    finally:
        p.kill()
        p.wait()
        manager.close()


def test_programs_tell_systemd():
    configs = {
        "manager": "server: {{grpc: {{listenIP: 127.0.0.1, port: {{start: 0}}}}, rest: {{addr: \"127.0.0.1:0\"}}}}\n"
                   "database: {{sqlite: {{path: {d}/m.db}}}}\n",
        "scheduler": "server: {{listenIP: 127.0.0.1, port: 0}}\n",
        "containerd-skimmer": "{{root: {d}/r, socketPath: {d}/s.sock}}\n",
        "dfdaemon": "storage: {{dir: {d}/s, server: {{ip: 127.0.0.1, tcpPort: 0}}}}\n"
                    "server: {{cacheDir: {d}/c}}\nmount: {{enable: false}}\n"
                    "upload: {{server: {{ip: 127.0.0.1, port: 0}}}}\n"
                    "download: {{server: {{socketPath: {d}/d.sock}}}}\n"
                    "proxy: {{server: {{ip: 127.0.0.1, port: 0}}}}\n"
                    "health: {{server: {{ip: 127.0.0.1, port: 0}}}}\n"
                    "metrics: {{server: {{ip: 127.0.0.1, port: 0}}}}\n",
    }
    for program, config in configs.items():
        with tempfile.TemporaryDirectory(prefix="skm-") as d:
            start_told(pathlib.Path(d), program, config.format(d=d))


story.run(globals())
