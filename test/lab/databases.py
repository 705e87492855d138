"""Databases for the manager: real servers of Debian's packages, each an own instance in a directory
of its own, on a port of its own, run by whom its package made for it.

    with databases.Postgres() as d: d.config() is the manager's section `database`
"""
import glob
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from certificates import make_certificates

PASSWORD = "planted-database-password"
# What changes nothing of a server's answers, and spares a test the disk.
BOUND_S = 60


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Sqlite:
    name = "sqlite"

    def config(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="skimmer-sqlite-"))
        return {"type": "sqlite", "sqlite": {"path": str(self.dir / "m.db")}}

    def files(self):
        """Everything that is kept, as bytes by name."""
        return {f.name: f.read_bytes() for f in self.dir.iterdir()}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if hasattr(self, "dir"):
            shutil.rmtree(self.dir, ignore_errors=True)


class Server:
    def __init__(self, host=None):
        """On a host of the lab, or on this machine's loopback."""
        self.host, self.ip = host, host.ip if host else "127.0.0.1"
        # Not below a directory that only we may enter: the server has another user.
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix=f"skimmer-{self.name}-", dir="/tmp"))
        self.port = free_port()
        self.process = None
        make_certificates(self.dir, self.ip)
        if os.getuid() == 0:
            shutil.chown(self.dir, self.user, self.user)
            shutil.chown(self.dir / "server.key", self.user, self.user)
        self.prepare()
        self.start()
        self.make_database("manager")

    def there(self, command):
        return self.host.enter(*command) if self.host else command

    def run(self, *command, **kw):
        """As the server's user; a server does not run as root."""
        as_user = ["runuser", "-u", self.user, "--"] if os.getuid() == 0 else []
        return subprocess.run(self.there([*as_user, *command]), cwd=self.dir, check=True, timeout=BOUND_S,
                              capture_output=True, **kw).stdout

    def start(self):
        as_user = ["setpriv", f"--reuid={self.user}", f"--regid={self.user}", "--init-groups",
                   "--"] if os.getuid() == 0 else []
        self.log = open(self.dir / "log", "ab")
        self.process = subprocess.Popen(self.there([*as_user, *self.command()]), cwd=self.dir, stdout=self.log,
                                        stderr=self.log)
        end = time.monotonic() + BOUND_S
        while not self.is_ready():
            if time.monotonic() > end or self.process.poll() is not None:
                raise AssertionError(f"{self.name}: " + (self.dir / "log").read_text()[-2000:])
            time.sleep(0.05)

    def is_ready(self):
        try:
            return self.sql("SELECT 1") == "1"
        except subprocess.CalledProcessError:
            return False

    def stop(self, how=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(BOUND_S)
        self.log.close()

    def config(self, name="manager"):
        return {"type": self.type, self.section: {
            "host": self.ip, "port": self.port, "user": "manager", "password": PASSWORD,
            "dbname": name}}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop(self.at_once)
        shutil.rmtree(self.dir, ignore_errors=True)


class Postgres(Server):
    name = type = section = user = "postgres"
    at_once = signal.SIGINT  # what it calls fast

    def prepare(self):
        self.bin = sorted(glob.glob("/usr/lib/postgresql/*/bin"))[-1]
        (self.dir / "password").write_text(PASSWORD)
        self.run(f"{self.bin}/initdb", "-D", f"{self.dir}/data", "-A", "scram-sha-256", "--no-sync",
                 "-U", "postgres", f"--pwfile={self.dir}/password", "-E", "UTF8",
                 "--locale=C.UTF-8")

        with open(self.dir / "data" / "pg_hba.conf", "a") as f:
            f.write("host all all samenet scram-sha-256\n")

    def command(self):
        return [f"{self.bin}/postgres", "-D", f"{self.dir}/data", "-p", str(self.port),
                "-c", f"listen_addresses={self.ip}", "-c", f"unix_socket_directories={self.dir}",
                "-c", "fsync=off", "-c", "shared_buffers=16MB", "-c", "ssl=on",
                "-c", f"ssl_cert_file={self.dir}/server.crt", "-c", f"ssl_key_file={self.dir}/server.key"]

    def sql(self, text, name="postgres"):
        env = dict(os.environ, PGPASSWORD=PASSWORD)
        return self.run(f"{self.bin}/psql", "-h", self.dir, "-p", str(self.port), "-U",
                        "postgres", "-d", name, "-AtX", "-v", "ON_ERROR_STOP=1", "-c", text,
                        env=env).decode().strip()

    def make_database(self, name):
        if self.sql("SELECT COUNT(*) FROM pg_roles WHERE rolname = 'manager'") == "0":
            self.sql(f"CREATE ROLE manager LOGIN PASSWORD '{PASSWORD}'")
        self.sql(f"CREATE DATABASE {name} OWNER manager")

    def files(self):
        env = dict(os.environ, PGPASSWORD=PASSWORD)
        return {"pg_dump": self.run(f"{self.bin}/pg_dump", "-h", self.dir, "-p", str(self.port),
                                    "-U", "postgres", "manager", env=env)}


class Mariadb(Server):
    name = type = "mariadb"
    section = user = "mysql"
    at_once = signal.SIGTERM

    def prepare(self):
        self.run("mariadb-install-db", "--no-defaults", f"--datadir={self.dir}/data",
                 "--skip-test-db", "--auth-root-authentication-method=normal",
                 "--innodb-flush-method=nosync", "--skip-name-resolve")

    def command(self):
        return ["mariadbd", "--no-defaults", f"--datadir={self.dir}/data", f"--port={self.port}",
                "--bind-address=127.0.0.1", f"--socket={self.dir}/socket",
                f"--pid-file={self.dir}/pid", "--innodb-flush-method=nosync",
                "--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=16M",
                f"--ssl-cert={self.dir}/server.crt", f"--ssl-key={self.dir}/server.key"]

    def sql(self, text, name=""):
        return self.run("mariadb", "--no-defaults", f"--socket={self.dir}/socket", "-u", "root",
                        "-BN", "-e", text, *([name] if name else [])).decode().strip()

    def make_database(self, name):
        self.sql(f"CREATE DATABASE {name}; CREATE USER IF NOT EXISTS manager@'127.0.0.1' "
                 f"IDENTIFIED BY '{PASSWORD}'; GRANT ALL ON {name}.* TO manager@'127.0.0.1'")

    def files(self):
        return {"dump": self.run("mariadb-dump", "--no-defaults", f"--socket={self.dir}/socket",
                                 "-u", "root", "--skip-extended-insert", "manager")}


KINDS = {k.name: k for k in (Sqlite, Postgres, Mariadb)}
